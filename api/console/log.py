"""The audit log: searched by filters that are in the address, one line proven, one person's lines, an export.

Every look is an entry. No line names a person; the one page about a person takes a brand's reference, in a form, and is
recorded under that person's pseudonym.
"""

from operator import itemgetter
from typing import Final

import orjson
from starlette.responses import Response

from api.console import filters
from api.console.visit import PREFIX, Visit
from api.pages import render
from api.pages.words import ACTS, OUTCOMES
from api.problems import Problem
from audit import pruning
from audit.entry import Act, Entry, Outcome
from audit.errors import VerificationError
from audit.reports.lines import Line, Vouched, told, vouched
from audit.search import Found, prove, search
from audit.selection import Filter, rows_csv
from vault import evidence, systems
from vault.errors import UnknownReference
from vault.reports.timeline import timeline

PATH: Final = f"{PREFIX}/log"
PAGE: Final = 50
MOST_EXPORTED: Final = 10_000
_DAY: Final = 86_400
_YEAR: Final = 366
_WORDS: Final = ("act", "outcome", "actor", "purpose", "field", "rule")


def page(visit: Visit) -> Response:
    """Show a page of the log."""
    sought, below = _sought(visit), filters.number(visit.query, "below")
    upto, found = _found(visit, sought, below, PAGE)
    visit.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, visit.actor, n=len(found.lines)))
    kept = {name: visit.query.get(name, "") for name in (*_WORDS, "since", "until")}
    say = visit.language.say
    with visit.vault.reading() as conn:
        known = [each.id for each in systems.listed(conn)]
    return visit.page(
        "log.html",
        found=found,
        size=upto.size,
        kept=kept,
        systems=known,
        purposes_said=[(each.key, each.key) for each in visit.vault.bundle.purposes.every],
        acts_said=_acts(visit, kept["act"]),
        outcomes_said=[(code, say(words)) for code, (words, _) in OUTCOMES.items()],
        onward=None if found.onward is None else filters.link(PATH, kept | {"below": found.onward}),
        export=filters.link(f"{PATH}/export", kept),
    )


def line(visit: Visit) -> Response:
    """Show one line, and compute before the reader's eyes that it is in the log."""
    index = filters.number(visit.params, "index")
    if index is None:
        raise Problem("not_found")
    with visit.vault.reading() as conn:
        try:
            proven = prove(conn, 0, index)
        except VerificationError:
            return visit.page("unproven.html", 500, index=index)
    if proven is None:
        raise Problem("entries_pruned" if index < evidence.kept_from(visit.vault) else "not_found")
    visit.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, visit.actor, n=1))
    return visit.page("line.html", proven=proven, text=proven.body.decode("ascii"))


def export_page(visit: Visit) -> Response:
    """Say what would be exported."""
    sought = _sought(visit)
    _, found = _found(visit, sought, None, MOST_EXPORTED)
    kept = {name: visit.query.get(name, "") for name in (*_WORDS, "since", "until")}
    return visit.page("export.html", count=len(found.lines), kept=kept, back=filters.link(PATH, kept))


def export(visit: Visit) -> Response:
    """Hand out lines as CSV or JSON; recorded before."""
    visit.query = visit.form
    sought = _sought(visit)
    upto, found = _found(visit, sought, None, MOST_EXPORTED)
    visit.record(Entry(Act.AUDIT_EXPORTED, Outcome.ALLOW, visit.actor, n=len(found.lines)))
    if visit.form.get("format") == "csv":
        content, kind = rows_csv((each.idx, each.content) for each in found.lines), "csv"
    else:
        document = {
            "checkpoint": upto.note,
            "lines": [{"index": each.idx} | dict(each.content) for each in found.lines],
        }
        content, kind = orjson.dumps(document, option=orjson.OPT_INDENT_2), "json"
    return render.download(content, f"ecrin-log.{kind}")


def person_page(visit: Visit) -> Response:
    """Ask whose lines."""
    return _person(visit, None, 0)


def person(visit: Visit) -> Response:
    """Show one person's lines."""
    brand, reference = filters.word(visit.form, "brand"), visit.form.get("reference", "").strip()
    days = filters.number(visit.form, "days") or _YEAR
    vault = visit.unsealed()
    try:
        lines, older = timeline(vault, brand, reference, max(0, visit.now - days * _DAY), visit.actor)
    except UnknownReference:
        return _person(visit, None, 0, 404)
    return _person(visit, lines, older)


def _person(visit: Visit, lines: list[Line] | None, older: int, status: int = 200) -> Response:
    with visit.vault.reading() as conn:
        brands = systems.brands(conn)
        kept = pruning.beginning(conn, 0)
    said = [(each, each) for each in brands]
    asked = {"brand": visit.form.get("brand", ""), "days": visit.form.get("days", str(_YEAR))}
    return visit.page(
        "person.html",
        status,
        lines=lines,
        older=older,
        brands_said=said,
        asked=asked,
        kept=kept,
        unknown=status != 200,  # noqa: PLR2004
    )


def _acts(visit: Visit, chosen: str) -> list[tuple[str, str]]:
    """Return the acts by their words; a kind of acts that the address names (`consent`) stands among them."""
    named = sorted(((act, visit.language.say(words)) for act, words in ACTS.items()), key=itemgetter(1))
    return named if chosen in {"", *ACTS} else [(chosen, f"{chosen}…"), *named]


def _sought(visit: Visit) -> Filter:
    words = {name: filters.word(visit.query, name) for name in _WORDS}
    act, actor = words.pop("act"), words.pop("actor")
    since, until = filters.day(visit.query, "since"), filters.day(visit.query, "until", after=True)
    return Filter(
        (act,) if act else (),
        (actor,) if actor else None,
        **words,
        since="" if since is None else told(since),
        until="" if until is None else told(until),
    )


def _found(visit: Visit, sought: Filter, below: int | None, most: int) -> tuple[Vouched, Found]:
    with visit.vault.reading() as conn:
        (upto, *_) = vouched(conn)
        return upto, search(conn, upto, sought, below, most)
