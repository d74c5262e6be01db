"""Epoch changes inside the key holder: one work at a time, on a thread of its own, while the holder goes on serving.

A work outlives the connection that started it and is asked after by its ticket. It does not outlive the process, and
need not: a change is carried on from what is on disk by whoever asks next.
"""

from collections.abc import Callable
from threading import Lock, Thread
from typing import Final

from vault.errors import Conflict, Unexpected, VaultError
from vault.keys.keeper import ChangeKeeper, EpochStatus
from vault.keys.keyd.epochverbs import MOST_ENDED, MOST_SLOTS, Ended, Work
from vault.keys.service import Slot
from vault.runtime import Entropy

KEPT: Final = 64
_TICKET: Final = 7  # random bytes, so that no ticket of an earlier image of this process is taken for one of this


class EpochWork:
    """Answers the verbs of `epochverbs`. `keeper` raises Sealed while there is no root to change."""

    def __init__(
        self,
        keeper: Callable[[], ChangeKeeper],
        entropy: Entropy,
        *,
        kept: int = KEPT,
        most_slots: int = MOST_SLOTS,
        most_ended: int = MOST_ENDED,
    ) -> None:
        """`kept` outcomes wait for callers that have not asked yet; `most_…` are told in one answer."""
        self._keeper = keeper
        self._entropy = entropy
        self._kept = kept
        self._most_slots = most_slots
        self._most_ended = most_ended
        self._lock = Lock()
        self._running: tuple[tuple[str, int], int, Thread] | None = None
        self._outcomes: dict[int, Work | VaultError] = {}

    @property
    def busy(self) -> bool:
        """Whether a work is under way: this process image must not be replaced now."""
        return self._running is not None

    def epoch_status(self) -> EpochStatus:
        """Say where the keystore stands."""
        return self._keeper().status()

    def epoch_begin(self) -> Work:
        """Start bringing a change to its door."""
        return self._start(("begin", 0), self._begin)

    def epoch_finish(self, epoch: int) -> Work:
        """Start destroying the root of `epoch`."""
        return self._start(("finish", epoch), lambda keeper, ticket: self._finish(keeper, ticket, epoch))

    def grow(self, trees: int) -> Work:
        """Start adding trees."""
        return self._start(("grow", trees), lambda keeper, ticket: Work(ticket, True, leaves=keeper.grow(trees)))

    def work(self, ticket: int) -> Work:
        """Say how a work stands. Raises what ended it."""
        with self._lock:
            if self._running is not None and self._running[1] == ticket:
                return Work(ticket)
            outcome = self._outcomes.get(ticket, Work(ticket, lost=True))
        if isinstance(outcome, VaultError):
            raise outcome
        return outcome

    def leaving(self, epoch: int, start: int) -> list[Slot]:
        """List leaves that go, or went, with the root of `epoch`, from the `start`th on."""
        return self._keeper().leaving(epoch)[max(0, start) :][: self._most_slots]

    def ended(self, since: int) -> list[Ended]:
        """List what was destroyed from epoch `since` on, without the slots."""
        return [Ended.of(row) for row in self._keeper().ended(since)[: self._most_ended]]

    def wait(self, seconds: float) -> None:
        """Give a work that is under way so long to come to its end: the lease then ends with it."""
        running = self._running
        if running is not None:
            running[2].join(seconds)

    def _start(self, kind: tuple[str, int], act: Callable[[ChangeKeeper, int], Work]) -> Work:
        keeper = self._keeper()
        with self._lock:
            if self._running is not None:
                if self._running[0] != kind:
                    raise Conflict("the key holder is at other work")
                return Work(self._running[1])
            ticket = int.from_bytes(self._entropy.bytes(_TICKET))
            thread = Thread(target=self._run, args=(ticket, keeper, act), name="ecrin-epoch", daemon=True)
            self._running = kind, ticket, thread
        thread.start()
        return Work(ticket)

    def _run(self, ticket: int, keeper: ChangeKeeper, act: Callable[[ChangeKeeper, int], Work]) -> None:
        outcome: Work | VaultError
        try:
            outcome = act(keeper, ticket)
        except VaultError as error:
            outcome = error.with_traceback(None)  # whose frames would keep opened keys alive
        except Exception as error:  # noqa: BLE001 - a defect ends this work and not the holder
            outcome = Unexpected(type(error).__name__)
        with self._lock:
            self._outcomes[ticket] = outcome
            while len(self._outcomes) > self._kept:
                del self._outcomes[next(iter(self._outcomes))]
            self._running = None

    @staticmethod
    def _begin(keeper: ChangeKeeper, ticket: int) -> Work:
        found = keeper.begin()
        return Work(ticket, done=True, epoch=found.epoch, root_ref=found.root_ref, copies=found.copies)

    @staticmethod
    def _finish(keeper: ChangeKeeper, ticket: int, epoch: int) -> Work:
        told = keeper.finish(epoch)
        return Work(ticket, done=True, epoch=told.epoch, root_ref=told.root_ref, copies=told.copies)
