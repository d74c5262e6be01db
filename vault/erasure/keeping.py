"""What may not be destroyed yet: by a hold that somebody placed, or by a law that the catalogue names.

Asked at every step of an erasure, from the request to the moment before the old root is destroyed. A hold has no end
until it is released; a legal retention ends a number of days after the compartment was last written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from policies.catalogue import Catalogue
from policies.errors import UnknownCategory
from vault.keys.service import Slot
from vault.store.keysets import padded
from vault.store.tables import metadata

DAY: Final = 86_400
EVERY_CATEGORY: Final = 0

_HOLD: Final = metadata.tables["hold"]
_COMPARTMENT: Final = metadata.tables["compartment"]

_STANDING: Final = select(_HOLD.c.subject_id, _HOLD.c.category_id, _HOLD.c.reason).where(
    _HOLD.c.subject_id.in_(bindparam("subjects", expanding=True)), _HOLD.c.released_at.is_(None)
)
_FILLED: Final = select(
    _COMPARTMENT.c.subject_id,
    _COMPARTMENT.c.category_id,
    _COMPARTMENT.c.slot,
    _COMPARTMENT.c.generation,
    _COMPARTMENT.c.writes,
    _COMPARTMENT.c.written_at,
    _COMPARTMENT.c.state,
).where(_COMPARTMENT.c.subject_id.in_(bindparam("subjects", expanding=True)))


class Because(StrEnum):
    """What forbids a destruction."""

    HOLD = "hold"
    LAW = "law"


@dataclass(frozen=True, slots=True)
class Kept:
    """A category that stays: `reason` is the hold's code or the law's citation, `until` UTC seconds, None if unknown."""

    category_id: int
    because: Because
    reason: str
    until: int | None


class Filled(NamedTuple):
    """A compartment that exists. `writes` is the last value version given out in it."""

    subject: bytes
    category_id: int
    slot: Slot
    writes: int
    written_at: int
    state: str


def filled(conn: Connection, subjects: Sequence[bytes]) -> dict[bytes, dict[int, Filled]]:
    """Read the compartments of subjects: subject -> category id -> compartment."""
    found: dict[bytes, dict[int, Filled]] = {subject: {} for subject in subjects}
    if subjects:
        for subject, category_id, slot, generation, *rest in conn.execute(_FILLED, {"subjects": padded(list(found))}):
            found[subject][category_id] = Filled(subject, category_id, Slot(slot, generation), *rest)
    return found


def kept(
    conn: Connection, catalogue: Catalogue, compartments: Mapping[bytes, Mapping[int, Filled]], now: int
) -> dict[tuple[bytes, int], Kept]:
    """Tell which compartments may not be destroyed at `now`, and why. A hold is named before a law: it has no end."""
    if not compartments:
        return {}
    held: dict[tuple[bytes, int], str] = {}
    for subject, category_id, reason in conn.execute(_STANDING, {"subjects": padded(list(compartments))}):
        held[subject, category_id] = reason
    found: dict[tuple[bytes, int], Kept] = {}
    for subject, categories in compartments.items():
        for category_id, each in categories.items():
            reason = held.get((subject, EVERY_CATEGORY)) or held.get((subject, category_id))
            if reason is not None:
                found[subject, category_id] = Kept(category_id, Because.HOLD, reason, None)
            elif (lawful := _by_law(catalogue, each, now)) is not None:
                found[subject, category_id] = lawful
    return found


def name_of(catalogue: Catalogue, category_id: int) -> str:
    """Return the name of a category, or its number where a later catalogue has dropped it."""
    try:
        return catalogue.category_by_id(category_id).name
    except UnknownCategory:
        return str(category_id)


def _by_law(catalogue: Catalogue, compartment: Filled, now: int) -> Kept | None:
    try:
        law = catalogue.category_by_id(compartment.category_id).legal_retention
    except UnknownCategory:
        return None
    if law is None:
        return None
    until = compartment.written_at + law.days * DAY
    return Kept(compartment.category_id, Because.LAW, law.basis, until) if until > now else None
