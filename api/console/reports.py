"""The reports: which question each answers, a filter that is in the address, the rows, and the signed files.

Whom a report is about, a person or a member of staff, is said in a form and never in an address. Looking at a report and taking it away are both entries; taking it away takes an officer who has just proved to be there.
"""

from typing import Final

from starlette.responses import Response

from api import pdf
from api.console import filters
from api.console.visit import PREFIX, Visit
from api.packages.archive import zipped
from api.pages import render
from api.pages.language import N_
from api.pages.reported import title_of
from api.problems import Problem
from audit.entry import Act, Entry, Outcome
from audit.reports import document
from audit.reports.asked import Asked
from audit.reports.document import Report
from vault import systems
from vault.errors import InvalidReport, UnknownReference, UnknownReport
from vault.officers import Role
from vault.reports import catalog, running, runs, saved
from vault.reports.catalog import Definition
from vault.staff import WORD, staff_told

PATH: Final = f"{PREFIX}/reports"
SHOWN: Final = 500  # rows on a page; the files have all
# A filter that is kept is seen by all officers, and a plan costs work: an auditor, who reads, keeps none.
KEEPERS: Final = frozenset({Role.COMPLIANCE})
FORMATS: Final = (("html", "HTML"), ("pdf", "PDF"), ("json", "JSON"), ("zip", N_("CSV, with its signed note")))
EVERY: Final = {
    "0": N_("not by itself"), "1": N_("each day"), "7": N_("each week"), "30": N_("every 30 days"),
    "90": N_("every 90 days"),
}  # fmt: skip
_MOST_RUNS: Final = 20
_DAY: Final = 86_400
_WORDS: Final = ("brand", "system", "purpose")
WHOM: Final = frozenset({"reference", "staff"})
_LONGEST_REFERENCE: Final = 64


def page(visit: Visit) -> Response:
    """List the reports, the filters that are kept, and what was made in the background."""
    return visit.page(
        "reports.html",
        reports=[title_of(each) for each in catalog.DEFINITIONS.values()],
        titles={name: title_of(each) for name, each in catalog.DEFINITIONS.items()},
        saved=saved.listed(visit.vault),
        runs=runs.listed(visit.vault, _MOST_RUNS),
        keeps=visit.officer.role in KEEPERS,
    )


def report(visit: Visit) -> Response:
    """Run one and show it."""
    wanted = _wanted(visit)
    visit.unsealed()
    kept, whom = _kept(visit, wanted), _whom(visit, wanted)
    made: Report | None = None
    unknown = False
    try:
        made = running.run(visit.vault, wanted.name, _asked(visit, wanted, kept, whom), visit.actor)
    except UnknownReference:
        unknown = True
    except InvalidReport:  # it is about one system, and none is named yet
        if whom:
            raise Problem("bad_request") from None
    with visit.vault.reading() as conn:
        known, brands = systems.listed(conn), systems.brands(conn)
    say = visit.language.say
    return visit.page(
        "report.html",
        404 if unknown else 200,
        report=made,
        unknown=unknown,
        whom=whom,
        asks_whom=wanted.knows & WHOM,
        formats=formats_of(visit),
        title=title_of(wanted),
        knows=wanted.knows,
        kept=kept,
        shown=SHOWN,
        systems_said=[(each.id, each.id) for each in known],
        brands_said=[(each, each) for each in brands],
        purposes_said=[(each.key, each.key) for each in visit.vault.bundle.purposes.every],
        take=filters.link(f"{PATH}/{wanted.name}/files", kept),
        keeps=visit.officer.role in KEEPERS,
        usual_days=wanted.days,
        every_said=[(each, say(words)) for each, words in EVERY.items()],
    )


def of_whom(visit: Visit) -> Response:
    """Run one about a person, or about a member of staff, and show it."""
    visit.query = visit.form
    return report(visit)


def files_page(visit: Visit) -> Response:
    """Say what would be handed out."""
    wanted = _wanted(visit)
    kept = _kept(visit, wanted)
    back = filters.link(f"{PATH}/{wanted.name}", kept)
    return visit.page("files.html", title=title_of(wanted), kept=kept, back=back, formats=formats_of(visit))


def files(visit: Visit) -> Response:
    """Hand out a report: every form is of one query and carries what it rests on, and its signature."""
    wanted, kind = _wanted(visit), form_of(visit)
    visit.unsealed()
    visit.query = visit.form
    asked = _asked(visit, wanted, _kept(visit, wanted), _whom(visit, wanted))
    try:
        made = running.run(visit.vault, wanted.name, asked, visit.actor)
    except InvalidReport:
        raise Problem("bad_request") from None
    visit.record(Entry(Act.AUDIT_EXPORTED, Outcome.ALLOW, visit.actor, pol=(f"report:{wanted.name}",), n=_rows(made)))
    return given(visit, made, kind)


def formats_of(visit: Visit) -> list[tuple[str, str]]:
    """Return the forms of file by their words."""
    return [(kind, visit.language.say(words)) for kind, words in FORMATS]


def form_of(visit: Visit) -> str:
    """Return the form of file that was asked for. Raises `Problem`."""
    kind = visit.form.get("format", "")
    if kind not in dict(FORMATS):
        raise Problem("bad_request")
    return kind


def given(visit: Visit, made: Report, kind: str) -> Response:
    """Hand a report out as a file of one of the forms. Raises `Problem`."""
    if kind == "html":
        frame = {
            "report": made, "title": title_of(catalog.definition(made.name)), "deployment": visit.vault.deployment,
            "shown": len(made.body.rows),
        }  # fmt: skip
        content = render.alone("report_file.html", visit.tag, frame)
    elif kind == "pdf":
        try:
            content = pdf.of_report(made, visit.language)
        except pdf.PrintFailed:
            raise Problem("internal_error") from None
    else:
        content = _tables(made) if kind == "zip" else document.to_json(made)
    return render.download(content, f"ecrin-{made.name}.{kind}")


def _tables(made: Report) -> bytes:
    """Pack the table with what a table cannot say: its signed note, and the JSON that the same note holds for."""
    files = {"csv": document.to_csv(made), "json": document.to_json(made), "note": made.signature.encode()}
    return zipped({f"ecrin-{made.name}.{ending}": content for ending, content in files.items()})


def _wanted(visit: Visit) -> Definition:
    try:
        return catalog.definition(visit.params["name"])
    except UnknownReport:
        raise Problem("not_found") from None


def _kept(visit: Visit, wanted: Definition) -> dict[str, str]:
    words = {name: filters.word(visit.query, name) for name in _WORDS if name in wanted.knows}
    return words | {name: visit.query.get(name, "") for name in ("since", "until")}


def _whom(visit: Visit, wanted: Definition) -> dict[str, str]:
    """Return whom a form names; of an address nothing is taken. Raises `Problem`."""
    found = {name: word for name in sorted(WHOM) if (word := visit.form.get(name, "").strip())}
    if (
        not found.keys() <= wanted.knows
        or not WORD.fullmatch(found.get("staff", "-"))
        or len(found.get("reference", "")) > _LONGEST_REFERENCE
    ):
        raise Problem("bad_request")
    return found


def _asked(visit: Visit, wanted: Definition, kept: dict[str, str], whom: dict[str, str]) -> Asked:
    now = visit.now
    brand, member = kept.get("brand", ""), whom.get("staff", "")
    if member and "brand" in wanted.knows and not brand:
        raise Problem("bad_request")  # the same word is another person at another brand
    until = filters.day(kept, "until", after=True) or now + 1
    since = filters.day(kept, "since")
    try:
        return Asked(
            max(0, until - wanted.days * _DAY) if since is None else since,
            until,
            brand,
            kept.get("system", ""),
            kept.get("purpose", ""),
            whom.get("reference", ""),
            staff_told(visit.vault.keys, brand, member) if member else "",
        )
    except ValueError:
        raise Problem("bad_request") from None


def _rows(made: Report) -> int:
    return len(made.body.rows) + made.body.more
