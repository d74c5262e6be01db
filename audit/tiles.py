"""Tile coordinates of a published log (C2SP tlog-tiles): pure arithmetic on sizes and paths.

A tile holds up to 256 hashes. Level 0 holds leaf hashes; hash `i` of tile `n` on level `l` covers the entries from
`(256 n + i) 256^l` on. Only full tiles are hashed upwards. Entry bundles hold the entries themselves, each behind its
length as a big-endian 16-bit number.

Standard library only: the verifier takes this file along when it is copied out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.errors import VerificationError

TILE_WIDTH = 256
MAX_LEVEL = 63
_PATH = re.compile(
    r"tile/(?P<level>entries|[0-9]{1,2})/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?", re.ASCII
)
_LENGTH = 2  # bytes of the length before each entry of a bundle


@dataclass(frozen=True, slots=True)
class Place:
    """A tile: `level` (None: a bundle of entries), `index`, and `width`, which is 256 for a full one."""

    level: int | None
    index: int
    width: int


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a hash tile: `tile/<level>/<index>`, with `.p/<width>` if it is partial (width below 256)."""
    if not 0 <= level <= MAX_LEVEL:
        raise VerificationError("a tile's level is between 0 and 63")
    return f"tile/{level}/{_suffix(index, width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle: `tile/entries/<index>`, with `.p/<width>` if it is partial."""
    return f"tile/entries/{_suffix(index, width)}"


def parse_path(path: str) -> Place:
    """Read the path of a tile or bundle. There is one spelling of each: anything else raises `VerificationError`."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise VerificationError("not the path of a tile")
    level = None if found["level"] == "entries" else int(found["level"])
    index = int(found["index"].replace("x", "").replace("/", ""))
    width = int(found["width"] or TILE_WIDTH)
    place = Place(level, index, width)
    spelt = bundle_path(index, width) if level is None else tile_path(level, index, width)
    if spelt != path:
        raise VerificationError("not the path of a tile")
    return place


def tiles_of(level: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the (index, width) of every tile on a level of a log of `size` entries, the partial one last."""
    hashes = size >> (8 * level)
    full, partial = divmod(hashes, TILE_WIDTH)
    yield from ((index, TILE_WIDTH) for index in range(full))
    if partial:
        yield full, partial


def pack_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the bytes of an entry bundle."""
    if not 0 < len(entries) <= TILE_WIDTH:
        raise VerificationError("a bundle holds 1 to 256 entries")
    return b"".join(len(entry).to_bytes(_LENGTH, "big") + entry for entry in entries)


def unpack_bundle(bundle: bytes) -> list[bytes]:
    """Return the entries of a bundle; raises `VerificationError` if its lengths do not add up."""
    entries = []
    at = 0
    while at < len(bundle):
        start = at + _LENGTH
        at = start + int.from_bytes(bundle[at:start], "big")
        if start > len(bundle) or at > len(bundle):
            raise VerificationError("the bundle ends inside an entry")
        entries.append(bundle[start:at])
    if len(entries) > TILE_WIDTH:
        raise VerificationError("a bundle holds 1 to 256 entries")
    return entries


def _suffix(index: int, width: int) -> str:
    if index < 0:
        raise VerificationError("a tile's index is not negative")
    if not 0 < width <= TILE_WIDTH:
        raise VerificationError("a tile's width is between 1 and 256")
    digits = str(index)
    padded = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [padded[at : at + 3] for at in range(0, len(padded), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
