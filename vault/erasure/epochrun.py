"""An epoch run: what is due is decided, the epoch is changed, and what that destroyed is finished and certified.

Every part may be repeated, and each begins by looking at what is there. So the same function runs by hand, by the clock,
and at start-up after a crash anywhere in between.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import rememberedepochs, searchepochs
from vault.erasure.certificates import certify
from vault.erasure.finishing import anything_queued, finish
from vault.erasure.settling import settle
from vault.keys.epochs import Destroyed
from vault.recovery import caughtup
from vault.store.engine import clear_journal
from vault.unit import Vault


class Changing(Protocol):
    """What changes epochs: `vault.keys.epochs.EpochChange`."""

    def run(self, before_destroy: Callable[[], None] = ...) -> Destroyed:
        """Run a change, or carry on the one under way."""
        ...

    def waiting(self) -> int:
        """Count the leaves on the queue."""
        ...

    def history(self) -> list[Destroyed]:
        """List what was destroyed, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run did: epochs ended, erasures that moved, certificates made."""

    ended: tuple[Destroyed, ...]
    erasures: int
    certificates: int


def run(vault: Vault, change: Changing, outside: Path, *, anyway: bool = False) -> Ran:
    """Settle, change the epoch if anything waits for that (or `anyway`), finish, certify.

    `outside` keeps the last checkpoint off the database. Raises `Conflict` while another process is at it, and what the
    provider, the copies and the stores raise; the next run carries on.
    """
    settle(vault)
    before = [change.run(lambda: before_destroy(vault))] if vault.keys.status().change is not None else []
    # What waits now was queued before or during a change that a crash had left: it goes with one of its own.
    ended = (
        [*before, change.run(lambda: before_destroy(vault))] if change.waiting() or (anyway and not before) else before
    )
    return Ran(tuple(ended), *reconcile(vault, change, outside, ended))


def before_destroy(vault: Vault) -> None:
    """Do what must be done before the old root goes: look for holds once more, and move off its key what lives on."""
    settle(vault)
    searchepochs.move(vault)
    rememberedepochs.move(vault)


def reconcile(vault: Vault, change: Changing, outside: Path, ended: list[Destroyed] | None = None) -> tuple[int, int]:
    """Finish and certify what destructions made final. Returns how many erasures moved and certificates were made."""
    if ended:
        _record(vault, ended)
    finished = finish(vault, change.history()) if anything_queued(vault) else 0
    if finished:
        clear_journal(vault.engine)
    caughtup.follow(vault, ended or ())  # behind `finish`: the restore guard need not look for what it has taken
    return finished, certify(vault, change.history, outside)


def _record(vault: Vault, ended: list[Destroyed]) -> None:
    with vault.unit() as uow:
        for each in ended:
            actor = Actor(ActorKind.VAULT, vault.deployment)
            state = (f"class:{each.destruction.destruction_class}", f"epoch:{each.epoch}", f"root:{each.root_ref}")
            uow.record(Entry(Act.KEYS_EPOCH_ENDED, Outcome.ALLOW, actor, pol=state, n=len(each.slots)))
        uow.commit()
