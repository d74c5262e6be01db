"""Moving every compartment to a fresh leaf, in the background: for leaves that may be known, as after a stolen keystore.

A compartment is due when its leaf was given out before the job began: leaves are given out in rising order, so the
highest one in use at the beginning says which. Nothing else has to be remembered, and whoever carries the job on names
that leaf again. The leaves that are left are noted in the unit that leaves them, and queued for destruction after it.

With the next epoch change they are gone, and with them whatever older *backups of the data* hold of these compartments:
take a backup when the job is done.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select

from vault.compartments import ACTIVE
from vault.erasure import keeping, records
from vault.erasure.rekeying import rekey
from vault.keys.service import Slot
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

SUBJECTS_PER_UNIT: Final = 100

_COMPARTMENT: Final = metadata.tables["compartment"]
_LEFT: Final = metadata.tables["left_leaf"]

_DUE: Final = (_COMPARTMENT.c.slot <= bindparam("last"), _COMPARTMENT.c.state == ACTIVE)
_NEXT: Final = (
    select(_COMPARTMENT.c.subject_id)
    .where(_COMPARTMENT.c.subject_id > bindparam("after"), *_DUE)
    .distinct()
    .order_by(_COMPARTMENT.c.subject_id)
    .limit(bindparam("most"))
)
_LEAVES: Final = select(_LEFT.c.slot, _LEFT.c.generation).limit(bindparam("most"))
_FORGET: Final = delete(_LEFT).where(
    _LEFT.c.slot == bindparam("of_slot"), _LEFT.c.generation == bindparam("of_generation")
)


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """How far the job is: compartments moved by this run, and those still due. `last` is its name: the highest old leaf."""

    last: int
    done: int
    left: int


def rekey_all(vault: Vault, last: int | None = None, *, subjects: int = SUBJECTS_PER_UNIT) -> Iterator[Rekeyed]:
    """Move all compartments whose leaf is `last` or before it; as given by an earlier run, or begin anew.

    Yields after each unit; stopping in between loses nothing. Leaves that a process set aside before and uses later are
    moved as well if the job is carried on: once too often, never once too few. Raises KeyUnavailable when leaves run out.
    """
    retire_left(vault)
    if last is None:
        last = _highest(vault)
    done, left, after = 0, _count(vault, last), b""
    yield Rekeyed(last, done, left)
    while True:
        with vault.reading() as conn:
            due = _next(conn, last, after, subjects)
        if not due:
            return
        with vault.unit() as uow:
            moved = _move(uow, due, last)
            uow.commit()
        retire_left(vault)
        done, left, after = done + moved, max(0, left - moved), due[-1]
        yield Rekeyed(last, done, left)


def retire_left(vault: Vault) -> None:
    """Queue the leaves that compartments left: also those of a run that crashed before it could."""
    while True:
        with vault.reading() as conn:
            slots = [Slot(*row) for row in conn.execute(_LEAVES, {"most": 1000})]
        if not slots:
            return
        vault.keys.retire(slots)
        with vault.unit() as uow:
            uow.conn.execute(_FORGET, [{"of_slot": slot.number, "of_generation": slot.generation} for slot in slots])
            uow.commit()


def _move(uow: UnitOfWork, subjects: Sequence[bytes], last: int) -> int:
    """Move what is still due of these subjects, under their locks."""
    people = list(records.lock_people(uow, subjects))
    held = keeping.filled(uow.conn, people)
    due = [
        each
        for subject in people
        for each in held[subject].values()
        if each.slot.number <= last and each.state == ACTIVE
    ]
    rows: list[dict[str, Any]] = [
        {"slot": slot.number, "generation": slot.generation} for slot in (rekey(uow, due) if due else ())
    ]
    insert_rows(uow.conn, _LEFT, rows)
    return len(rows)


def _highest(vault: Vault) -> int:
    with vault.reading() as conn:
        return conn.scalar(select(func.max(_COMPARTMENT.c.slot))) or 0


def _count(vault: Vault, last: int) -> int:
    with vault.reading() as conn:
        return conn.scalar(select(func.count()).select_from(_COMPARTMENT).where(*_DUE), {"last": last}) or 0


def _next(conn: Connection, last: int, after: bytes, most: int) -> list[bytes]:
    return list(conn.scalars(_NEXT, {"last": last, "after": after, "most": most}))
