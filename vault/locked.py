"""Subjects locked for a change: resolved from a brand's references, in one order, until the unit of work ends.

Every change of a subject's values or consents goes through here, so that two of them never interleave: value versions
and consent chains are then counted in memory without a race. Rows are locked in the order of their ids; two batches
that share subjects wait for each other and never deadlock. (SQLite has locked the whole database by then.)
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, select

from vault import references
from vault.errors import KeyUnavailable, UnknownReference
from vault.keys.service import Slot
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork

_SUBJECT = metadata.tables["subject"]

ACTIVE: Final = "active"

_LOCK = (
    select(
        _SUBJECT.c.id,
        _SUBJECT.c.shard,
        _SUBJECT.c.region,
        _SUBJECT.c.version,
        _SUBJECT.c.minor,
        _SUBJECT.c.log_slot,
        _SUBJECT.c.log_generation,
        _SUBJECT.c.log_key,
    )
    .where(_SUBJECT.c.id.in_(bindparam("ids", expanding=True)), _SUBJECT.c.state == ACTIVE)
    .order_by(_SUBJECT.c.id)
    .with_for_update()
)


@dataclass(slots=True)
class Locked:
    """A subject's row, locked. `log_key` is the opened 32-byte key that relates log entries to the subject."""

    subject: bytes
    shard: int
    region: str
    version: int
    minor: bool
    log_key: bytes = field(repr=False)


def by_reference(uow: UnitOfWork, asked: Sequence[tuple[str, str]]) -> list[Locked | UnknownReference]:
    """Resolve (brand, reference) pairs and lock their subjects, in the order asked; one `Locked` per subject.

    A reference that does not resolve, or whose subject is erased or being erased, is `UnknownReference`.
    """
    subjects = references.locate(uow, asked)
    rows = by_id(uow, {subject for subject in subjects if subject is not None})
    return [rows[subject] if subject in rows else UnknownReference() for subject in subjects]


def by_id(uow: UnitOfWork, subjects: Collection[bytes]) -> dict[bytes | None, Locked]:
    """Lock subjects by id. Raises `KeyUnavailable` where a log key is gone: no act without its entry."""
    if not subjects:
        return {}
    rows = uow.conn.execute(_LOCK, {"ids": padded(sorted(subjects))}).all()
    keys = uow.vault.keys.unwrap([(Slot(row.log_slot, row.log_generation), row.log_key) for row in rows])
    locked: dict[bytes | None, Locked] = {}
    for row, key in zip(rows, keys, strict=True):
        if key is None:
            raise KeyUnavailable
        locked[row.id] = Locked(row.id, row.shard, row.region, row.version, row.minor, key)
    return locked
