"""The log as a folder of files, for any static server: written so that what a reader sees always fits together.

First the entry bundles, then the hash tiles from the lowest level up, then the checkpoint: whoever reads the checkpoint
finds all that it covers. A full tile is written once and never again. Partial ones stay until the full one is there,
because somebody may still hold a checkpoint that needs them. Bundles of pruned entries go, once the checkpoint that
covers the entry of the pruning lies here.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from audit import checkpoint, ledger, pruning, published, stamped, tiles, witnessed
from audit.errors import PublishingRefused, VerificationError
from audit.note import split_note
from audit.tiles import TILE_WIDTH, Place

CHECKPOINT: Final = "checkpoint"
WITNESSED: Final = "checkpoint.witnessed"
STAMPED: Final = "timestamp.checkpoint"
STAMP: Final = "timestamp.tsr"
_FOLDER: Final = 0o755
_FILE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Published:
    """What lies in the folder now: the size its checkpoint covers, and how many files this call wrote."""

    size: int
    written: int


def publish(conn: Connection, shard: int, folder: Path, *, entries: bool) -> Published:
    """Bring a folder up to the newest checkpoint; with `entries` also the bundles, which are for auditors alone.

    Raises `PublishingRefused` if the folder holds another log, or more than the database has signed.
    """
    note = ledger.latest_checkpoint(conn, shard)
    if note is None:
        return Published(0, 0)
    signed = checkpoint.parse(split_note(note).text)
    if not _precedes(folder / CHECKPOINT, signed):
        raise PublishingRefused("the folder holds another log, or a later state of this one")
    written, kept = 0, pruning.kept_from(conn, shard) // TILE_WIDTH
    if entries:
        bundle = partial(published.entry_bundle, conn, shard, signed.size)
        written += _level(folder, None, signed.size, bundle, kept)
    level = 0
    while signed.size >> (8 * level):
        written += _level(folder, level, signed.size, lambda at: published.hash_tile(conn, shard, signed.size, at))
        level += 1
    written += _write(folder / CHECKPOINT, note.encode())
    _drop_bundles(folder, pruning.kept_from(conn, shard, signed.size) // TILE_WIDTH)
    cosigned = witnessed.newest(conn, shard)
    if cosigned is not None:
        written += _replace(folder / WITNESSED, cosigned.note.encode())
    stamp = stamped.newest(conn, shard)
    if stamp is not None:
        written += _replace(folder / STAMPED, stamp.note.encode()) + _replace(folder / STAMP, stamp.response)
    return Published(signed.size, written)


def _precedes(path: Path, signed: checkpoint.Checkpoint) -> bool:
    try:
        before = checkpoint.parse(split_note(path.read_text("utf-8")).text)
    except FileNotFoundError:
        return True
    except (OSError, UnicodeDecodeError, VerificationError):
        return False
    same = before.size != signed.size or before.root == signed.root
    return before.origin == signed.origin and before.size <= signed.size and same


def _level(folder: Path, level: int | None, size: int, read: Callable[[Place], bytes | None], first: int = 0) -> int:
    written = 0
    for index, width in tiles.tiles_of(level or 0, size):
        if index < first:
            continue
        spelt = tiles.bundle_path(index, width) if level is None else tiles.tile_path(level, index, width)
        path = folder / spelt
        if path.exists():
            continue
        content = read(Place(level, index, width))
        if content is None:  # its row comes with the next checkpoint
            raise PublishingRefused("a tile that the checkpoint covers is not there")
        written += _write(path, content)
        if width == TILE_WIDTH:
            _drop_partial(path.with_name(path.name + ".p"))
    return written


def _drop_bundles(folder: Path, kept: int) -> None:
    """Take away the bundles before the first that is kept."""
    if not (folder / "tile" / "entries").is_dir():
        return
    for index in range(kept):
        path = folder / tiles.bundle_path(index)
        path.unlink(missing_ok=True)
        _drop_partial(path.with_name(path.name + ".p"))


def _drop_partial(folder: Path) -> None:
    if folder.is_dir():
        for each in folder.iterdir():
            each.unlink()
        folder.rmdir()


def _replace(path: Path, content: bytes) -> int:
    """Write a file unless it holds just this."""
    if path.exists() and path.read_bytes() == content:
        return 0
    return _write(path, content)


def _write(path: Path, content: bytes) -> int:
    """Put a file in its place whole: written beside, flushed, renamed, and its folder flushed."""
    path.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    at = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(at)
    finally:
        os.close(at)
    return 1
