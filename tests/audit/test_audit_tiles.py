"""Tile coordinates against the facts the tlog-tiles specification states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import VerificationError
from audit.tiles import bundle_path, pack_bundle, tile_path, tiles_of, unpack_bundle


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 5, 256, "tile/0/005"),
        (1, 1000, 256, "tile/1/x001/000"),
        (0, 1234067, 256, "tile/0/x001/x234/067"),
        (0, 1234067, 1, "tile/0/x001/x234/067.p/1"),
        (63, 999, 255, "tile/63/999.p/255"),
        (2, 999_999, 256, "tile/2/x999/999"),
        (2, 1_000_000, 256, "tile/2/x001/x000/000"),
    ],
)
def test_paths(level, index, width, path):
    assert tile_path(level, index, width) == path
    assert bundle_path(index, width) == path.replace(f"tile/{level}/", "tile/entries/")


def test_a_full_tile_is_the_default():
    assert tile_path(0, 5) == "tile/0/005"


@pytest.mark.parametrize(
    ("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (0, 0, -1)]
)
def test_places_that_do_not_exist(level, index, width):
    with pytest.raises(VerificationError):
        tile_path(level, index, width)


def test_the_tiles_of_seventy_thousand_entries():
    assert list(tiles_of(0, 70_000))[-1] == (273, 112)
    assert len(list(tiles_of(0, 70_000))) == 274
    assert list(tiles_of(1, 70_000)) == [(0, 256), (1, 17)]
    assert list(tiles_of(2, 70_000)) == [(0, 1)]
    assert list(tiles_of(3, 70_000)) == []


def test_the_tiles_at_the_edges():
    assert list(tiles_of(0, 0)) == []
    assert list(tiles_of(0, 256)) == [(0, 256)]
    assert list(tiles_of(1, 256)) == [(0, 1)]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_are_read_as_written(entries):
    assert unpack_bundle(pack_bundle(entries)) == entries


def test_a_bundle_cut_anywhere_but_between_entries_is_refused():
    bundle = pack_bundle([b"abc", b"", b"defgh"])
    for cut in range(len(bundle)):
        if cut in (0, 5, 7):
            unpack_bundle(bundle[:cut])
        else:
            with pytest.raises(VerificationError):
                unpack_bundle(bundle[:cut])


@pytest.mark.parametrize("entries", [[], [b""] * 257])
def test_a_bundle_holds_one_to_256_entries(entries):
    with pytest.raises(VerificationError):
        pack_bundle(entries)


def test_a_bundle_of_more_is_not_read():
    with pytest.raises(VerificationError):
        unpack_bundle(bytes(2 * 257))
