"""Sealing values anew that an earlier version or suite sealed, in the background, until none is left.

Which are due stands in the first two bytes of each row, so nothing has to be remembered: a job that was stopped finds
the rest again. The row keeps its place, its version and its dates; data key, message and header are new. Values that
do not open are counted and left as they are, unreadable as before: whatever was done to them is not papered over.

Plaintext is here between the opening and the sealing of one value. It leaves neither this module nor this process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, func, select, tuple_, update

from vault import envelope, openings
from vault.compartments import ACTIVE, DEK_BYTES
from vault.erasure import records
from vault.errors import KeyUnavailable
from vault.openings import HOME, STORED, Stored
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

ROWS_PER_UNIT: Final = 200

_COMPARTMENT: Final = metadata.tables["compartment"]
_VALUE: Final = metadata.tables["field_value"]
_AT: Final = (_VALUE.c.subject_id, _VALUE.c.category_id, _VALUE.c.field_id, _VALUE.c.item, _VALUE.c.version)
_START: Final = (b"", 0, 0, 0, 0)

_FORMAT: Final = func.substr(_VALUE.c.envelope, 1, 2)  # version and suite: the same in both databases
_OLD: Final = bindparam("current") != _FORMAT
_LEFT: Final = (
    select(func.count()).select_from(_VALUE).join(_COMPARTMENT, HOME).where(_OLD, _COMPARTMENT.c.state == ACTIVE)
)
_NEXT: Final = (
    select(*_AT)
    .join(_COMPARTMENT, HOME)
    .where(tuple_(*_AT) > tuple_(*(bindparam(f"after_{column.name}") for column in _AT)), _OLD)
    .where(_COMPARTMENT.c.state == ACTIVE)
    .order_by(*_AT)
    .limit(bindparam("most"))
)
_ROWS: Final = STORED.where(tuple_(*_AT).in_(bindparam("rows", expanding=True)), _OLD, _COMPARTMENT.c.state == ACTIVE)
_STORE: Final = (
    update(_VALUE)
    .where(*(column == bindparam(f"at_{column.name}") for column in _AT))
    .values(envelope=bindparam("to_envelope"))
)


@dataclass(frozen=True, slots=True)
class Resealed:
    """How far the job is: values sealed anew by this run, values that did not open, and those still to be looked at."""

    done: int
    failed: int
    left: int


def reseal_all(vault: Vault, *, rows: int = ROWS_PER_UNIT) -> Iterator[Resealed]:
    """Seal anew every value of another version or suite than today's. Yields after each unit.

    Raises KeyUnavailable when a leaf goes meanwhile: an erasure came first. Nothing is lost; run it again.
    """
    current = {"current": envelope.CURRENT}
    with vault.reading() as conn:
        left = conn.scalar(_LEFT, current) or 0
    done = failed = 0
    yield Resealed(done, failed, left)
    after: tuple[Any, ...] = _START
    while True:
        places = {f"after_{column.name}": value for column, value in zip(_AT, after, strict=True)}
        with vault.reading() as conn:
            due = [tuple(row) for row in conn.execute(_NEXT, current | places | {"most": rows})]
        if not due:
            return
        with vault.unit() as uow:
            sealed, unreadable = _reseal(uow, due)
            uow.commit()
        done, failed, after = done + sealed, failed + unreadable, due[-1]
        left = max(0, left - len(due))
        yield Resealed(done, failed, left)


def _reseal(uow: UnitOfWork, due: Sequence[tuple[Any, ...]]) -> tuple[int, int]:
    """Seal anew what is still due of these rows, under the locks of their subjects. Returns how many, and how many not."""
    records.lock_people(uow, {row[0] for row in due})
    asked = {"rows": padded(list(due)), "current": envelope.CURRENT}
    found = [Stored._make(row) for row in uow.conn.execute(_ROWS, asked)]
    plain = zip(found, openings.opened(uow.vault.keys, uow.vault.deployment, found), strict=True)
    opened = [(row, plaintext) for row, plaintext in plain if plaintext is not None]
    if opened:
        homes = [row.leaf for row, _ in opened]
        # Why safe: one fresh key per value, never used for another message.
        gulp = uow.vault.entropy.bytes(DEK_BYTES * len(opened))
        deks = [gulp[start : start + DEK_BYTES] for start in range(0, len(gulp), DEK_BYTES)]
        wrapped = [each for each in uow.vault.keys.wrap(list(zip(homes, deks, strict=True))) if each is not None]
        if len(wrapped) != len(opened):
            raise KeyUnavailable
        steps: list[dict[str, Any]] = []
        for (row, plaintext), home, dek, wrap in zip(opened, homes, deks, wrapped, strict=True):
            sealed = envelope.seal(dek, wrap, home.generation, openings.context(uow.vault.deployment, row), plaintext)
            at = {f"at_{column.name}": value for column, value in zip(_AT, row.at, strict=True)}
            steps.append(at | {"to_envelope": sealed})
        uow.conn.execute(_STORE, steps)
    return len(opened), len(found) - len(opened)
