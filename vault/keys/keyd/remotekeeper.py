"""The epoch keeper of a process that holds no keys: asks the holder to work, and asks after the work."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from vault.errors import KeyHolderUnavailable
from vault.keys.epochs import Destroyed
from vault.keys.keeper import EpochStatus, Prospect
from vault.keys.keyd import epochverbs as verbs
from vault.keys.keyd.client import KeydClient
from vault.keys.keyd.epochverbs import Ended, Work
from vault.keys.keyd.wire import Verb
from vault.keys.service import Slot

PATIENCE: Final = 3600.0  # seconds for one part of a change; copies of gigabytes over a slow mount take minutes
_SHORTEST, _LONGEST = 0.01, 0.5  # seconds between questions
_STARTS: Final = 5  # of one work: holders that lost it one after the other are ill


class RemoteKeeper:
    """`vault.keys.keeper.EpochKeeper` over the socket of a key holder. Keeps no connection from one call to the next.

    A holder that starts anew meanwhile, as it does at the end of each epoch, is asked again.
    """

    def __init__(self, client: KeydClient, *, patience: float = PATIENCE) -> None:
        self._client = client
        self._patience = patience

    def status(self) -> EpochStatus:
        """Say where the keystore stands."""
        with self._asking():
            return self._client.ask(verbs.EPOCH_STATUS)  # type: ignore[no-any-return]

    def begin(self) -> Prospect:
        """Bring a change to its door."""
        with self._asking():
            done = self._done(lambda: self._start(verbs.EPOCH_BEGIN))
            return Prospect(done.epoch, done.root_ref, tuple(self._leaving(done.epoch)), done.copies)

    def finish(self, epoch: int) -> Destroyed:
        """Destroy the root of `epoch`."""
        with self._asking():
            self._done(lambda: self._start(verbs.EPOCH_FINISH, epoch))
            for each in self._ended(epoch):
                if each.epoch == epoch:
                    return each.destroyed(self._leaving(epoch))
            raise KeyHolderUnavailable("the key holder does not tell what it destroyed")

    def history(self, since: int = 0) -> list[Destroyed]:
        """List what was destroyed."""
        with self._asking():
            found: list[Ended] = []
            while part := self._ended(found[-1].epoch + 1 if found else since):
                found += part
            return [each.destroyed(self._leaving(each.epoch)) for each in found]

    def grow(self, trees: int = 1) -> int:
        """Add trees. Started once: of a holder that went away meanwhile nobody knows whether it added them."""
        with self._asking():
            return self._done(lambda: self._start(verbs.GROW, trees), starts=1).leaves

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._client.rest()

    def _start(self, verb: Verb, *arguments: int) -> Work:
        return self._client.ask(verb, *arguments, again=verb is not verbs.GROW)  # type: ignore[no-any-return]

    def _done(self, start: Callable[[], Work], starts: int = _STARTS) -> Work:
        """Start a work and ask after it, less and less often, until it is done."""
        deadline = time.monotonic() + self._patience
        for _ in range(starts):
            work, pause = start(), _SHORTEST
            while not work.lost:
                if work.done:
                    return work
                if time.monotonic() > deadline:
                    raise KeyHolderUnavailable("the key holder goes on working; ask again later")
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST)
                work = self._client.ask(verbs.WORK, work.ticket)
        raise KeyHolderUnavailable("the key holder went away from its work")

    def _ended(self, since: int) -> list[Ended]:
        return self._client.ask(verbs.ENDED, since)  # type: ignore[no-any-return]

    def _leaving(self, epoch: int) -> list[Slot]:
        slots: list[Slot] = []
        while part := self._client.ask(verbs.LEAVING, epoch, len(slots)):
            slots += part
        return slots
