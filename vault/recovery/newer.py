"""What only newer data named: after a restore, the leaves under which copies of what was lost still open.

A restore takes the data back to an earlier day; the keystore does not go back. Leaves that were given out since are in
no row any more, so no erasure of a person can name them, and whoever kept a copy of the newer data opens it with them
for good. They stay as long as a newer backup may yet be brought back. Once an operator says that none will, they go on
the queue like those of any erasure, and with the next epoch nobody can open what was lost.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, select

from audit.entry import Act, Actor, Entry, Outcome
from vault.errors import Conflict, RestoreUnfinished, Sealed
from vault.keys.pagetree import slot_number, split_slot
from vault.keys.service import Slot
from vault.recovery import restores
from vault.store import dumps
from vault.store.leaves import LEAF_COLUMNS
from vault.unit import Vault

LEAVES_AT_A_TIME: Final = 10_000

_NAMED: Final = tuple(select(column).where(column.is_not(None)) for column in LEAF_COLUMNS)


def alone(url: str) -> None:
    """Raise Conflict while a process has the database at `url` open. Ask before opening it oneself."""
    if dumps.in_use(url):
        raise Conflict("another process has the database open: stop the service first")


def forget(vault: Vault, actor: Actor) -> int:
    """Queue every leaf that was ever set aside and that no row names. Returns how many. May be repeated.

    Nobody else may have these data open: what a unit of work is about to name is in no row yet. Leaves that a process
    set aside and never gave out go too, and are not given out (`vault.keys.givenout`). Backups newer than these data
    are dead from then on. Raises RestoreUnfinished while a backup is being brought back, Sealed.
    """
    status = vault.keys.status()
    if not status.slots_per_tree:  # sealed, or a holder of an earlier release: nothing may look like nothing to do
        raise Sealed("the key service does not say how many leaves it has")
    with vault.reading() as conn:
        if restores.unfinished(conn):
            raise RestoreUnfinished(restores.NOT_READY)
        named = _named(conn, status.slots_per_tree, status.slots_reserved)
    total = 0
    for slots in _unnamed(named, status.slots_per_tree):
        vault.keys.retire(slots)
        total += len(slots)
    with vault.unit() as uow:
        uow.record(Entry(Act.ERASURE_CARRIED, Outcome.ALLOW, actor, pol=("carried.newer",), n=total))
        uow.commit()
    return total


def _named(conn: Connection, leaves: int, reserved: int) -> bytearray:
    """Mark the leaves that rows name, by the order in which leaves are given out: one byte each."""
    named = bytearray(reserved)
    for query in _NAMED:
        for number in conn.execution_options(yield_per=LEAVES_AT_A_TIME).scalars(query):
            tree, leaf = split_slot(number)
            if tree * leaves + leaf < reserved:
                named[tree * leaves + leaf] = 1
    return named


def _unnamed(named: bytearray, leaves: int) -> Iterator[list[Slot]]:
    slots: list[Slot] = []
    at = named.find(0)
    while at >= 0:
        slots.append(Slot(slot_number(*divmod(at, leaves)), 0))
        if len(slots) == LEAVES_AT_A_TIME:
            yield slots
            slots = []
        at = named.find(0, at + 1)
    if slots:
        yield slots
