"""The page key tree in memory: what is built can be read, and nothing that was altered or moved."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import IntegrityFailure
from vault.keys.message import open_message, seal_message
from vault.keys.pagetree import (
    Geometry,
    OpenPage,
    PageTree,
    Place,
    TreeRoot,
    build,
    page_context,
    slot_number,
    split_slot,
)

DEPLOYMENT = b"tree-test"
SHAPES = [Geometry(2, 1), Geometry(5, 1), Geometry(2, 2), Geometry(4, 3), Geometry(3, 4)]


class Drawn:
    """Counts what is asked for; gives fixed bytes that never repeat."""

    def __init__(self):
        self.calls = 0
        self.total = 0

    def bytes(self, count):
        import hashlib

        self.calls += 1
        self.total += count
        return hashlib.shake_256(self.calls.to_bytes(8, "big")).digest(count)


def made(geometry):
    root, pages = build(DEPLOYMENT, geometry, 0, Drawn())
    return root, dict(pages)


def tree_of(geometry, root, pages, *, deployment=DEPLOYMENT, limit=4):
    return PageTree(deployment, geometry, (root,), lambda address, _: pages.get(address), limit)


def leaves(geometry, tree):
    """Every leaf key, or None where its page does not open."""
    found = []
    for leaf in range(geometry.leaves):
        page = tree.leaf_page(0, leaf // geometry.fanout)
        found.append(None if page is None else bytes(page.key(leaf % geometry.fanout)))
    return found


@pytest.mark.parametrize("geometry", SHAPES, ids=str)
def test_every_leaf_is_there_and_no_two_keys_are_alike(geometry):
    root, pages = made(geometry)
    found = leaves(geometry, tree_of(geometry, root, pages))
    assert None not in found
    assert len(set(found)) == geometry.leaves
    assert len(pages) == sum(geometry.fanout**level for level in range(geometry.depth))
    assert found == leaves(geometry, tree_of(geometry, root, pages, limit=1))


@pytest.mark.parametrize("geometry", SHAPES, ids=str)
def test_parents_come_before_their_children(geometry):
    _, pages = build(DEPLOYMENT, geometry, 3, Drawn())
    seen = set()
    for address, _ in pages:
        level, position = address >> 32 & 15, address & 0xFFFFFFFF
        assert not seen or Place(3, level + 1, position // geometry.fanout).address in seen
        seen.add(address)


def test_randomness_is_taken_in_big_gulps():
    geometry, drawn = Geometry(16, 3), Drawn()
    _, pages = build(DEPLOYMENT, geometry, 0, drawn)
    assert len(dict(pages)) == 273
    assert drawn.calls == 2 + 1 + 16
    assert drawn.total == 32 * (1 + 16 + 16**2 + 16**3)


def test_an_altered_page_loses_its_own_leaves_and_no_others():
    geometry = Geometry(3, 3)
    root, pages = made(geometry)
    whole = leaves(geometry, tree_of(geometry, root, pages))
    for address, body in list(pages.items()):
        level, position = address >> 32 & 15, address & 0xFFFFFFFF
        covered = range(position * 3 ** (level + 1), (position + 1) * 3 ** (level + 1))
        for altered in (body[:-1] + bytes([body[-1] ^ 1]), body[:-1], body + b"\0", b"", None):
            damaged = {**pages, address: altered}
            if altered is None:
                del damaged[address]
            found = leaves(geometry, tree_of(geometry, root, damaged))
            assert found == [None if leaf in covered else key for leaf, key in enumerate(whole)]


def test_exchanged_pages_do_not_open():
    geometry = Geometry(3, 2)
    root, pages = made(geometry)
    one, other = Place(0, 0, 0).address, Place(0, 0, 1).address
    found = leaves(geometry, tree_of(geometry, root, {**pages, one: pages[other], other: pages[one]}))
    assert found[:6] == [None] * 6
    assert None not in found[6:]


@given(st.integers(0, 2**27 - 1), st.integers(0, 3), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.data())
def test_a_page_opens_at_its_place_only(tree, level, position, generation, data):
    key = bytes(32)
    place = Place(tree, level, position)
    sealed = seal_message(key, page_context(DEPLOYMENT, place, generation), b"page")
    part = data.draw(st.sampled_from(["deployment", "tree", "level", "position", "generation"]))
    moved = place._replace(**{part: getattr(place, part) ^ 1}) if part in place._fields else place
    context = page_context(
        b"another" if part == "deployment" else DEPLOYMENT,
        moved,
        generation ^ 1 if part == "generation" else generation,
    )
    with pytest.raises(IntegrityFailure):
        open_message(key, context, sealed)


@given(st.integers(0, 2**27 - 1), st.integers(0, 15), st.integers(0, 2**32 - 1))
def test_places_and_slots_pack_without_overlap(tree, level, position):
    address = Place(tree, level, position).address
    assert 0 <= address < 2**63
    assert (address >> 36, address >> 32 & 15, address & 0xFFFFFFFF) == (tree, level, position)
    assert split_slot(slot_number(tree, position)) == (tree, position)


def test_generations_of_children_come_from_their_parent():
    """An epoch change will re-draw a page under a new key and step its generation in the parent."""
    keys = bytes(range(64))
    page = OpenPage(keys + struct.pack(">HHI", 1, 1, 7), 2)
    assert page.generations == {1: 7}
    assert bytes(page.key(0)) == keys[:32]
    assert bytes(page.key(1)) == keys[32:]
    geometry, root = Geometry(2, 2), TreeRoot(bytes(32), 5)
    fresh = bytes(range(64, 128))
    pages = {
        Place(0, 1, 0).address: seal_message(
            root.key, page_context(DEPLOYMENT, Place(0, 1, 0), 5), keys + struct.pack(">HHI", 1, 1, 7)
        ),
        Place(0, 0, 1).address: seal_message(keys[32:], page_context(DEPLOYMENT, Place(0, 0, 1), 7), fresh + b"\0\0"),
    }
    assert leaves(geometry, tree_of(geometry, root, pages)) == [None, None, fresh[:32], fresh[32:]]


@pytest.mark.parametrize(
    "content",
    [b"", bytes(63), bytes(65), bytes(64), bytes(66) + b"\0", bytes(64) + b"\0\1", bytes(64) + b"\0\2" + bytes(12)],
)
def test_a_page_of_another_shape_is_refused(content):
    with pytest.raises(IntegrityFailure):
        OpenPage(content, 2)


def test_closing_wipes_what_was_open():
    geometry = Geometry(4, 2)
    tree = tree_of(geometry, *made(geometry))
    key = tree.leaf_page(0, 0).key(0)
    assert bytes(key) != bytes(32)
    tree.close()
    assert bytes(key) == bytes(32)
    assert tree.leaf_page(0, 0) is None


@pytest.mark.parametrize("place", [(1, 0), (-1, 0), (0, 4), (0, 2**40)])
def test_places_outside_every_tree_have_no_page(place):
    geometry = Geometry(4, 2)
    assert tree_of(geometry, *made(geometry)).leaf_page(*place) is None


@pytest.mark.parametrize("shape", [(1, 3), (0, 1), (1025, 1), (2, 0), (2, 5), (1024, 4)])
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ValueError):
        Geometry(*shape)


def test_no_repr_shows_a_key():
    root, _ = made(Geometry(2, 1))
    assert repr(root) == "TreeRoot(…)"
