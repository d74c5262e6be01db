"""Leaves that nothing hangs on any more: noted in the unit that leaves them, until they are queued for destruction.

Queued before that unit is durable, a crash would deny what is still in use; queued after it without a note, a crash would
forget them.

What a re-keying left still opens older backups of the data, of people who stay: it waits until a newer backup is
verified. No clock is asked. Units that re-key are numbered, one after the other, in the row of the deployment; a backup
holds the number of its moment, and once it is verified everything up to it may go. An erasure does not wait: each such
leaf names its heir, the one that took over, and whoever gives up that one gives up what is behind it.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, update

from vault.keys.service import Slot
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

_AT_ONCE: Final = 0  # waits for nothing
_LEAVES: Final = 1000

_LEFT: Final = metadata.tables["left_leaf"]
_DEPLOYMENT: Final = metadata.tables["deployment"]

_SAVED: Final = select(_DEPLOYMENT.c.rekeyed_saved).scalar_subquery()
_DUE: Final = select(_LEFT.c.slot, _LEFT.c.generation).where(_LEFT.c.waits <= _SAVED).limit(_LEAVES)
_WAITING: Final = select(func.count()).select_from(_LEFT).where(_LEFT.c.waits > _SAVED)
_FORGET: Final = delete(_LEFT).where(
    _LEFT.c.slot == bindparam("of_slot"), _LEFT.c.generation == bindparam("of_generation")
)
_IS_BEHIND: Final = _LEFT.c.heir_slot.in_(bindparam("heirs", expanding=True))
_BEHIND: Final = select(_LEFT.c.slot, _LEFT.c.generation).where(_IS_BEHIND)
_RELEASE: Final = update(_LEFT).where(_IS_BEHIND).values(waits=_AT_ONCE)
_INHERIT: Final = update(_LEFT).where(_LEFT.c.heir_slot == bindparam("of_heir")).values(heir_slot=bindparam("to_heir"))
_NEXT: Final = update(_DEPLOYMENT).values(rekeyed=_DEPLOYMENT.c.rekeyed + 1)
_NUMBER: Final = select(_DEPLOYMENT.c.rekeyed)
_SAVE: Final = (
    update(_DEPLOYMENT)
    .where(_DEPLOYMENT.c.rekeyed_saved < bindparam("through"))
    .values(rekeyed_saved=bindparam("through"))
)


def leave(uow: UnitOfWork, slots: Sequence[Slot]) -> None:
    """Leave leaves, and what is behind them, to the next epoch change. The caller drops, in this unit, what hangs on them."""
    insert_rows(uow.conn, _LEFT, [_row(slot, None, _AT_ONCE) for slot in slots])
    release(uow, slots)


def succeed(uow: UnitOfWork, moves: Sequence[tuple[Slot, Slot]]) -> None:
    """Note leaves that were left for others, as (left, heir): they wait for a backup of the data or the end of the heir.

    Why the number can be trusted: the row of the deployment is locked from here to the commit, so that a backup that
    holds a number holds every unit up to it.
    """
    if moves:
        uow.conn.execute(_NEXT)
        number = uow.conn.scalar(_NUMBER) or 0
        uow.conn.execute(_INHERIT, [{"of_heir": left.number, "to_heir": heir.number} for left, heir in moves])
        insert_rows(uow.conn, _LEFT, [_row(left, heir.number, number) for left, heir in moves])


def release(uow: UnitOfWork, heirs: Collection[Slot]) -> None:
    """Let go what is behind leaves that are given up in this unit."""
    if heirs:
        uow.conn.execute(_RELEASE, _numbers(heirs))


def behind(conn: Connection, heirs: Collection[Slot]) -> set[Slot]:
    """Return the leaves behind others, to be queued in one step with them."""
    return {Slot(*row) for row in conn.execute(_BEHIND, _numbers(heirs))} if heirs else set()


def retire_left(vault: Vault) -> None:
    """Queue the leaves that wait for nothing any more: also those of a process that died before it could."""
    while True:
        with vault.reading() as conn:
            slots = [Slot(*row) for row in conn.execute(_DUE)]
        if not slots:
            return
        vault.keys.retire(slots)
        with vault.unit() as uow:
            uow.conn.execute(_FORGET, [{"of_slot": slot.number, "of_generation": slot.generation} for slot in slots])
            uow.commit()


def number(conn: Connection) -> int:
    """Return the number of the last unit that re-keyed. Asked of a backup's own moment, it says what the backup holds."""
    return conn.scalar(_NUMBER) or 0


def saved(uow: UnitOfWork, through: int) -> None:
    """Say that a verified backup of the data holds everything up to the unit of this number."""
    uow.conn.execute(_SAVE, {"through": through})


def waiting(conn: Connection) -> int:
    """Count the leaves that wait for a backup of the data."""
    return conn.scalar(_WAITING) or 0


def _row(slot: Slot, heir: int | None, waits: int) -> dict[str, Any]:
    return {"slot": slot.number, "generation": slot.generation, "heir_slot": heir, "waits": waits}


def _numbers(slots: Collection[Slot]) -> dict[str, Any]:
    return {"heirs": padded(sorted({slot.number for slot in slots}))}
