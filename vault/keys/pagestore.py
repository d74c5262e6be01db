"""What a keystore keeps, and the verbs that keep it: one interface over a SQLite file or a database of its own.

Nothing here is a key in clear, and nothing here is believed: what opens the top page is bound to deployment, epoch and
root, and everything below hangs from it. Page rows are never changed once written; a page drawn anew is a new row of a
higher generation. So whoever reads by an older top page goes on reading, until the older rows are purged.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from vault.keys.service import Slot

FORMAT: Final = 2


class Head(NamedTuple):
    """The one row of a keystore.

    `retiring` is the epoch before, from the build of the next one until its root is destroyed. `structure` counts
    changes of pages and top pages; `revision` counts everything that a key service must hear of.
    """

    format: int
    deployment: str
    epoch: int
    retiring: int | None
    fanout: int
    depth: int
    structure: int
    revision: int
    created_at: int


class EpochRow(NamedTuple):
    """What opens one epoch: the name of its root, the wrapped top key, its top page and service keys, both sealed."""

    epoch: int
    root_ref: str
    top_key: bytes
    top: bytes
    service: bytes


class PageRow(NamedTuple):
    """One sealed page."""

    address: int
    generation: int
    body: bytes


class Snapshot(NamedTuple):
    """What a key service needs at one moment: the head, the rows of its one or two epochs, the leaves to be denied."""

    head: Head
    epochs: tuple[EpochRow, ...]
    denied: frozenset[Slot]


class ChangeState(StrEnum):
    """How far an epoch change has come. Each state is on disk before the next step begins."""

    PREPARED = "prepared"  # the name of the next root is recorded, then the root is made
    BUILT = "built"  # the next epoch is the current one; copies are not known to hold it
    REPLICATED = "replicated"  # two places hold it and were read back
    DESTROYING = "destroying"  # nothing can be recalled any more; the old root may be gone
    DESTROYED = "destroyed"  # the old root is known to be gone; older rows are still to be purged


class ChangeRow(NamedTuple):
    """The change under way: to `epoch`, whose root is named `root_ref`, from the one before, whose root is `ends`.

    `verified` is the structure that `copies` places held when they were read back.
    """

    epoch: int
    root_ref: str
    ends: str
    state: ChangeState
    verified: int | None = None
    copies: int = 0


class DestroyedRow(NamedTuple):
    """What is kept of a finished destruction: the epoch that ended, its root, and what the provider said of it."""

    epoch: int
    root_ref: str
    effective_at: int
    evidence: str
    destruction_class: str
    copies: int
    recorded_at: int


class Rows(NamedTuple):
    """Everything in a keystore but its pages, as of one moment: what a copy takes besides them.

    Of the epochs a copy takes the current one only: it must not help anybody who still has the old root.
    """

    head: Head
    reserved: int
    epochs: tuple[EpochRow, ...]
    retired: tuple[Slot, ...]
    leaving: tuple[tuple[int, int, int, int], ...]  # slot number, generation, the epoch it goes with, 1 if recalled
    change: ChangeRow | None
    history: tuple[DestroyedRow, ...]


class PageStore(Protocol):
    """An open keystore. Not thread-safe: whoever holds it locks around it.

    Every writing verb is one durable transaction, exclusive across processes. Those that take `owner` raise Conflict
    unless that owner holds the lease, and StoreUnavailable or StoreFull when nothing was written.
    """

    def changed(self) -> bool:
        """Whether somebody else may have written since the last call. Cheap: asked before each batch of key verbs."""
        ...

    def head(self) -> Head:
        """Read the one row. Raises IntegrityFailure when it is missing or of a format this release does not know."""
        ...

    def snapshot(self) -> Snapshot:
        """Read head, epochs and denied leaves as of one moment."""
        ...

    def epoch(self, number: int) -> EpochRow | None:
        """Read what opens one epoch; None when it is not here (any more)."""
        ...

    def page(self, address: int, generation: int) -> bytes | None:
        """Read a sealed page; None when it is missing or its place is damaged."""
        ...

    def current(self) -> dict[int, int]:
        """Return the highest generation at each address, in the order of addresses."""
        ...

    def current_pages(self) -> Iterator[PageRow]:
        """Read those pages, in the same order."""
        ...

    def drawn_anew(self) -> list[int]:
        """List the addresses that hold pages of more than one generation: those that the change under way drew."""
        ...

    def rows(self, since: int = 0) -> Rows:
        """Read everything but the pages, of the current epoch only; of leaves and roots that went, from `since` on."""
        ...

    # Allocation

    def reserved(self) -> int:
        """Return how many leaves have been set aside, by all processes."""
        ...

    def reserve(self, least: int, wanted: int, total: int) -> range:
        """Set aside the next leaves: `wanted`, or what is left of `total`, if that is at least `least`, else none."""
        ...

    def give_back(self, unused: range) -> None:
        """Undo the unused end of a reservation, if no other came after it. The caller gives none of it out later."""
        ...

    def skip(self, ordinal: int) -> None:
        """Never give out a leaf below `ordinal`. For a restored keystore, whose own count is older than the data."""
        ...

    # The queue

    def retired(self) -> frozenset[Slot]:
        """Read the queue of leaves to be destroyed by the next change."""
        ...

    def retire(self, slots: Iterable[Slot]) -> None:
        """Put leaves on the queue; those already there, or already taken by the change under way, stay."""
        ...

    def recall(self, slots: Sequence[Slot]) -> list[bool]:
        """Take leaves off the queue, or mark those of the change under way to be carried over; False where neither."""
        ...

    def leaving(self, epoch: int) -> list[tuple[Slot, bool]]:
        """List the leaves that go, or went, with the root of `epoch`, and whether each was recalled since."""
        ...

    # Epoch changes

    def take_lease(self, owner: str, now: int, until: int) -> bool:
        """Become the one writer until then, unless another's lease has not ended. Renewing is taking it again."""
        ...

    def drop_lease(self, owner: str) -> None:
        """End the lease, if it is the owner's."""
        ...

    def change(self) -> ChangeRow | None:
        """Read the change under way."""
        ...

    def begin(self, owner: str, change: ChangeRow) -> None:
        """Record a change as prepared. Raises Conflict when one is under way already."""
        ...

    def build(
        self, owner: str, built: EpochRow, pages: Iterable[PageRow], leaving: Sequence[Slot], void: Sequence[Slot]
    ) -> bool:
        """Switch to the next epoch in one transaction; the one before becomes `retiring`, `leaving` leaves the queue.

        `void` leaves it too: what was queued and names no leaf. False, and nothing is written, when a leaf of
        `leaving` has left the queue meanwhile: draw again.
        """
        ...

    def rewrite(self, owner: str, row: EpochRow, pages: Iterable[PageRow], carried: Sequence[Slot]) -> None:
        """Replace the top page of the current epoch: for trees added, or leaves carried over. Undoes `replicated`."""
        ...

    def replicated(self, owner: str, structure: int, copies: int) -> None:
        """Record that `copies` places hold the given structure. Raises Conflict when it has changed since."""
        ...

    def destroying(self, owner: str) -> bool:
        """Close the door to recalls. False when a leaf was recalled, or the copies hold an older structure."""
        ...

    def destroyed(self, owner: str, row: DestroyedRow) -> None:
        """Record that the root of the retiring epoch is gone."""
        ...

    def finish(self, owner: str) -> None:
        """Purge what only the destroyed root could open, out of the journal too, and end the change."""
        ...

    def history(self, since: int = 0) -> list[DestroyedRow]:
        """List destroyed roots, oldest first, from that of epoch `since` on."""
        ...

    # Copies

    def update(self, source: "PageStore", *, pages: bool = True) -> None:
        """Make this store a copy of another in one transaction: a page that is there already is not written again.

        Pages that are written count as unread. Without `pages` only all else is made the same.
        """
        ...

    def unread(self) -> tuple[list[tuple[int, int]], int | None]:
        """List pages of this copy not read back since they were written, and the UTC second all were read back last."""
        ...

    def was_read(self, whole_at: int | None) -> None:
        """Note that unread pages were read back; `whole_at` if all pages were."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Hold one moment of the store for all that is read inside."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...
