"""Signs of life and of the clock in the log: an entry each hour, and one for each step of the clock.

Without the first, an evening on which nobody was looked at looks like one that was cut out. Without the second, whoever
can turn the clock dates entries as they please: order is the index's, but people read times.
"""

from collections.abc import Callable
from typing import Final

from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import errands
from vault.unit import Vault

HEARTBEAT_SECONDS: Final = 3600
HEARTBEAT_LOOK_SECONDS: Final = 60
LOOK_SECONDS: Final = 5.0
TOLERATED: Final = 2  # seconds that a clock may be set by without an entry: what keeping time does to it


def note_start(vault: Vault) -> None:
    """Log that a process began to serve, and that the clock is behind what the log has seen, if it is."""
    for shard in range(vault.shards):
        with vault.unit(shard) as uow:
            uow.record(Entry(Act.LOG_STARTED, Outcome.ALLOW, _own(vault)))
            behind = ledger.head(uow.conn, shard).last_t - uow.now
            if behind > TOLERATED:
                uow.record(_step(vault, -behind, "clock.start"))
            uow.commit()


def heartbeat_due(vault: Vault) -> None:
    """Log that the log is alive if it is time, and no other process does."""
    errands.run(vault, "heartbeat", HEARTBEAT_SECONDS, lambda: heartbeat(vault), retry=HEARTBEAT_LOOK_SECONDS)


def heartbeat(vault: Vault) -> None:
    """Log that the log is alive; `n` is its size before."""
    for shard in range(vault.shards):
        with vault.unit(shard) as uow:
            size = ledger.head(uow.conn, shard).size
            uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, _own(vault), n=size))
            uow.commit()


class ClockWatch:
    """Compares the wall clock with one that nobody can set. `steady` gives seconds from an arbitrary beginning."""

    def __init__(self, vault: Vault, steady: Callable[[], float]) -> None:
        self._vault = vault
        self._steady = steady
        self._ahead = self._difference()

    def look(self) -> int:
        """Log a step of the clock since the last look; return it in seconds, 0 for none.

        A step that cannot be logged is seen again at the next look.
        """
        ahead = self._difference()
        step = round(ahead - self._ahead)
        if abs(step) > TOLERATED:
            with self._vault.unit() as uow:
                uow.record(_step(self._vault, step, "clock.running"))
                uow.commit()
            self._ahead = ahead
            return step
        return 0

    def _difference(self) -> float:
        return self._vault.clock.now() - self._steady()


def _step(vault: Vault, seconds: int, when: str) -> Entry:
    way = "clock.back" if seconds < 0 else "clock.forward"
    return Entry(Act.LOG_CLOCK, Outcome.ALLOW, _own(vault), pol=(way, when), n=abs(seconds))


def _own(vault: Vault) -> Actor:
    return Actor(ActorKind.VAULT, vault.deployment)
