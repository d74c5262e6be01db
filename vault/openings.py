"""Opens stored values for the vault's own work: to find, count or seal them anew, and to prove that they are unchanged.

Not a way out: what is opened here is hashed, counted, compared or sealed again inside this package. Giving out goes through grants and the log (`vault.disclosure`).
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, select

from vault import envelope
from vault.compartments import domain
from vault.envelope import FieldContext
from vault.keys.service import KeyService, Slot
from vault.store.tables import metadata

_VALUE: Final = metadata.tables["field_value"]
_COMPARTMENT: Final = metadata.tables["compartment"]


HOME: Final = (_COMPARTMENT.c.subject_id == _VALUE.c.subject_id) & (_COMPARTMENT.c.category_id == _VALUE.c.category_id)
"""Joins a value to the compartment it lies in."""


class Stored(NamedTuple):
    """A value row and the leaf that opens it."""

    subject: bytes
    category_id: int
    field_id: int
    item: int
    version: int
    holder: str
    schema_version: int
    envelope: bytes
    shard: int
    slot: int
    generation: int

    @property
    def at(self) -> tuple[bytes, int, int, int, int]:
        """Return the row's key."""
        return self[:5]

    @property
    def leaf(self) -> Slot:
        """Return its leaf."""
        return Slot(self.slot, self.generation)


STORED: Final[Select[Any]] = select(
    _VALUE.c.subject_id,
    _VALUE.c.category_id,
    _VALUE.c.field_id,
    _VALUE.c.item,
    _VALUE.c.version,
    _VALUE.c.holder,
    _VALUE.c.schema_version,
    _VALUE.c.envelope,
    _VALUE.c.shard,
    _COMPARTMENT.c.slot,
    _COMPARTMENT.c.generation,
).join(_COMPARTMENT, HOME)


def opened(keys: KeyService, deployment: str, rows: Sequence[Stored]) -> list[bytes | None]:
    """Open rows, in order, with one call of the key service. None where leaf, key or bytes do not fit."""
    deks = keys.unwrap([(row.leaf, row.envelope[envelope.WRAPPED]) for row in rows]) if rows else []
    return envelope.open_each([row.envelope for row in rows], deks, [context(deployment, row) for row in rows])


def context(deployment: str, row: Stored) -> FieldContext:
    """Return what a row's envelope is bound to."""
    where = domain(deployment, row.holder)
    return FieldContext(where, row.subject, row.category_id, row.field_id, row.item, row.schema_version, row.version)
