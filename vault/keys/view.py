"""What a key service sees of a keystore: one epoch, opened, and the index key of the one before while it retires."""

from dataclasses import dataclass

from vault.errors import IntegrityFailure, Sealed, WrongDeployment
from vault.keys.pagestore import EpochRow, Head, PageStore, Snapshot
from vault.keys.pagetree import GENERATIONS, Geometry, PageTree, split_slot
from vault.keys.provider import RootProvider
from vault.keys.service import Slot
from vault.keys.servicekeys import IndexKey, ServiceKeys
from vault.keys.toppage import OpenEpoch, deployment_bytes, open_epoch


@dataclass(slots=True, repr=False)
class View:
    """An opened epoch. `structure` says which state of the keystore's pages it belongs to."""

    epoch: int
    structure: int
    geometry: Geometry
    total: int
    tree: PageTree
    keys: ServiceKeys
    index: dict[int, IndexKey]

    def possible(self, slot: Slot) -> bool:
        """Whether there is, or may one day be, such a leaf in the trees that there are."""
        tree, leaf = split_slot(slot.number)
        leaves = self.geometry.leaves
        return 0 <= tree < self.total // leaves and leaf < leaves and 0 <= slot.generation < GENERATIONS

    def untouched(self, slot: Slot) -> bool:
        """Whether a leaf was never drawn again, as far as can be seen: a page that does not open says nothing."""
        tree, leaf = split_slot(slot.number)
        place, child = divmod(leaf, self.geometry.fanout)
        page = self.tree.leaf_page(tree, place)
        return page is None or child not in page.generations

    def close(self) -> None:
        """Wipe and drop what can be wiped."""
        self.tree.close()
        self.index.clear()


class Opener:
    """Opens views of one keystore through its provider. `leaf_pages` bounds the opened pages a view keeps."""

    def __init__(self, store: PageStore, provider: RootProvider, deployment: str, leaf_pages: int) -> None:
        self._store = store
        self._provider = provider
        self._deployment = deployment
        self._name = deployment_bytes(deployment)
        self._leaf_pages = leaf_pages

    def open(self, snapshot: Snapshot, before: View | None = None) -> View:
        """Open the current epoch of a snapshot, and the index key of the retiring one unless `before` has it.

        Raises Sealed, WrongDeployment or IntegrityFailure.
        """
        head, rows = snapshot.head, {row.epoch: row for row in snapshot.epochs}
        if head.deployment != self._deployment:
            raise WrongDeployment("the keystore belongs to another deployment")
        if head.epoch not in rows:
            raise IntegrityFailure(IntegrityFailure.code)
        opened = self._epoch(rows[head.epoch], head)
        index = {head.epoch: IndexKey(opened.top.index_key)}
        if head.retiring is not None:
            old = self.retiring(rows.get(head.retiring), head, before)
            if old is not None:
                index[head.retiring] = old
        geometry, roots = opened.top.geometry, opened.top.roots
        tree = PageTree(self._name, geometry, roots, self._store.page, self._leaf_pages)
        total = len(roots) * geometry.leaves
        return View(head.epoch, head.structure, geometry, total, tree, opened.keys(), index)

    def retiring(self, row: EpochRow | None, head: Head, before: View | None) -> IndexKey | None:
        """Return the index key of the retiring epoch; None when its root no longer opens it."""
        if before is not None and head.retiring in before.index:
            return before.index[head.retiring]
        if row is None:
            return None
        try:
            return IndexKey(self._epoch(row, head).top.index_key)
        except (Sealed, IntegrityFailure):
            return None

    def _epoch(self, row: EpochRow, head: Head) -> OpenEpoch:
        return open_epoch(self._name, row, head, self._provider)
