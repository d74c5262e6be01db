"""The log searched backwards, the newest first, a bounded piece at a time; and single entries with what proves them.

Only what the newest signed checkpoint covers is found, so that every line that is shown can be proven. A search goes
through so many entries at most and then says where to go on: a log of any length costs a page the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from audit import ledger, pruning
from audit.checkpoint import parse
from audit.entry import decode
from audit.errors import InvalidEntry
from audit.inclusion import Included, included
from audit.merkle import leaf_hash, node_hash
from audit.note import split_note
from audit.pruning import Kept
from audit.reports.lines import Line, Vouched
from audit.selection import Filter

PIECE: Final = 1000  # entries read at a time
MOST_SEEN: Final = 50_000  # entries gone through by one search


@dataclass(frozen=True, slots=True)
class Found:
    """Lines, the newest first. `onward` is the index to go on below; None when there is nothing more to read.

    `kept` is where the log begins that was pruned and was read to there; None for one that reaches back to its beginning,
    and while there is more to read.
    """

    lines: tuple[Line, ...]
    onward: int | None
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry, and its way to a signed root: the hash it has with each sibling, ending in the root."""

    index: int
    size: int
    origin: str
    content: Mapping[str, Any]
    body: bytes
    leaf: bytes
    steps: tuple[tuple[bytes, bytes], ...]  # (sibling, hash with it)
    root: bytes
    note: str


def search(conn: Connection, upto: Vouched, sought: Filter, below: int | None, most: int) -> Found:
    """Return up to `most` lines below an index (None: from the end) that are meant."""
    end = upto.size if below is None else min(below, upto.size)
    begin = pruning.kept_from(conn, upto.shard)
    floor = max(begin, end - MOST_SEEN)
    lines: list[Line] = []
    while end > floor:
        start = max(floor, end - PIECE)
        for record in reversed(ledger.read(conn, upto.shard, start, end - start)):
            try:
                content = decode(record.body)
            except InvalidEntry:
                continue  # the verifier says what became of it
            if sought.fits(content):
                lines.append(Line(upto.shard, record.idx, content))
                if len(lines) == most:
                    return _found(conn, upto.shard, lines, record.idx, begin)
        end = start
    return _found(conn, upto.shard, lines, end, begin)


def prove(conn: Connection, shard: int, index: int) -> Proven | None:
    """Compute anew, from an entry's stored bytes, that it is in the log; None where no checkpoint covers it, or it was pruned.

    Raises `VerificationError` when it does not lead to the signed root.
    """
    records = ledger.read(conn, shard, index, 1)
    found = included(conn, shard, [records[0].entry_id]) if records else {}
    if not found:
        return None
    (entry,) = found.values()
    signed = parse(split_note(entry.checkpoint).text)
    leaf = leaf_hash(entry.body)
    steps = _steps(entry, leaf, signed.size)
    return Proven(
        index, signed.size, signed.origin, decode(entry.body), entry.body, leaf, steps, signed.root, entry.checkpoint
    )


def _found(conn: Connection, shard: int, lines: Sequence[Line], end: int, begin: int) -> Found:
    if end > begin:
        return Found(tuple(lines), end)
    return Found(tuple(lines), None, pruning.beginning(conn, shard))


def _steps(entry: Included, leaf: bytes, size: int) -> tuple[tuple[bytes, bytes], ...]:
    """Hash the way from a leaf to the root (RFC 6962 §2.1.1), each step kept to be shown."""
    index, last, value = entry.index, size - 1, leaf
    siblings = iter(entry.proof)
    steps = []
    while last:
        if index & 1:
            sibling = next(siblings)
            value = node_hash(sibling, value)
            steps.append((sibling, value))
        elif index < last:
            sibling = next(siblings)
            value = node_hash(value, sibling)
            steps.append((sibling, value))
        index, last = index >> 1, last >> 1
    return tuple(steps)
