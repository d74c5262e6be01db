"""Hashing stored entries anew, so that a bit that fell over is noticed while a backup still has the right one.

In memory that does not grow with the log, and in short reads. What a scrub cannot see is what `audit.verify` is for:
ids given twice, forms, checkpoints kept elsewhere.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, insert, select

from audit import ledger, pruning, published
from audit.checkpoint import open_checkpoint
from audit.errors import VerificationError
from audit.findings import Fault, Finding
from audit.merkle import Frontier, leaf_hash
from audit.note import VerifierKey
from audit.tables import metadata
from audit.tiles import TILE_WIDTH

Reading = Callable[[], AbstractContextManager[Connection]]
FULL: Final = "full"
SAMPLE: Final = "sample"

_SCRUBS = metadata.tables["log_scrub"]
_MOST: Final = 100  # findings told


class Scrub(NamedTuple):
    """One scrub as kept: when (UTC seconds), how many entries were looked at, how many faults it showed."""

    at: int
    size: int
    faults: int


def scrub_all(reading: Reading, shard: int, keys: Sequence[VerifierKey], origin: str) -> tuple[int, list[Finding]]:
    """Hash every signed entry anew, to the stored hashes, the stored tiles and the signed root; return size, findings."""
    with reading() as conn:
        note = ledger.latest_checkpoint(conn, shard)
    if note is None:
        return 0, []
    try:
        signed = open_checkpoint(note, keys, origin)
    except VerificationError as error:
        return 0, [Finding(Fault.CHECKPOINT, None, f"the newest checkpoint: {error}")]
    findings: list[Finding] = []
    grown = Frontier()
    for tile in range(-(-signed.size // TILE_WIDTH)):
        leaves, found = _tile(reading, shard, tile, signed.size)
        findings += found[: _MOST - len(findings)]
        grown = grown.extend(leaves)
    if grown.root() != signed.root and not findings:
        findings.append(Finding(Fault.CHANGED, 0, f"the entries do not lead to the root signed at {signed.size}"))
    with reading() as conn:
        findings += _upper(conn, shard, signed.size)
    return signed.size, findings


def scrub_tiles(reading: Reading, shard: int, size: int, tiles: Iterable[int]) -> list[Finding]:
    """Hash some tiles of a log of `size` signed entries anew."""
    return [finding for tile in tiles for finding in _tile(reading, shard, tile, size)[1]]


def keep_scrub(conn: Connection, shard: int, kind: str, scrub: Scrub) -> None:
    """Keep when and with what result stored bytes were looked at last."""
    conn.execute(delete(_SCRUBS).where(_SCRUBS.c.shard == shard, _SCRUBS.c.kind == kind))
    conn.execute(insert(_SCRUBS), {"shard": shard, "kind": kind, **scrub._asdict()})


def last_scrub(conn: Connection, shard: int, kind: str) -> Scrub | None:
    """Return the last scrub of a kind."""
    columns = (_SCRUBS.c.at, _SCRUBS.c.size, _SCRUBS.c.faults)
    row = conn.execute(select(*columns).where(_SCRUBS.c.shard == shard, _SCRUBS.c.kind == kind)).one_or_none()
    return None if row is None else Scrub(*row)


def _tile(reading: Reading, shard: int, tile: int, size: int) -> tuple[list[bytes], list[Finding]]:
    start = tile * TILE_WIDTH
    width = min(TILE_WIDTH, size - start)
    with reading() as conn:
        records = ledger.read_stored(conn, shard, start, width)
        kept = pruning.kept_from(conn, shard)
        stored = None
        if width == TILE_WIDTH:
            try:
                (stored,) = published.hashes(conn, shard, 1, tile, tile + 1)
            except VerificationError:
                stored = b""
    # Of what was pruned the hash alone is left to look at: it has to lead where it always led.
    pruned = {each.idx for each in records if not each.body and each.idx < kept}
    findings = [
        Finding(Fault.CHANGED, each.idx, f"entry {each.idx}, or the hash beside it, is not what was stored")
        for each in records
        if each.idx not in pruned and leaf_hash(each.body) != each.leaf
    ]
    if [each.idx for each in records] != list(range(start, start + width)):
        findings.append(Finding(Fault.MISSING, start, f"entries between {start} and {start + width} are missing"))
    leaves = [each.leaf if each.idx in pruned else leaf_hash(each.body) for each in records]
    if stored is not None and not findings and Frontier().extend(leaves).root() != stored:
        findings.append(Finding(Fault.CHANGED, start, f"the stored root of tile {tile} is not that of its entries"))
    return leaves, findings


def _upper(conn: Connection, shard: int, size: int) -> list[Finding]:
    """Hold the tiles above the first level against those below them."""
    findings = []
    level = 1
    while (full := size >> (8 * (level + 1))) > 0:
        for tile in range(full):
            try:
                below = published.hashes(conn, shard, level, tile * TILE_WIDTH, (tile + 1) * TILE_WIDTH)
                (stored,) = published.hashes(conn, shard, level + 1, tile, tile + 1)
            except VerificationError as error:
                findings.append(Finding(Fault.MISSING, None, f"{error}"))
                continue
            if Frontier().extend(below).root() != stored:
                findings.append(Finding(Fault.CHANGED, None, f"hash {tile} of level {level + 1} does not follow"))
        level += 1
    return findings
