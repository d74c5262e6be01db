"""The page key tree: leaf keys in sealed pages, each page under its own key, which lies in its parent page.

A page holds `fanout` 32-byte keys: of its child pages or, on level 0, leaves. It is sealed under its own random key
and bound to its place (deployment, tree, level, position, generation). Leaves are pre-drawn: a new page is born full of
random keys, so handing out a slot touches no page and does not show.

Two kinds of write must never be confused. *Adding* may seal a page again under the key it has. *Removing* a leaf must
re-draw that leaf and every page key up to the root, and step their generations, or an old copy of a page would still
open. `vault.keys.redraw` does the second kind and nothing else does. Generations of children are listed in the parent, so
that a page cannot be exchanged for an older one.
"""

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from vault.errors import IntegrityFailure
from vault.keys.message import bind, open_message, seal_message
from vault.runtime import Entropy

KEY: Final = 32
GENERATIONS: Final = 1 << 32
_LABEL: Final = b"ecrin/page/v1"
_PLACE = struct.Struct(">IBII")
_COUNT = struct.Struct(">H")
_STEP = struct.Struct(">HI")  # child index and its generation, when that is not 0
_MIN_FANOUT: Final = 2
_MAX_FANOUT: Final = 1024
_MAX_DEPTH: Final = 4
_TREE_SHIFT: Final = 32
_LEAF_MASK: Final = (1 << _TREE_SHIFT) - 1

Fetch = Callable[[int, int], bytes | None]
"""Gives the sealed page of an address and a generation, if it is there."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Shape of every tree of a keystore: keys per page, levels of pages. 120 and 3 give 1 728 000 leaves.

    120 keys, not 128: the sealed page then fits one 4096-byte database page.
    """

    fanout: int = 120
    depth: int = 3

    def __post_init__(self) -> None:
        if not (
            _MIN_FANOUT <= self.fanout <= _MAX_FANOUT
            and 1 <= self.depth <= _MAX_DEPTH
            and self.leaves <= 1 << _TREE_SHIFT
        ):
            raise ValueError("fan-out is 2 to 1024, depth 1 to 4, and a tree has at most 2^32 leaves")

    @property
    def leaves(self) -> int:
        """Leaves of one tree."""
        return int(self.fanout**self.depth)


class Place(NamedTuple):
    """Where a page stands. Level 0 holds leaves; level depth - 1, position 0 is the root page of its tree."""

    tree: int
    level: int
    position: int

    @property
    def address(self) -> int:
        """One number for the database: tree(27 bits) | level(4) | position(32)."""
        return (self.tree << 4 | self.level) << 32 | self.position

    @classmethod
    def at(cls, address: int) -> "Place":
        """Read such a number."""
        return cls(address >> 36, address >> 32 & 0xF, address & _LEAF_MASK)


class TreeRoot(NamedTuple):
    """What opens a page: its key and its generation. Those of root pages lie in the top page."""

    key: bytes | memoryview
    generation: int

    def __repr__(self) -> str:
        return "TreeRoot(…)"


def slot_number(tree: int, leaf: int) -> int:
    """Pack a leaf's place into a slot number."""
    return tree << _TREE_SHIFT | leaf


def split_slot(number: int) -> tuple[int, int]:
    """Split a slot number into tree and leaf."""
    return number >> _TREE_SHIFT, number & _LEAF_MASK


def page_context(deployment: bytes, place: Place, generation: int) -> bytes:
    """Encode what a page is bound to: label, deployment, then tree, level, position, generation in 13 bytes."""
    return bind(_LABEL, deployment, _PLACE.pack(place.tree, place.level, place.position, generation))


def build(
    deployment: bytes, geometry: Geometry, tree: int, entropy: Entropy
) -> tuple[TreeRoot, Iterator[tuple[int, bytes]]]:
    """Draw a whole tree. Returns its root and an iterator of (address, sealed page), parents before children.

    Randomness is taken one parent's children at a time: few large reads instead of a million small ones.
    """
    size = geometry.fanout * KEY
    root = TreeRoot(entropy.bytes(KEY), 0)

    def subtree(place: Place, key: bytes | memoryview, keys: memoryview) -> Iterator[tuple[int, bytes]]:
        yield place.address, seal_message(key, page_context(deployment, place, 0), bytes(keys) + _COUNT.pack(0))
        if place.level:
            drawn = memoryview(entropy.bytes(geometry.fanout * size))
            for child in range(geometry.fanout):
                below = Place(tree, place.level - 1, place.position * geometry.fanout + child)
                yield from subtree(
                    below, keys[child * KEY : child * KEY + KEY], drawn[child * size : (child + 1) * size]
                )

    return root, subtree(Place(tree, geometry.depth - 1, 0), root.key, memoryview(entropy.bytes(size)))


def encode_page(keys: bytes | bytearray, generations: Mapping[int, int]) -> bytes:
    """Write a page as it is sealed: its keys, then the generations of children that were ever drawn again."""
    steps = b"".join(_STEP.pack(child, step) for child, step in sorted(generations.items()))
    return bytes(keys) + _COUNT.pack(len(generations)) + steps


class OpenPage:
    """The keys of one opened page. `generations` names children that were ever drawn again; the others are at 0."""

    __slots__ = ("_bytes", "generations", "keys")

    def __init__(self, content: bytes, fanout: int) -> None:
        size = fanout * KEY
        try:
            (count,) = _COUNT.unpack_from(content, size)
            self.generations = dict(_STEP.iter_unpack(content[size + _COUNT.size :]))
        except struct.error:
            raise IntegrityFailure(IntegrityFailure.code) from None
        if len(self.generations) != count:
            raise IntegrityFailure(IntegrityFailure.code)
        self._bytes = bytearray(content[:size])
        self.keys = memoryview(self._bytes)  # slices of a view are no copies that could not be wiped

    def key(self, child: int) -> memoryview:
        """Return the 32-byte key of a child, as a view that dies with the page."""
        return self.keys[child * KEY : child * KEY + KEY]

    def wipe(self) -> None:
        """Overwrite the keys. Best effort: the library and the interpreter may have made copies."""
        self._bytes[:] = bytes(len(self._bytes))


def open_page(deployment: bytes, geometry: Geometry, place: Place, by: TreeRoot, fetch: Fetch) -> OpenPage | None:
    """Open the page at a place by the key and generation that its parent holds; None when it is not there or not whole."""
    key, generation = by
    sealed = fetch(place.address, generation)
    if sealed is None:
        return None
    try:
        return OpenPage(open_message(key, page_context(deployment, place, generation), sealed), geometry.fanout)
    except IntegrityFailure:
        return None


class _Pages:
    """Bounded least-recently-used store of opened pages."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pages: OrderedDict[Place, OpenPage] = OrderedDict()

    def get(self, place: Place) -> OpenPage | None:
        page = self._pages.get(place)
        if page is not None:
            self._pages.move_to_end(place)
        return page

    def put(self, place: Place, page: OpenPage) -> None:
        self._pages[place] = page
        if len(self._pages) > self._limit:
            self._pages.popitem(last=False)[1].wipe()

    def clear(self) -> None:
        for page in self._pages.values():
            page.wipe()
        self._pages.clear()


class PageTree:
    """Opens pages on demand and keeps the recently used. Not thread-safe: the key service locks around it.

    `fetch(address, generation)` gives a sealed page or None. `limit` bounds the leaf pages kept, about 4 KiB each.
    """

    def __init__(
        self,
        deployment: bytes,
        geometry: Geometry,
        roots: tuple[TreeRoot, ...],
        fetch: Fetch,
        limit: int,
    ) -> None:
        self._deployment = deployment
        self._geometry = geometry
        self._roots = roots
        self._fetch = fetch
        self._leaf_pages = geometry.leaves // geometry.fanout
        self._leaves = _Pages(limit)
        self._inner = _Pages(max(limit // 8, 2 * geometry.depth))  # apart, so that leaf pages cannot drive these out

    def leaf_page(self, tree: int, position: int) -> OpenPage | None:
        """Return the page of leaves `position * fanout` and following; None when it or one above does not open."""
        if 0 <= tree < len(self._roots) and position < self._leaf_pages:
            return self._page(Place(tree, 0, position))
        return None

    def close(self) -> None:
        """Wipe and drop every opened page."""
        self._leaves.clear()
        self._inner.clear()
        self._roots = ()

    def _page(self, place: Place) -> OpenPage | None:
        store = self._inner if place.level else self._leaves
        page = store.get(place)
        if page is not None:
            return page
        key: bytes | memoryview
        if place.level == self._geometry.depth - 1:
            key, generation = self._roots[place.tree]
        else:
            above, child = divmod(place.position, self._geometry.fanout)
            parent = self._page(Place(place.tree, place.level + 1, above))
            if parent is None:
                return None
            key, generation = parent.key(child), parent.generations.get(child, 0)
        page = open_page(self._deployment, self._geometry, place, TreeRoot(key, generation), self._fetch)
        if page is not None:
            store.put(place, page)
        return page
