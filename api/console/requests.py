"""Requests of data subjects: the register with its clock, one request by its phases, and the steps officers take.

The register holds nothing the person wrote. What they wrote opens on one button, for an officer who has just proved to be
there, and is recorded before.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from starlette.responses import Response

from api.console import filters, handover
from api.console.visit import PREFIX, Visit
from api.pages.terms import GROUNDS, RIGHTS, SAID, STAGES
from api.problems import Problem
from policies.rights import Assurance, Right
from vault import systems
from vault.errors import IntegrityFailure, UnknownRequest
from vault.requests import acts, delivering, entries, erasing, handling, records, withheld, withholding
from vault.requests.content import Content
from vault.requests.delivering import GOOD_FOR
from vault.requests.entries import Compared
from vault.requests.records import Ground, Request, Step, Wanted
from vault.requests.states import OVER, Move, State, moves_from
from vault.requests.steps import DECIDED, By, by_officer
from vault.requests.withholding import Text

K = TypeVar("K", bound=StrEnum)

PATH: Final = f"{PREFIX}/requests"
PAGE: Final = 50
TABS: Final = ("summary", "identity", "work", "answer", "steps")

_DAY: Final = 86_400
# Moves that a button takes without more; the others need a word.
_PLAIN: Final = frozenset(
    {
        Move.ACKNOWLEDGE,
        Move.ASK_IDENTITY,
        Move.COLLECT,
        Move.REVIEW,
        Move.DELIVER,
        Move.CLOSE,
        Move.RESUME,
        Move.WITHDRAW,
    }
)
_WITH_REASON: Final = frozenset({Move.HALT, Move.EXTEND, Move.FAIL_IDENTITY})
# What has a module of its own; an erasure is approved by another officer than the one who rehearsed it.
_ACTS: Final = {
    Move.PREPARE: delivering.prepare,
    Move.CHECK_HOLDS: erasing.check_holds,
    Move.REHEARSE: erasing.rehearse,
    Move.APPROVE: erasing.approve,
}
_PHASE: Final = {
    "identity": frozenset({Move.ACKNOWLEDGE, Move.ASK_IDENTITY, Move.FAIL_IDENTITY}),
    "work": frozenset({Move.COLLECT, Move.REVIEW, Move.HALT, Move.RESUME, Move.EXTEND}),
    "answer": frozenset({*_ACTS, Move.EXECUTE, Move.DELIVER, Move.CLOSE, Move.WITHDRAW}),
}
# The steps that lead on, by the tab they are on: the others stop, lengthen or end.
_ONWARD: Final = {
    "identity": frozenset({Move.ACKNOWLEDGE, Move.ACCEPT_IDENTITY}),
    "work": frozenset({Move.COLLECT, Move.REVIEW, Move.RESUME}),
    "answer": frozenset({*_ACTS, Move.CARRY_OUT, Move.DELIVER, Move.CLOSE, Move.CONFIRM_REFUSAL}),
}
_REHEARSED: Final = frozenset({State.DRY_RUN, State.SECOND_APPROVAL})
_RUNGS: Final = (Assurance.PURCHASE, Assurance.SIGNED_IN, Assurance.DOCUMENT)


def page(visit: Visit) -> Response:
    """Show the register, the one due first at the top. That it was looked at is recorded."""
    query, say = visit.query, visit.language.say
    everything = query.get("show") == "all"
    kept = {"show": "all" if everything else ""} | {
        name: filters.word(query, name) for name in ("right", "state", "brand")
    }
    wanted = Wanted(
        brand=kept["brand"] or None,
        rights=(_one_of(Right, kept["right"]),) if kept["right"] else (),
        states=(_one_of(State, kept["state"]),) if kept["state"] else (),
        open_only=not everything,
        beyond=_beyond(query),
        most=PAGE + 1,  # one more than a page: whether there is another
    )
    found = handling.register(visit.vault, wanted, _by(visit))
    rows, last = [(each, _left(visit, each)) for each in found[:PAGE]], found[PAGE - 1] if len(found) > PAGE else None
    with visit.vault.reading() as conn:
        brands = systems.brands(conn)
    return visit.page(
        "requests.html", rows=rows, everything=everything, path=PATH, kept=kept,
        open_path=filters.link(PATH, kept | {"show": ""}), all_path=filters.link(PATH, kept | {"show": "all"}),
        first=filters.link(PATH, kept) if wanted.beyond else None,
        onward=None if last is None else filters.link(PATH, kept | {"after": "{}.{}.{}".format(*last.place[:2], last.name)}),
        rights_said=[(each.value, say(RIGHTS[each])) for each in Right],
        states_said=[(each.value, say(STAGES[each])) for each in State if everything or each not in OVER],
        brands_said=[(each, each) for each in brands],
    )  # fmt: skip


def request_page(visit: Visit) -> Response:
    """Show one request, a phase at a time."""
    return _shown(visit, None)


def request(visit: Visit) -> Response:
    """Take a step, or open what the person wrote."""
    found, form = _found(visit), visit.form
    step, by = form.get("step", ""), _by(visit)
    vault = visit.unsealed()
    if step == Move.EXECUTE and form.get("sure") != "yes":
        # The browser asks for the tick; what did not come from our page, or from one that was altered, did not give it.
        return _shown(visit, None, 422, problem="unconfirmed")
    if (shows := _SHOWS.get(step)) is not None:
        return shows(visit, found, by)
    if step == "accept":
        handling.accept(vault, found.id, _one_of(Assurance, form.get("rung", "")), by)
    elif step == "refusal":
        handling.propose_refusal(vault, found.id, _one_of(Ground, form.get("ground", "")), by)
    elif step in {"confirm", "reject"}:
        handling.decide_refusal(vault, found.id, by, confirm=step == "confirm")
    elif step == "note":
        handling.annotate(vault, found.id, form.get("note", ""), by)
    elif step == Move.CARRY_OUT:
        _carry_out(visit, found, by)
    elif step == Move.EXECUTE:
        erasing.execute(vault, found.id, by, without_letter=form.get("without_letter") == "yes")
    elif (move := _one_of(Move, step)) in _ACTS:
        _ACTS[move](vault, found.id, by)
    else:
        reason = filters.word(form, "reason")
        handling.advance(vault, found.id, move, by, reason=reason if move in _WITH_REASON else "")
    tab, onward = _tab(form), _onward(_found(visit))
    if step != "note" and onward and tab not in onward:
        tab = onward[0]
    return visit.go(filters.link(f"{PATH}/{found.name}", {"tab": tab}), done="noted" if step == "note" else "stepped")


def _open(visit: Visit, found: Request, by: By) -> Response:
    """Open what the person wrote."""
    try:
        _, content = handling.view(visit.vault, found.id, by)
        beside = entries.compared(visit.vault, found.id, by) if found.right is Right.RECTIFICATION else []
    except IntegrityFailure:
        raise Problem("conflict") from None
    return _shown(visit, content, beside=beside)


def _link(visit: Visit, found: Request, by: By) -> Response:
    return _shown(visit, None, link=handover.link(visit, found, by))


def _package(visit: Visit, found: Request, by: By) -> Response:
    return handover.file(visit, found, by) or _shown(visit, None, 422, problem="bad_key")


def _texts(visit: Visit, found: Request, by: By) -> Response:
    """Show the free texts that a package would give."""
    return _shown(visit, None, texts=withholding.texts(visit.vault, found.id, by))


def _withhold(visit: Visit, found: Request, by: By) -> Response:
    ground = _one_of(Ground, visit.form.get("ground", ""))
    withholding.withhold(visit.vault, found.id, *_place(visit), ground, by)
    return _texts(visit, found, by)


def _give(visit: Visit, found: Request, by: By) -> Response:
    withholding.give(visit.vault, found.id, *_place(visit), by)
    return _texts(visit, found, by)


def _place(visit: Visit) -> tuple[str, int]:
    return visit.form.get("field", ""), filters.number(visit.form, "item") or 0


# What shows something and takes no step in the table.
_SHOWS: Final[Mapping[str, Callable[[Visit, Request, By], Response]]] = {
    "open": _open,
    "link": _link,
    "package": _package,
    "texts": _texts,
    "withhold": _withhold,
    "give": _give,
}


def _carry_out(visit: Visit, found: Request, by: By) -> None:
    """Do what was asked for: write the values anew, restrict, or note what was decided."""
    if found.right is Right.RECTIFICATION:
        acts.rectify(visit.vault, found.id, by)
    elif found.right is Right.RESTRICTION:
        acts.restrict(visit.vault, found.id, by)
    else:
        handling.decide(visit.vault, found.id, by, filters.word(visit.form, "reason"), visit.form.get("answer", ""))


def _shown(
    visit: Visit,
    content: Content | None,
    status: int = 200,
    *,
    link: str = "",
    problem: str = "",
    beside: Sequence[Compared] = (),
    texts: Sequence[Text] | None = None,
) -> Response:
    found = _found(visit)
    _, taken = handling.history(visit.vault, found.id)
    say = visit.language.say
    possible = set(moves_from(found.right, found.state))
    plain = _PLAIN | _ACTS.keys() | {Move.EXECUTE}
    if handover.possible(found):
        plain -= {Move.DELIVER}  # a package is delivered by giving it out
    return visit.page(
        "request.html",
        status,
        request=found,
        left=_left(visit, found),
        rule=found.rule(visit.vault.bundle.rights),
        last_day=found.last_day(visit.vault.bundle.rights, visit.now),
        taken=taken,
        tab=_tab(visit.form or visit.query),
        plan=_plan(visit, found, taken),
        kept=_kept(visit, found, taken),
        tabs=TABS,
        onward=_onward(found),
        plain={name: sorted(possible & plain & moves) for name, moves in _PHASE.items()},
        reasoned={name: sorted(possible & _WITH_REASON & moves) for name, moves in _PHASE.items()},
        accepts=Move.ACCEPT_IDENTITY in possible,
        refuses=Move.PROPOSE_REFUSAL in possible,
        decides=found.state is State.REFUSAL_PROPOSED,
        rungs_said=[(each.value, say(SAID[each])) for each in _RUNGS],
        grounds_said=[(each.value, say(GROUNDS[each])) for each in Ground],
        content=content,
        beside=[(each.of.title, _plain(each.stands), _plain(each.asked), each.asked is None) for each in beside],
        path=f"{PATH}/{found.name}",
        carries=Move.CARRY_OUT in possible,
        decided=found.right in DECIDED,
        hands_over=handover.possible(found),
        reads=withholding.possible(found.right, found.state),
        texts=texts,
        unread=withholding.unread(visit.vault, found),
        withheld_said=[(each.value, say(GROUNDS[each])) for each in withheld.GROUNDS],
        link=link,
        good_until=visit.now + GOOD_FOR,
        problem=problem,
        letter_waits=Move.EXECUTE in possible and _letter_waits(visit, found),
    )


def _letter_waits(visit: Visit, found: Request) -> bool:
    with visit.vault.unit() as uow:
        return erasing.letter_waits(uow, found)


def _onward(found: Request) -> list[str]:
    """Return the tabs with a step that leads on."""
    possible = moves_from(found.right, found.state)
    return [name for name, moves in _ONWARD.items() if not moves.isdisjoint(possible)]


def _kept(visit: Visit, found: Request, taken: Sequence[Step]) -> dict[str, list[Mapping[str, str]]] | None:
    """Return what the last look at holds found that stays, as titles of categories by what keeps them; None before it."""
    said = next((each.said for each in reversed(taken) if each.move is Move.CHECK_HOLDS), None)
    if found.state is not State.HOLD_CHECK or said is None:
        return None
    told = [each.partition(":")[::2] for each in said]
    title = visit.vault.bundle.catalogue.category
    return {kind: [title(name).title for why, name in told if why == kind] for kind in ("law", "hold")}


def _plan(visit: Visit, found: Request, taken: Sequence[Step]) -> dict[str, list[Mapping[str, str]]]:
    """Return what the rehearsal said would be destroyed and kept, as titles of categories: what the tick is about."""
    said = next((each.said for each in reversed(taken) if each.move is Move.REHEARSE), ())
    if found.state not in _REHEARSED or not said:
        return {}
    told = [each.partition(":")[::2] for each in said]
    title = visit.vault.bundle.catalogue.category
    return {kind: [title(name).title for what, name in told if what == kind] for kind in ("destroys", "keeps")}


def _plain(value: object) -> str:
    """Write a value as it is kept, for whoever decides about it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_plain(each)}" for name, each in value.items())
    return "; ".join(map(_plain, value)) if isinstance(value, list) else "" if value is None else str(value)


def _found(visit: Visit) -> Request:
    try:
        with visit.vault.reading() as conn:
            return records.get(conn, records.identifier(visit.params["id"]))
    except UnknownRequest:
        raise Problem("not_found") from None


def _left(visit: Visit, found: Request) -> int | None:
    """Return the days until it is due, negative when it is late; None for what was answered."""
    if not found.is_owed:
        return None
    return (found.due(visit.vault.bundle.rights, visit.now) - visit.now) // _DAY


def _beyond(query: Mapping[str, str]) -> tuple[int, int, bytes] | None:
    """Read where the page before ended. Raises `Problem`."""
    found = filters.word(query, "after")
    if not found:
        return None
    answered, _, rest = found.partition(".")
    at, _, name = rest.partition(".")
    try:
        return int(answered == "1"), filters.number({"at": at}, "at") or 0, records.identifier(name)
    except UnknownRequest:
        raise Problem("bad_request") from None


def _by(visit: Visit) -> By:
    return by_officer(visit.officer.id)


def _tab(words: Mapping[str, str]) -> str:
    name = words.get("tab", "")
    return name if name in TABS else TABS[0]


def _one_of(kind: type[K], text: str) -> K:
    try:
        return kind(text)
    except ValueError:
        raise Problem("bad_request") from None
