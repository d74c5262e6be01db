"""A published log read from its folder: the same material as from a data file, and the tiles held against it.

Standard library only: the verifier takes this file along when it is copied out.
"""

from collections.abc import Iterator
from pathlib import Path

from audit.checkpoint import parse
from audit.errors import CannotDecide, VerificationError
from audit.findings import Fault, Finding
from audit.merkle import HASH_SIZE, Frontier
from audit.note import split_note
from audit.stored import StoredCheckpoint, StoredEntry, StoredLog
from audit.tiles import TILE_WIDTH, bundle_path, tile_path, tiles_of, unpack_bundle


def open_directory(folder: Path) -> StoredLog:
    """Give the log that was published in a folder. Raises `CannotDecide` if there is no whole one with its entries."""
    try:
        note = (folder / "checkpoint").read_text("utf-8")
        signed = parse(split_note(note).text)
    except (OSError, UnicodeDecodeError, VerificationError):
        raise CannotDecide("the folder holds no checkpoint that can be read") from None
    if signed.size and not (folder / "tile" / "entries").is_dir():
        raise CannotDecide("the folder holds no entries: hashes alone do not say what was logged")
    stored = (StoredCheckpoint(signed.size, note),)
    return StoredLog(0, signed.origin, None, None, stored, _entries(folder, signed.size))


def tile_findings(folder: Path, size: int) -> list[Finding]:
    """Hold each tile above level 0 against the tiles it was made from, and partial tiles against full ones."""
    findings = []
    level = 0
    while size >> (8 * level):
        for index, width in tiles_of(level, size):
            spelt = tile_path(level, index, width)
            tile = _hashes(folder / spelt, width)
            if tile is None:
                findings.append(Finding(Fault.MISSING, None, f"{spelt} is not there or not whole"))
            elif level and tile != _below(folder, level - 1, index, width):
                findings.append(Finding(Fault.CHANGED, None, f"{spelt} does not follow from the tiles below it"))
            if tile is not None:
                findings += _partials(folder, level, index, tile)
        level += 1
    return findings


def hash_tile_of(folder: Path, index: int, width: int) -> list[bytes] | None:
    """Return the leaf hashes of one tile, or None if it is not there or not whole. A full tile serves for a partial."""
    found = _hashes(folder / tile_path(0, index, width), width)
    if found is None and (full := _hashes(folder / tile_path(0, index), TILE_WIDTH)) is not None:
        return full[:width]
    return found


def _below(folder: Path, level: int, index: int, width: int) -> list[bytes] | None:
    roots = []
    for child in range(index * TILE_WIDTH, index * TILE_WIDTH + width):
        tile = _hashes(folder / tile_path(level, child), TILE_WIDTH)
        if tile is None:
            return None
        roots.append(Frontier().extend(tile).root())
    return roots


def _partials(folder: Path, level: int, index: int, tile: list[bytes]) -> list[Finding]:
    findings = []
    beside = (folder / tile_path(level, index)).with_name(f"{tile_path(level, index).rpartition('/')[2]}.p")
    for path in sorted(beside.iterdir()) if beside.is_dir() else []:
        width = int(path.name) if path.name.isascii() and path.name.isdigit() else 0
        if width and width <= len(tile) and _hashes(path, width) != tile[:width]:
            message = f"{tile_path(level, index, width)} is no beginning of the longer tile"
            findings.append(Finding(Fault.CHANGED, None, message))
    return findings


def _entries(folder: Path, size: int) -> Iterator[StoredEntry]:
    for index, width in tiles_of(0, size):
        spelt = bundle_path(index, width)
        leaves = _hashes(folder / tile_path(0, index, width), width) or []
        try:
            bodies = unpack_bundle((folder / spelt).read_bytes())
        except FileNotFoundError:
            bodies = [b""] * len(leaves)  # pruned, or cut out: the hashes stand for them, and the log must say so
        except (OSError, VerificationError):
            continue  # a gap in the indexes, which is found
        if len(bodies) != width:
            continue
        for place, body in enumerate(bodies):
            yield StoredEntry(index * TILE_WIDTH + place, body, leaves[place] if place < len(leaves) else None)


def _hashes(path: Path, width: int) -> list[bytes] | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) != width * HASH_SIZE:
        return None
    return [content[at : at + HASH_SIZE] for at in range(0, len(content), HASH_SIZE)]
