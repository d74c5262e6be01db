"""Removing leaves: the leaf and every page key above it are drawn anew, and their generations step.

Why every page key: whoever holds an old copy of the keystore holds old pages. As long as the key of a page stays, so
does the way from a live root to the old copy of that page, and to the leaf in it. So the new pages are sealed under keys
that no older page holds, and the old keys hang from the old root alone, which the epoch change destroys.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from vault.errors import Damaged
from vault.keys.message import seal_message
from vault.keys.pagestore import PageRow
from vault.keys.pagetree import (
    KEY,
    Fetch,
    Geometry,
    OpenPage,
    Place,
    TreeRoot,
    encode_page,
    open_page,
    page_context,
    split_slot,
)
from vault.keys.service import Slot
from vault.runtime import Entropy


class Leaf(NamedTuple):
    """A leaf key that is put in the place of another: one that was recalled."""

    key: bytes
    generation: int

    def __repr__(self) -> str:
        return "Leaf(…)"


@dataclass(frozen=True, slots=True, repr=False)
class Redrawn:
    """New root keys of the trees, the pages on the way to the leaves, the leaves drawn anew, and what named none."""

    roots: tuple[TreeRoot, ...]
    pages: list[PageRow]
    drawn: tuple[Slot, ...]
    void: tuple[Slot, ...]


class Redraw:
    """Draws leaves, and all above them, anew. One object serves one call of `remove` or `carry`."""

    def __init__(
        self,
        deployment: bytes,
        geometry: Geometry,
        roots: tuple[TreeRoot, ...],
        fetch: Fetch,
        entropy: Entropy,
        renew: Callable[[], None] = lambda: None,
    ) -> None:
        """`renew` is called for each page that is drawn."""
        self._deployment = deployment
        self._geometry = geometry
        self._roots = roots
        self._fetch = fetch
        self._entropy = entropy
        self._renew = renew
        self._pages: list[PageRow] = []
        self._drawn: list[Slot] = []
        self._void: list[Slot] = []

    def remove(self, slots: Iterable[Slot]) -> Redrawn:
        """Draw these leaves anew. A slot whose leaf is at another generation, or that names none, is `void`.

        Raises Damaged when a page on the way does not open: nothing could be said of the leaves in it.
        """
        return self._redraw(sorted(slots), {})

    def carry(self, leaves: Mapping[Slot, Leaf]) -> Redrawn:
        """Put these leaves back, in the place of those that were drawn instead. Raises Damaged likewise.

        An addition, for which no key would have to be drawn; drawing them keeps to one way of writing pages.
        """
        return self._redraw(sorted(leaves), leaves)

    def _redraw(self, slots: list[Slot], carried: Mapping[Slot, Leaf]) -> Redrawn:
        roots = list(self._roots)
        top = self._geometry.depth - 1
        for tree, group in groupby(slots, key=lambda slot: split_slot(slot.number)[0]):
            if 0 <= tree < len(roots):
                renewed = self._page(Place(tree, top, 0), *roots[tree], list(group), carried)
                roots[tree] = roots[tree] if renewed is None else renewed
            else:
                self._void.extend(group)
        return Redrawn(tuple(roots), self._pages, tuple(self._drawn), tuple(self._void))

    def _page(
        self, place: Place, key: bytes | memoryview, generation: int, slots: list[Slot], carried: Mapping[Slot, Leaf]
    ) -> TreeRoot | None:
        """Draw a page anew, if anything under it is; return its new key and generation."""
        self._renew()
        page = self._open(place, key, generation)
        keys, generations = bytearray(page.keys), dict(page.generations)
        changed = False
        below = self._geometry.fanout**place.level
        first = place.position * self._geometry.fanout
        for child, group in groupby(slots, key=lambda slot: split_slot(slot.number)[1] // below - first):
            renewed: TreeRoot | Leaf | None = None
            if not 0 <= child < self._geometry.fanout:
                self._void.extend(group)
                continue
            step = generations.get(child, 0)
            if place.level:
                at = Place(place.tree, place.level - 1, first + child)
                renewed = self._page(at, page.key(child), step, list(group), carried)
            else:
                renewed = self._leaf(page.key(child), step, list(group), carried)
            if renewed is not None:
                changed = True
                keys[child * KEY : child * KEY + KEY] = renewed.key
                generations[child] = renewed.generation
        page.wipe()
        if not changed:
            return None
        sealing = TreeRoot(self._page_key(key), generation + 1)
        context = page_context(self._deployment, place, sealing.generation)
        # A carried leaf may be back at generation 0, which is not listed.
        listed = {child: step for child, step in generations.items() if step}
        body = seal_message(sealing.key, context, encode_page(keys, listed))
        keys[:] = bytes(len(keys))
        self._pages.append(PageRow(place.address, sealing.generation, body))
        return sealing

    def _leaf(
        self, key: memoryview, generation: int, slots: list[Slot], carried: Mapping[Slot, Leaf]
    ) -> TreeRoot | Leaf | None:
        """Say what comes in the place of a leaf: a new key one generation on, or the leaf that is carried over."""
        renewed: Leaf | None = None
        for slot in slots:
            if slot in carried:
                renewed = carried[slot]
            elif slot.generation == generation:
                renewed = self._next_leaf(key, generation)
            else:
                self._void.append(slot)
                continue
            self._drawn.append(slot)
        return renewed

    def _next_leaf(self, key: memoryview, generation: int) -> Leaf:  # noqa: ARG002 - nothing of the old one is used
        return Leaf(self._entropy.bytes(KEY), generation + 1)

    def _page_key(self, key: bytes | memoryview) -> bytes:  # noqa: ARG002 - nothing of the old one is used
        return self._entropy.bytes(KEY)

    def _open(self, place: Place, key: bytes | memoryview, generation: int) -> OpenPage:
        page = open_page(self._deployment, self._geometry, place, TreeRoot(key, generation), self._fetch)
        if page is None:
            raise Damaged("a page above a leaf is missing or altered: restore it from a copy")
        return page
