"""The change of epoch: what makes an erasure reach every backup (crypto study §2.5).

1. *Prepare*: record the name of the next root, then make it.
2. *Build*: draw the retired leaves and every page key above them anew, and switch to the next epoch: one transaction.
3. *Replicate*: bring the copies up to date, and read at least two of them back through the new root.
4. *Destroy* the old root, and prove that it opens nothing any more.
5. *Record*: purge what only the old root could open, from the journal too.

Each step may be repeated, and each state is on disk before the next step begins: a change that a crash cut short is
carried on by whoever comes next and holds the lease. Nothing is lost between the steps, because until the old root is
destroyed both roots open their own epoch; and nothing leaks, because no key of the new epoch's way to a drawn leaf was
ever sealed under the old one. Why the old root must never be wrapped by anything that lives longer: whoever had that
could open every old copy of the keystore.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from vault.errors import IntegrityFailure, RootSurvives, TooFewCopies, VaultError
from vault.keys.copies import ALWAYS_WHOLE, NEEDED, CopyPlace, replicate, standing
from vault.keys.lease import Lease
from vault.keys.pagestore import ChangeRow, ChangeState, DestroyedRow, EpochRow, Head, PageRow, PageStore
from vault.keys.pagetree import PageTree, Place, build
from vault.keys.provider import DestroyingProvider, Destruction, DestructionClass, RootState
from vault.keys.redraw import Redraw, Redrawn
from vault.keys.service import Slot
from vault.keys.survivors import leaf_of, prove_survivors, prove_whole
from vault.keys.toppage import OpenEpoch, deployment_bytes, draw_epoch, open_epoch, root_context, seal_epoch
from vault.runtime import Clock, Entropy

_PAGES: Final = 64  # opened pages kept while pages are compared: each is looked at once


@dataclass(frozen=True, slots=True)
class Destroyed:
    """A finished change: the epoch that ended, the name of its root, what the provider says of it, and what went.

    `slots` are the leaves that nobody can ever open again from `destruction.effective_at` on.
    """

    epoch: int
    root_ref: str
    destruction: Destruction
    slots: tuple[Slot, ...]
    copies: int


def _nothing() -> None:
    """Recall nothing."""


class EpochChange:
    """Changes the epoch of one keystore. Owns neither store nor provider; one thread at a time.

    `store` is a connection of its own, not that of a key service: services notice the change by themselves. Raises
    ValueError for two places of one name. Copies of more than `always_whole` pages are read back whole once a day, and
    at each change what was written to them. `verified` is the structure that the caller has just had read back.
    """

    def __init__(
        self,
        store: PageStore,
        provider: DestroyingProvider,
        copies: Sequence[CopyPlace],
        *,
        clock: Clock,
        entropy: Entropy,
        always_whole: int = ALWAYS_WHOLE,
        verified: int | None = None,
    ) -> None:
        if len({place.name for place in copies}) != len(copies):
            raise ValueError("two places for copies have the same name")
        self._store = store
        self._provider = provider
        self._copies = tuple(copies)
        self._clock = clock
        self._entropy = entropy
        self._always_whole = always_whole
        self._lease = Lease(store, clock, entropy.bytes(16).hex())
        self._verified = verified

    @property
    def verified(self) -> int | None:
        """The structure of which this object, or its caller, has read back the copies."""
        return self._verified

    def run(self, before_destroy: Callable[[], None] = _nothing) -> Destroyed:
        """Run a whole change, or what a crash left of one. With an empty queue it rotates the root all the same.

        `before_destroy` is called when all is ready for destruction, as often as it recalls leaves: it is the last
        moment for that. What it raises leaves the change where it is, to be carried on later.

        Raises Conflict when another process is at it; TooFewCopies, RootSurvives, or what store and provider raise.
        The change is then carried on by the next call.
        """
        with self._lease.held():
            while True:
                done = self._next(before_destroy)
                if done is not None:
                    return done

    def step(self, before_destroy: Callable[[], None] = _nothing) -> Destroyed | None:
        """Run the next step of a change, or begin one. The result comes with the last."""
        with self._lease.held():
            return self._next(before_destroy)

    def waiting(self) -> int:
        """Count the leaves on the queue."""
        return len(self._store.retired())

    def history(self, since: int = 0) -> list[Destroyed]:
        """List what was destroyed, from epoch `since` on, oldest first."""
        return [self._told(row) for row in self._store.history(since)]

    def grow(self, trees: int = 1) -> int:
        """Add trees of fresh leaves, copied before they are counted on; returns how many leaves there are then.

        Touches no page that is there. Raises TooFewCopies when places for copies are given and fewer than two (or
        all) of them hold the new trees: the leaves exist then, and the next change or growth copies them.
        """
        with self._lease.held():
            head = self._store.head()
            name, current = deployment_bytes(head.deployment), self._open(head.epoch)
            for _ in range(trees):
                number = len(current.top.roots)
                root, pages = build(name, current.top.geometry, number, self._entropy)
                current = replace(current, top=replace(current.top, roots=(*current.top.roots, root)))
                rows = (PageRow(address, 0, body) for address, body in pages)
                self._store.rewrite(self._lease.owner, seal_epoch(name, current), rows, ())
            if self._copies and self._copied(current) < min(NEEDED, len(self._copies)):
                raise TooFewCopies("the new trees are not in enough copies")
            return len(current.top.roots) * current.top.geometry.leaves

    # The steps

    def _next(self, before_destroy: Callable[[], None]) -> Destroyed | None:
        self._lease.take()
        change = self._store.change()
        if change is None:
            self._prepare()
        elif change.state is ChangeState.PREPARED:
            self._build(change)
        elif change.state is ChangeState.BUILT:
            self._carry()
            self._replicate()
        elif change.state is ChangeState.REPLICATED:
            if self._verified != change.verified or not standing(self._store, self._copies, change.verified):
                self._replicate()  # read back by a process that is gone: copies may be gone since
            before_destroy()
            if self._carry():
                return None  # which undid `replicated`
            self._destroy(change)
        elif change.state is ChangeState.DESTROYING:
            self._destroy(change)
        else:
            return self._record(change)
        return None

    def _prepare(self) -> None:
        if len(self._copies) < NEEDED:
            raise TooFewCopies("an epoch change needs two places for copies")
        head = self._store.head()
        ref = self._entropy.bytes(16).hex()  # fresh: no root serves two epochs
        ends = self._row(head.epoch).root_ref
        self._store.begin(self._lease.owner, ChangeRow(head.epoch + 1, ref, ends, ChangeState.PREPARED))
        self._provider.create(ref)

    def _build(self, change: ChangeRow) -> None:
        self._provider.create(change.root_ref)  # again: a crash may have come between the record and the root
        built = False
        while not built:  # again when a leaf was recalled while its successor was drawn
            head = self._store.head()
            name, old = deployment_bytes(head.deployment), self._open(head.epoch)
            drawn = self._redraw(old).remove(self._store.retired())
            new = self._drawn(name, change, old, drawn)
            self._prove_apart(name, old, new)
            row = seal_epoch(name, new)
            built = self._store.build(self._lease.owner, row, drawn.pages, drawn.drawn, drawn.void)

    def _carry(self) -> bool:
        """Put recalled leaves of the retiring epoch into the current one. Whether there were any."""
        head = self._store.head()
        if head.retiring is None:
            return False
        recalled = [slot for slot, back in self._store.leaving(head.retiring) if back]
        if not recalled:
            return False
        name, current = deployment_bytes(head.deployment), self._open(head.epoch)
        tree = self._tree(self._open(head.retiring))
        leaves = {slot: leaf_of(tree, current.top.geometry, slot) for slot in recalled}
        drawn = self._redraw(current).carry(leaves)
        current = replace(current, top=replace(current.top, roots=drawn.roots))
        self._store.rewrite(self._lease.owner, seal_epoch(name, current), drawn.pages, recalled)
        return True

    def _replicate(self) -> None:
        head = self._store.head()
        current = self._open(head.epoch)
        self._prove_survivors(head, current)
        copied = self._copied(current)
        if copied < NEEDED:
            raise TooFewCopies("fewer than two copies of the keystore were read back")
        self._store.replicated(self._lease.owner, head.structure, copied)
        self._verified = head.structure

    def _destroy(self, change: ChangeRow) -> None:
        if change.state is ChangeState.REPLICATED and not self._store.destroying(self._lease.owner):
            return  # something was recalled in this moment: once more through `_carry`
        head = self._store.head()
        destruction = self._provider.destroy(change.ends)
        # The proof. A provider that cannot be reached must not pass for one that forgot: so its word is asked for too.
        old = self._store.epoch(change.epoch - 1)
        if old is not None and self._opens(deployment_bytes(head.deployment), change.ends, old):
            raise RootSurvives("the old root opens its epoch after its destruction")
        if self._provider.status(change.ends).state is RootState.LIVE:
            raise RootSurvives("the provider says that the old root is live after its destruction")
        self._store.destroyed(
            self._lease.owner,
            DestroyedRow(
                change.epoch - 1,
                change.ends,
                destruction.effective_at,
                destruction.evidence,
                destruction.destruction_class.value,
                change.copies,
                self._clock.now(),
            ),
        )

    def _record(self, change: ChangeRow) -> Destroyed:
        self._store.finish(self._lease.owner)
        for place in self._copies:
            try:
                place.put(
                    self._store, pages=False
                )  # so that the copies tell of no change either; those read back are good already
            except VaultError:
                continue
        (row,) = self._store.history(change.epoch - 1)
        return self._told(row)

    # The proofs

    def _prove_apart(self, name: bytes, old: OpenEpoch, new: OpenEpoch) -> None:
        """Refuse two roots that are one: destroying the old one would destroy nothing, or everything."""
        for root, opened in ((old, new), (new, old)):
            row = EpochRow(opened.epoch, opened.root_ref, opened.wrapped, b"", b"")
            if root.root_ref == opened.root_ref or self._opens(name, root.root_ref, row):
                raise RootSurvives("one root opens what another wrapped")

    def _opens(self, name: bytes, ref: str, row: EpochRow) -> bool:
        """Whether a root unwraps the top key of an epoch."""
        try:
            self._provider.unwrap(ref, row.top_key, root_context(name, row.epoch))
        except VaultError:
            return False
        return True

    def _prove_survivors(self, head: Head, current: OpenEpoch) -> None:
        """Hold the pages that were drawn anew against those they replace."""
        row = None if head.retiring is None else self._store.epoch(head.retiring)
        if row is None:
            return  # restored from a copy in the middle of a change: this is all that there is
        going = [slot for slot, _ in self._store.leaving(row.epoch)]
        drawn = map(Place.at, self._store.drawn_anew())
        before, after = self._tree(self._open(row.epoch)), self._tree(current)
        prove_survivors(before, after, current.top.geometry, drawn, going, self._lease.renew)

    def _copied(self, current: OpenEpoch) -> int:
        whole = partial(prove_whole, self._tree(current), current.top, self._lease.renew)
        renew = self._lease.copying
        return replicate(self._store, self._copies, current, self._provider, renew, whole, self._always_whole)

    # Parts

    def _row(self, epoch: int) -> EpochRow:
        row = self._store.epoch(epoch)
        if row is None:
            raise IntegrityFailure(IntegrityFailure.code)
        return row

    def _open(self, epoch: int) -> OpenEpoch:
        head = self._store.head()
        return open_epoch(deployment_bytes(head.deployment), self._row(epoch), head, self._provider)

    def _redraw(self, opened: OpenEpoch) -> Redraw:
        name = deployment_bytes(self._store.head().deployment)
        return Redraw(name, opened.top.geometry, opened.top.roots, self._store.page, self._entropy, self._lease.renew)

    def _drawn(self, name: bytes, change: ChangeRow, old: OpenEpoch, drawn: Redrawn) -> OpenEpoch:
        parts = old.top.geometry, drawn.roots, old.service
        return draw_epoch(name, change.epoch, change.root_ref, self._provider, parts, self._entropy)

    def _tree(self, opened: OpenEpoch) -> PageTree:
        name = deployment_bytes(self._store.head().deployment)
        return PageTree(name, opened.top.geometry, opened.top.roots, self._store.page, _PAGES)

    def _told(self, row: DestroyedRow) -> Destroyed:
        destruction = Destruction(row.effective_at, row.evidence, DestructionClass(row.destruction_class))
        slots = tuple(slot for slot, _ in self._store.leaving(row.epoch))
        return Destroyed(row.epoch, row.root_ref, destruction, slots, row.copies)
