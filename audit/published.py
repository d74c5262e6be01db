"""The log as outsiders read it: hash tiles and entry bundles, cut from what is stored (C2SP tlog-tiles).

Level 0 lies beside the entries. Of every full tile the root is kept as a row, written with the checkpoint that covers
it; rows of one level are the hashes of the next level's tiles. So any tile is one range of rows, whatever the size of
the log, and nothing is served that no checkpoint covers.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select

from audit import checkpoint, ledger, pruning, tiles
from audit.errors import VerificationError
from audit.merkle import HASH_SIZE, Frontier
from audit.note import split_note
from audit.tables import metadata
from audit.tiles import TILE_WIDTH

_ENTRIES = metadata.tables["log_entry"]
_NODES = metadata.tables["log_node"]
_CHUNK: Final = 64  # tiles hashed at a time

_LEAVES = (
    select(_ENTRIES.c.leaf)
    .where(_ENTRIES.c.shard == bindparam("of_shard"))
    .where(_ENTRIES.c.idx >= bindparam("start"), _ENTRIES.c.idx < bindparam("end"))
    .order_by(_ENTRIES.c.idx)
)
_HASHES = (
    select(_NODES.c.hash)
    .where(_NODES.c.shard == bindparam("of_shard"), _NODES.c.level == bindparam("of_level"))
    .where(_NODES.c.idx >= bindparam("start"), _NODES.c.idx < bindparam("end"))
    .order_by(_NODES.c.idx)
)
_LAST = select(func.max(_NODES.c.idx)).where(
    _NODES.c.shard == bindparam("of_shard"), _NODES.c.level == bindparam("of_level")
)


def grow(conn: Connection, shard: int, size: int) -> None:
    """Keep the root of every full tile of a log of `size` signed entries. Call it in the signer's own transaction.

    Takes up where it stopped. Raises `VerificationError` for a gap in what is stored.
    """
    level = 0
    while (full := size >> (8 * (level + 1))) > 0:
        last = conn.scalar(_LAST, {"of_shard": shard, "of_level": level + 1})
        for start in range(0 if last is None else last + 1, full, _CHUNK):
            end = min(start + _CHUNK, full)
            below = hashes(conn, shard, level, start * TILE_WIDTH, end * TILE_WIDTH)
            roots = [Frontier().extend(below[at : at + TILE_WIDTH]).root() for at in range(0, len(below), TILE_WIDTH)]
            rows = [
                {"shard": shard, "level": level + 1, "idx": index, "hash": root}
                for index, root in enumerate(roots, start)
            ]
            conn.execute(insert(_NODES), rows)
        level += 1


def signed_size(conn: Connection, shard: int) -> int:
    """Return how many entries the newest checkpoint covers: 0 before the first."""
    note = ledger.latest_checkpoint(conn, shard)
    return 0 if note is None else checkpoint.parse(split_note(note).text).size


def hash_tile(conn: Connection, shard: int, size: int, at: tiles.Place) -> bytes | None:
    """Return a hash tile of a log of `size` signed entries, 32 bytes a hash; None where there is none."""
    start = at.index * TILE_WIDTH
    if at.level is None or start + at.width > size >> (8 * at.level):
        return None
    return b"".join(hashes(conn, shard, at.level, start, start + at.width))


def entry_bundle(conn: Connection, shard: int, size: int, at: tiles.Place) -> bytes | None:
    """Return an entry bundle of a log of `size` signed entries; None where there is none, or none any more."""
    start = at.index * TILE_WIDTH
    if at.level is not None or start + at.width > size or start < pruning.kept_from(conn, shard):
        return None
    return tiles.pack_bundle([record.body for record in ledger.read(conn, shard, start, at.width)])


def hashes(conn: Connection, shard: int, level: int, start: int, end: int) -> Sequence[bytes]:
    """Return the hashes `start` to `end` of a level (C2SP tlog-tiles), which a checkpoint must cover.

    Raises `VerificationError` for a gap in what is stored.
    """
    where: dict[str, Any] = {"of_shard": shard, "start": start, "end": end}
    rows = conn.scalars(_LEAVES, where) if level == 0 else conn.scalars(_HASHES, where | {"of_level": level})
    found = [bytes(each) for each in rows]
    if len(found) != end - start or any(len(each) != HASH_SIZE for each in found):
        raise VerificationError(f"the hashes of level {level} from {start} on are not whole")
    return found
