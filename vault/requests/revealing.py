"""Revealing: a person's own values, one category at a time and only when asked for, opened on record and kept nowhere.

Which categories hold anything is told without opening one. A category that is opened leaves an entry under the person's
pseudonym that names fields and no value, before anything opens (`vault.disclosure`). What names somebody else is taken
out as it is from an access package. A free text is shown once an officer read it in the review of a package (ADR 0078), or
where the catalogue says that staff write it for the person, or where it is the person's own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import func, select

from audit.entry import Act, Entry, Outcome
from policies.catalogue import Category, Field
from policies.decision import OWN, grant_own
from vault import disclosure, facts, locked
from vault.amendments import pages
from vault.compartments import ACTIVE
from vault.disclosure import Kept
from vault.errors import IntegrityFailure, UnknownReference
from vault.locked import Locked
from vault.requests import reviewed, withheld
from vault.requests.collecting import FREE, WHOLE, masks, text_of, without_others, without_text
from vault.requests.masking import Masks
from vault.requests.reviewed import Version
from vault.requests.steps import By, by_person
from vault.requests.withheld import Standing
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault, record_apart
from vault.values import JsonValue

REVEALED: Final = "own.revealed"

_VALUE: Final = metadata.tables["field_value"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_COUNTS: Final = (
    select(_VALUE.c.category_id, func.count())
    .join(
        _COMPARTMENT,
        (_COMPARTMENT.c.subject_id == _VALUE.c.subject_id) & (_COMPARTMENT.c.category_id == _VALUE.c.category_id),
    )
    .where(_VALUE.c.current, _COMPARTMENT.c.state == ACTIVE)
    .group_by(_VALUE.c.category_id)
)


@dataclass(frozen=True, slots=True)
class OwnValue:
    """One value as its person sees it. `source` is the system that recorded it; days are inclusive, None leaves open.

    `cut`: what names somebody else was taken out of it. `withheld`: on what ground its text is kept back, if it is.
    `unreviewed`: no officer has read its text yet. Of both the text is left out; a value that is all text is None then.
    """

    item: int
    value: JsonValue = field(repr=False)
    cut: bool
    source: str
    recorded_at: int
    valid_from: date | None = field(repr=False)
    valid_until: date | None = field(repr=False)
    withheld: str = ""
    unreviewed: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What officers decided of a person's texts: which are kept back, which versions were read."""

    grounds: Standing
    given: frozenset[Version]


@dataclass(frozen=True, slots=True)
class Own:
    """What a person was shown: by field, those that hold anything. `unread` did not open: said, not passed over."""

    held: Mapping[Field, tuple[OwnValue, ...]] = field(repr=False)
    unread: tuple[Field, ...]


def counts(uow: UnitOfWork, person: Locked, brand: str) -> dict[str, int]:
    """Count what a brand holds of a person, by category, without opening any of it. What is being erased is not there."""
    rows = uow.conn.execute(_COUNTS.where(_VALUE.c.subject_id == person.subject, _VALUE.c.holder == brand))
    catalogue = uow.vault.bundle.catalogue
    return {catalogue.category_by_id(category).name: count for category, count in rows}


def reveal(vault: Vault, brand: str, reference: str, category: Category) -> Own:
    """Show a person what one category holds of them at a brand. Raises `UnknownReference`."""
    return own_values(vault, brand, reference, category.fields)


def own_values(vault: Vault, brand: str, reference: str, fields: Iterable[Field]) -> Own:
    """Open fields of a person for that person, on record. Raises `UnknownReference` where nobody is any more."""
    kept, unread = opened(vault, brand, reference, fields)
    veils = masks((of, one.value.value) for of, part in kept.items() for one in part)
    by = judged(vault, brand, reference)
    return Own({of: tuple(shown(of, one, veils, by) for one in part) for of, part in kept.items()}, unread)


def opened(
    vault: Vault,
    brand: str,
    reference: str,
    fields: Iterable[Field],
    by: By | None = None,
    pol: tuple[str, ...] = (REVEALED,),
    *,
    past: bool = False,
) -> tuple[dict[Field, tuple[Kept, ...]], tuple[Field, ...]]:
    """Open fields of a person as they are kept, and name those that did not open; on record before.

    For the person, unless `by` names the officer who handles a request of theirs: then it is recorded as a look at that.
    With `past` what was replaced is opened too.
    Raises `UnknownReference`.
    """
    act, actor = (Act.SUBJECT_EXPORTED, by_person(vault).actor) if by is None else (Act.REQUEST_VIEWED, by.actor)
    with vault.unit() as uow:
        (person,) = locked.by_reference(uow, [(brand, reference)])
        if isinstance(person, UnknownReference):
            raise person
        (known,) = facts.load(uow, brand, [person.subject])
        grant = None if known is None else grant_own(known.facts, brand, person.subject, fields)
        if grant is None:
            raise UnknownReference
        today = datetime.fromtimestamp(uow.now, UTC).date()
        selection = disclosure.select(uow, [grant], as_known_on=[today] if past else None)
        wanted = [each.field for each in grant.fields]
        told = [
            Entry(act, Outcome.ALLOW, actor, page, OWN, grant.basis, pol)
            for page in pages(f"{each.name}:raw" for each in wanted)
        ]
        entries = [uow.record(each, log_key=person.log_key) for each in told]
        commit = uow.commit()
    (shown,) = disclosure.reveal_own(vault, commit, selection, entries[:1], past=past)
    held: dict[Field, tuple[Kept, ...]] = {}
    unread: list[Field] = []
    for each in wanted:
        part = shown[each.name]
        if isinstance(part, IntegrityFailure):
            unread.append(each)
        elif part:
            held[each] = part
    if unread:
        names = tuple(f"{each.name}:raw" for each in unread)
        failed = Entry(act, Outcome.ERROR, actor, names, OWN, grant.basis, pol)
        record_apart(vault, [(failed, person.log_key)])
    return held, tuple(unread)


def judged(vault: Vault, brand: str, reference: str) -> Judged:
    """Return what officers decided of a person's texts. Raises `UnknownReference`."""
    with vault.unit() as uow:
        (person,) = locked.by_reference(uow, [(brand, reference)])
        if isinstance(person, UnknownReference):
            raise person
        return Judged(
            withheld.standing(uow.conn, person.subject, brand), reviewed.given(uow.conn, person.subject, brand)
        )


def shown(of: Field, kept: Kept, veils: Masks, by: Judged) -> OwnValue:
    """Return a value as its person is shown it, without the text that is kept back or that nobody has read."""
    value, cut = without_others(of, kept.value.value, veils)
    ground = by.grounds.get((of.id, kept.item))
    unreviewed = ground is None and _unreviewed(of, kept, by.given)
    if ground is not None or unreviewed:
        value = without_text(of, value)
    return OwnValue(
        kept.item,
        value,
        cut,
        kept.value.source,
        kept.value.recorded_at,
        kept.value.valid_from,
        kept.value.valid_until,
        "" if ground is None else ground.value,
        unreviewed,
    )


def _unreviewed(of: Field, kept: Kept, given: frozenset[Version]) -> bool:
    if of.written_for_person or not text_of(of, kept.value.value) or (of.id, kept.item, kept.version) in given:
        return False
    # Their own words they need not wait for. A record that they corrected in part may hold what staff wrote beside it.
    return not (WHOLE in FREE[of.type] and kept.value.source == OWN)
