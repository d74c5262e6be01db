"""A change of epoch in two parts, for a data plane that does not know where the keys live.

Whoever has keystore and root changes the epoch; holds, search tokens and certificates are the data plane's. So a change
stops at its door: `begin` prepares, builds and replicates, and says what would be destroyed; the data plane then looks
for holds once more, recalls what must stay, and moves its search tokens; `finish` destroys and records. What is recalled
in between is carried over and copied again before anything is destroyed. Either side may crash at any point: both verbs
may be repeated, and what a change that ended in the dark destroyed is in `history`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, Never, Protocol

from vault.errors import Conflict
from vault.keys.copies import CopyPlace
from vault.keys.epochs import Destroyed, EpochChange
from vault.keys.pagestore import ChangeRow, ChangeState, DestroyedRow, PageStore
from vault.keys.provider import DestroyingProvider
from vault.keys.service import Slot
from vault.runtime import Clock, Entropy

_FRESH: Final = 600  # seconds
_BEHIND: Final = (ChangeState.DESTROYING.value, ChangeState.DESTROYED.value)


@dataclass(frozen=True, slots=True)
class Prospect:
    """A change at its door: `finish(epoch)` ends this epoch, and its root, and these leaves unless they are recalled.

    `copies` is how many places held the next epoch when they were last read back; they are read again by `finish`.
    """

    epoch: int
    root_ref: str
    slots: tuple[Slot, ...]
    copies: int


@dataclass(frozen=True, slots=True)
class EpochStatus:
    """Where the keystore stands: the current epoch, leaves on the queue, and how far a change under way has come.

    `ends` is the epoch that the change ends, and `leaving` counts the leaves that go with it; `copies` counts the
    places that are to hold the keystore, `destroyed` the epochs that ended.
    """

    epoch: int
    waiting: int
    change: str | None
    ends: int | None
    leaving: int
    copies: int
    destroyed: int


class EpochKeeper(Protocol):
    """Changes the epoch of one keystore, wherever that is. One thread at a time.

    Raises, beside what is said below, what the home of the keys raises: Sealed, StoreUnavailable, StoreFull, Damaged,
    and KeyHolderUnavailable. Nothing is lost then: ask again.
    """

    def status(self) -> EpochStatus:
        """Say where the keystore stands."""
        ...

    def begin(self) -> Prospect:
        """Bring a change to its door: one under way, or a new one, also with nothing on the queue (a fresh root).

        A change that a crash left behind its door is finished first, and then is in `history`. Raises Conflict when
        another process is at it, or was until it crashed less than two minutes ago; TooFewCopies, RootSurvives.
        """
        ...

    def finish(self, epoch: int) -> Destroyed:
        """Destroy the root of `epoch`. What is finished already is told again.

        Raises Conflict when no change that ends this epoch has been built, or another process is at it; TooFewCopies,
        RootSurvives.
        """
        ...

    def history(self, since: int = 0) -> list[Destroyed]:
        """List what was destroyed, from epoch `since` on, oldest first."""
        ...

    def grow(self, trees: int = 1) -> int:
        """Add trees of fresh leaves; returns how many leaves there are then. Raises Conflict, TooFewCopies."""
        ...


class KeptChange:
    """Runs whole changes through a keeper: the face of an `EpochChange` for a data plane that has only that."""

    def __init__(self, keeper: EpochKeeper) -> None:
        self._keeper = keeper

    def run(self, before_destroy: Callable[[], None] = lambda: None) -> Destroyed:
        """Run a whole change, or carry on the one under way.

        `before_destroy` is the data plane's part; what it raises leaves the change at its door.
        """
        status = self._keeper.status()
        if status.ends is not None and status.change in _BEHIND:
            return self._keeper.finish(status.ends)
        prospect = self._keeper.begin()
        before_destroy()
        return self._keeper.finish(prospect.epoch)

    def waiting(self) -> int:
        """Count the leaves on the queue."""
        return self._keeper.status().waiting

    def history(self) -> list[Destroyed]:
        """List what was destroyed, oldest first."""
        return self._keeper.history()


@dataclass(slots=True)
class ReadBack:
    """What `begin` had read back, for the `finish` that follows soon: the structure, and the UTC second."""

    structure: int | None = None
    at: int = 0


class ChangeKeeper:
    """The keeper where keystore and root are at hand. Opens the keystore anew for each verb, beside any key service.

    `read_back` is kept by a caller that makes a keeper for each verb.
    """

    def __init__(
        self,
        open_store: Callable[[], PageStore],
        provider: DestroyingProvider,
        copies: Sequence[CopyPlace],
        *,
        clock: Clock,
        entropy: Entropy,
        read_back: ReadBack | None = None,
    ) -> None:
        self._open_store = open_store
        self._provider = provider
        self._copies = tuple(copies)
        self._clock = clock
        self._entropy = entropy
        self._read_back = ReadBack() if read_back is None else read_back

    def status(self) -> EpochStatus:
        """Read where the keystore stands."""
        with closing(self._open_store()) as store:
            change, head = store.change(), store.head()
            ends = None if change is None else change.epoch - 1
            return EpochStatus(
                head.epoch,
                len(store.retired()),
                None if change is None else change.state.value,
                ends,
                0 if ends is None else len(_going(store, ends)),
                len(self._copies),
                len(store.history()),
            )

    def begin(self) -> Prospect:
        """Bring a change to its door."""
        with self._opened() as (store, change):
            while True:
                try:
                    change.run(_stop)
                except _AtTheDoor:
                    return self._prospect(store)

    def finish(self, epoch: int) -> Destroyed:
        """Go through the door, if it is the one of `epoch`."""
        with self._opened() as (store, change):
            row = store.change()
            if _ends(row, epoch) and row is not None and row.state is not ChangeState.PREPARED:
                try:
                    # Asked again under the lease: another process may have finished this change and begun the next.
                    return change.run(partial(_only, store, epoch))
                except _AnotherChange:
                    pass
            return _found(change.history(epoch), epoch)

    def history(self, since: int = 0) -> list[Destroyed]:
        """Read what was destroyed."""
        with self._opened() as (_, change):
            return change.history(since)

    def ended(self, since: int) -> list[DestroyedRow]:
        """Read the same without the leaves, which `leaving` lists epoch by epoch."""
        with closing(self._open_store()) as store:
            return store.history(since)

    def leaving(self, epoch: int) -> list[Slot]:
        """List the leaves that go, or went, with the root of `epoch`."""
        with closing(self._open_store()) as store:
            return _going(store, epoch)

    def grow(self, trees: int = 1) -> int:
        """Add trees."""
        with self._opened() as (_, change):
            return change.grow(trees)

    @contextmanager
    def _opened(self) -> Iterator[tuple[PageStore, EpochChange]]:
        known, now = self._read_back, self._clock.now()
        # Not read a second time a moment later; but copies that were read back before a long wait may be gone since.
        verified = known.structure if 0 <= now - known.at <= _FRESH else None
        with closing(self._open_store()) as store:
            change = EpochChange(
                store, self._provider, self._copies, clock=self._clock, entropy=self._entropy, verified=verified
            )
            try:
                yield store, change
            finally:
                if change.verified != verified:
                    known.structure, known.at = change.verified, self._clock.now()

    @staticmethod
    def _prospect(store: PageStore) -> Prospect:
        change = store.change()
        if change is None:  # finished by another process in this very moment
            raise Conflict("another process changes the keystore")
        ends = change.epoch - 1
        return Prospect(ends, change.ends, tuple(_going(store, ends)), change.copies)


class _AtTheDoor(Exception):
    """Everything is ready for destruction."""


class _AnotherChange(Exception):
    """The change at the door is not the one that was meant."""


def _stop() -> Never:
    raise _AtTheDoor


def _only(store: PageStore, epoch: int) -> None:
    if not _ends(store.change(), epoch):
        raise _AnotherChange


def _ends(change: ChangeRow | None, epoch: int) -> bool:
    return change is not None and change.epoch - 1 == epoch


def _going(store: PageStore, epoch: int) -> list[Slot]:
    return [slot for slot, recalled in store.leaving(epoch) if not recalled]


def _found(history: Sequence[Destroyed], epoch: int) -> Destroyed:
    for each in history:
        if each.epoch == epoch:
            return each
    raise Conflict("no change that ends this epoch has been begun")
