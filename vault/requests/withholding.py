"""Withholding: an officer who reviews a package reads the free texts in it and keeps single ones back, each on a ground.

A machine masks what looks like somebody else's (`vault.requests.masking`); an allusion, a confidence, a name that stands
nowhere else takes somebody who reads. What is kept back is said in the package, with its ground, and at the portal too; the
rest of the entry (a note's date and topic) is given. It can be undone until the review is over, and in the next request.

What was read and not kept back by the time the review ends with a package, the portal gives from then on (ADR 0078); until
somebody read it, it gives none of it (`vault.requests.reviewed`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select

from audit.entry import Act, Entry, Outcome
from policies.catalogue import Field
from policies.rights import Right
from vault import references
from vault.errors import InvalidFields, UnknownReference
from vault.requests import reviewed, withheld
from vault.requests.collecting import FREE, categories, text_of
from vault.requests.records import Ground, Request
from vault.requests.revealing import opened
from vault.requests.reviewed import Version
from vault.requests.states import IllegalMove, Move, State
from vault.requests.steps import By, Held, checked, denials, handling, lock, vouched
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

_VALUE: Final = metadata.tables["field_value"]
_WITH_PACKAGE: Final = frozenset({Right.ACCESS, Right.PORTABILITY})


@dataclass(frozen=True, slots=True)
class Text:
    """One free text as it is kept. `ground`: why it is kept back, None if it is given. `stands` False: it was replaced."""

    of: Field
    item: int
    text: str = field(repr=False)
    source: str
    recorded_at: int
    stands: bool
    ground: Ground | None


def possible(right: Right, state: State) -> bool:
    """Tell whether texts of a request can be read and kept back: while its package is reviewed."""
    return right in _WITH_PACKAGE and state is State.OFFICER_REVIEW


def unread(vault: Vault, request: Request) -> int:
    """Count what a package would give that may hold a free text, earlier versions too, and that nobody has read.

    Nothing is opened. What is kept back, and what staff write for the person to read, is not counted.
    """
    if request.subject is None or not possible(request.right, request.state):
        return 0
    fields = [each for each in _fields(vault, request) if not each.written_for_person]
    with vault.reading() as conn:
        back = withheld.standing(conn, request.subject, request.brand)
        found = reviewed.there(conn, request.subject, request.brand, fields)
        seen = reviewed.read(conn, request.subject, request.brand, request.id)
    return sum(each[:2] not in back for each in found - seen)


def texts(vault: Vault, request_id: bytes, by: By) -> list[Text]:
    """Show an officer every free text that a package would give, with those of earlier days; on record before they open.

    That they were read is noted, and counts once the review ends with a package (`end_review`). Raises `IllegalMove`
    outside the review, and as `handling.view`.
    """
    with denials(vault, request_id, Move.VIEW, by), vault.unit() as uow:
        held = _reviewed(uow, request_id, Move.VIEW, by)
        request, subject = held.request, _subject(held)
        fields = _fields(vault, request)
        (reference,) = references.of(uow, request.brand, [subject])
        if reference is None:
            raise IllegalMove
        signed = vouched(uow, by, request, Move.VIEW)
        back = withheld.standing(uow.conn, subject, request.brand)
        # Read before they open: what is written from here on may not be among what opens.
        there = reviewed.there(uow.conn, subject, request.brand, fields)
        uow.commit()
    try:
        pol = (f"request:{request.name}", *signed)
        found, closed = opened(vault, request.brand, reference, fields, by, pol, past=True)
    except UnknownReference:
        raise IllegalMove from None
    shut = {each.id for each in closed}
    _note(vault, request_id, [each for each in there if each[0] not in shut])
    return [
        Text(
            of, one.item, text, one.value.source, one.value.recorded_at, one.replaced_at is None,
            back.get((of.id, one.item)),
        )
        for of, part in found.items()
        for one in part
        if (text := text_of(of, one.value.value))
    ]  # fmt: skip


def withhold(vault: Vault, request_id: bytes, name: str, item: int, ground: Ground, by: By) -> None:
    """Keep one text back from its person, with all that its entry said before. Raises as `give`, and for another ground."""

    def act(uow: UnitOfWork, held: Held, of: Field) -> None:
        checked([] if ground in withheld.GROUNDS else [("ground", "not_a_ground")])
        withheld.keep(uow, _subject(held), held.request.brand, of, item, ground)
        reviewed.take_back(uow, _subject(held), held.request.brand, of, item)

    _decide(vault, request_id, name, item, withholding_of(name, item, ground), by, act)


def give(vault: Vault, request_id: bytes, name: str, item: int, by: By) -> None:
    """Keep a text back no longer: the package gives it, and the portal once the review in which it was read has ended.

    Raises `InvalidFields` where there is no such text, `IllegalMove` outside the review, `NotSigned`, `UnknownOfficer`.
    """

    def act(uow: UnitOfWork, held: Held, of: Field) -> None:
        was = withheld.give(uow, _subject(held), held.request.brand, of, item)
        checked([] if was else [(of.name, "not_withheld")])

    _decide(vault, request_id, name, item, withholding_of(name, item, None), by, act)


def withholding_of(name: str, item: int, ground: Ground | None) -> tuple[str, ...]:
    """Return the codes that an officer signs for: which text is kept back on which ground, or given for None."""
    said = ("change:given",) if ground is None else ("change:withheld", f"ground:{ground}")
    return (*said, f"field:{name}", f"item:{item}")


def end_review(uow: UnitOfWork, held: Held, by: By) -> None:
    """Let what was read in the review, and is not kept back, count as read: the step that ends it with a package."""
    request = held.request
    if held.person is None or not possible(request.right, request.state):
        return
    subject, vault = held.person.subject, uow.vault
    back = withheld.standing(uow.conn, subject, request.brand)
    given = reviewed.give(uow, subject, request.brand, request.id, _fields(vault, request), back.keys())
    if given:
        names = sorted({vault.bundle.catalogue.field_by_id(each[0]).name for each in given})
        pol = (f"request:{request.name}", "change:reviewed")
        entry = Entry(Act.REQUEST_ADVANCED, Outcome.ALLOW, by.actor, tuple(names), pol=pol, n=len(given))
        uow.record(entry, log_key=held.log_key)


def _note(vault: Vault, request_id: bytes, versions: Sequence[Version]) -> None:
    with vault.unit() as uow:
        held = lock(uow, request_id)
        # A review that was ended by somebody else meanwhile has given what was read by then, and no more.
        if held.person is not None and possible(held.request.right, held.request.state):
            reviewed.note(uow, held.person.subject, held.request.brand, request_id, versions)
            uow.commit()


def _fields(vault: Vault, request: Request) -> list[Field]:
    return [each for group in categories(vault.bundle, request) for each in group.fields if each.type in FREE]


def _decide(
    vault: Vault,
    request_id: bytes,
    name: str,
    item: int,
    said: tuple[str, ...],
    by: By,
    act: Callable[[UnitOfWork, Held, Field], None],
) -> None:
    with denials(vault, request_id, Move.REVIEW, by), vault.unit() as uow:
        held = _reviewed(uow, request_id, Move.REVIEW, by)
        of = vault.bundle.catalogue.fields.get(name)
        if of is None or of.type not in FREE:
            raise InvalidFields((("field", "no_text"),))
        if not _there(uow, held, of, item):
            raise InvalidFields(((of.name, "unknown_item"),))
        signed = vouched(uow, by, held.request, Move.REVIEW, said)
        act(uow, held, of)
        pol = (f"request:{held.request.name}", *(each for each in said if each != f"field:{name}"), *signed)
        uow.record(Entry(Act.REQUEST_ADVANCED, Outcome.ALLOW, by.actor, (of.name,), pol=pol), log_key=held.log_key)
        uow.commit()


def _reviewed(uow: UnitOfWork, request_id: bytes, move: Move, by: By) -> Held:
    handling(uow, by.actor.id, move)
    held = lock(uow, request_id)
    if not possible(held.request.right, held.request.state):
        raise IllegalMove
    return held


def _subject(held: Held) -> bytes:
    if held.person is None:
        raise IllegalMove
    return held.person.subject


def _there(uow: UnitOfWork, held: Held, of: Field, item: int) -> bool:
    row = select(_VALUE.c.item).where(
        _VALUE.c.subject_id == _subject(held),
        _VALUE.c.category_id == of.category_id,
        _VALUE.c.field_id == of.id,
        _VALUE.c.item == item,
        _VALUE.c.holder == held.request.brand,
    )
    return uow.conn.execute(row.limit(1)).first() is not None
