"""Giving up the bodies of old entries, bundle by bundle, while every proof goes on holding.

A pruned entry keeps its row, its id and its leaf hash. So tiles, checkpoints, consistency and every inclusion proof stay as
they are, for 80 bytes an entry; what it said is gone, here and wherever the log is served or published.

`log.pruned` is durable and under a signed checkpoint before the first body goes: a process that dies in between leaves a
log that says more than it has to, and whoever prunes next finishes it. Before a stretch is blanked it is hashed once more,
and the commitments to erased people's log keys in it are looked for among those that were carried over.
"""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, text, update

from audit.entry import Act, decode
from audit.errors import LedgerConflict, VerificationError
from audit.merkle import leaf_hash
from audit.prunedpart import read_pruning
from audit.records import Record, index_of, read, read_stored
from audit.tables import metadata
from audit.tiles import TILE_WIDTH

STRETCH: Final = 16 * TILE_WIDTH  # entries blanked in one transaction
_PIECE: Final = 4096

_ENTRIES = metadata.tables["log_entry"]
_PRUNED = metadata.tables["log_pruned"]
_KEPT_FROM = select(func.max(_PRUNED.c.first)).where(_PRUNED.c.shard == bindparam("of_shard"))
_TOLD = _KEPT_FROM.join(_ENTRIES, _ENTRIES.c.entry_id == _PRUNED.c.entry_id).where(_ENTRIES.c.idx < bindparam("size"))
_LAST = (
    select(_PRUNED.c.first, _PRUNED.c.at, _PRUNED.c.entry_id)
    .where(_PRUNED.c.shard == bindparam("of_shard"))
    .order_by(_PRUNED.c.first.desc())
    .limit(1)
)
_FIRST = select(func.min(_ENTRIES.c.idx)).where(
    _ENTRIES.c.shard == bindparam("of_shard"), func.length(_ENTRIES.c.body) > 0
)
_BLANK = (
    update(_ENTRIES)
    .where(_ENTRIES.c.shard == bindparam("of_shard"), _ENTRIES.c.idx >= bindparam("start"))
    .where(_ENTRIES.c.idx < bindparam("end"))
    .values(body=b"")
)
_COMMITTED: Final = frozenset({Act.SUBJECT_ERASED, Act.ERASURE_CARRIED})
_COM: Final = b'"com":"'


class Kept(NamedTuple):
    """Where a log that was pruned begins: its first entry with a body, and when that was written (as the log writes it)."""

    first: int
    since: str


class Pruned(NamedTuple):
    """The last pruning of a log: bodies are kept from `first` on; when it was told, and by which entry."""

    first: int
    at: int
    entry_id: bytes


def kept_from(conn: Connection, shard: int, size: int | None = None) -> int:
    """Return the first entry whose body is kept; 0 where nothing was pruned.

    With `size` only by the word of prunings that lie among so many entries: those under a checkpoint of that size.
    """
    where = {"of_shard": shard}
    found = conn.scalar(_KEPT_FROM, where) if size is None else conn.scalar(_TOLD, where | {"size": size})
    return int(found or 0)


def last(conn: Connection, shard: int) -> Pruned | None:
    """Return the last pruning of a log, or None."""
    row = conn.execute(_LAST, {"of_shard": shard}).one_or_none()
    return None if row is None else Pruned(row.first, row.at, bytes(row.entry_id))


def beginning(conn: Connection, shard: int) -> Kept | None:
    """Tell from where on a log can still be read; None where nothing of it was pruned."""
    first = kept_from(conn, shard)
    if not first:
        return None
    records = read(conn, shard, first, 1)
    return Kept(first, str(decode(records[0].body)["t"]) if records else "")


def keep(conn: Connection, shard: int, pruned: Pruned) -> None:
    """Keep a pruning, in the transaction of its entry. Raises `LedgerConflict` when another one came first."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("LOCK TABLE log_pruned IN SHARE ROW EXCLUSIVE MODE"))
    if kept_from(conn, shard) >= pruned.first:
        raise LedgerConflict("another process prunes this log")
    conn.execute(insert(_PRUNED), {"shard": shard, **pruned._asdict()})


def commitments(bodies: Iterable[bytes]) -> frozenset[bytes]:
    """Return the commitments to log keys of people who were erased, as entries tell them for the first time or again."""
    found = set()
    for body in bodies:
        if _COM in body:
            entry = decode(body)
            if entry["act"] in _COMMITTED:
                found.add(bytes.fromhex(entry["com"]))
    return frozenset(found)


def carried(conn: Connection, shard: int, pruned: Pruned) -> frozenset[bytes]:
    """Return the commitments that a pruning carried over: in the entries right before its own."""
    index = index_of(conn, shard, pruned.entry_id)
    told = None if index is None else read_pruning(index, read(conn, shard, index, 1)[0].body)
    if told is None:
        raise VerificationError("the entry of the pruning is not in the log")
    start = told.index - told.carried
    return commitments(
        each.body
        for at in range(start, told.index, _PIECE)
        for each in read(conn, shard, at, min(_PIECE, told.index - at))
    )


def first_body(conn: Connection, shard: int) -> int:
    """Return the first entry whose body is there."""
    return int(conn.scalar(_FIRST, {"of_shard": shard}) or 0)


def blank(conn: Connection, shard: int, start: int, end: int, told_again: Collection[bytes]) -> list[Record]:
    """Empty the bodies of a stretch and return what was in it. Call it in a transaction of its own.

    Raises `VerificationError`, and leaves all as it is, for a body that is not the one of its leaf hash, and for a commitment
    that is not among those carried over (`told_again`).
    """
    records = [each for each in read_stored(conn, shard, start, end - start) if each.body]
    wrong = next((each.idx for each in records if leaf_hash(each.body) != each.leaf), None)
    if wrong is not None:
        raise VerificationError(
            f"entry {wrong}, or the hash beside it, is not what was stored: nothing of it was pruned"
        )
    if not commitments(each.body for each in records) <= frozenset(told_again):
        raise VerificationError("an erasure among these entries was not carried over: nothing of them was pruned")
    conn.execute(_BLANK, {"of_shard": shard, "start": start, "end": end})
    return records
