"""The ledger: entries appended inside the caller's transaction, read back, and vouched for by signed checkpoints.

Entry and data commit together or not at all. `append` locks the head row, so it is called last, just before the
commit: PostgreSQL holds the row lock for a moment, SQLite is in `BEGIN IMMEDIATE` already. Indexes therefore follow
the order of commits, without gaps and without a separate sequencer.

A driver's errors pass through untranslated: the unit of work that owns the connection translates them for all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, bindparam, func, insert, select, text

from audit import checkpoint as checkpoints
from audit.checkpoint import Checkpoint
from audit.errors import LedgerConflict, SigningRefused, UnknownLog, VerificationError
from audit.merkle import Frontier, leaf_hash
from audit.note import Signer, VerifierKey, parse_vkey, sign_note, vkey
from audit.pin import read_pin, write_pin
from audit.records import Record, index_of, read, read_stored
from audit.stored import StoredCheckpoint, StoredEntry, StoredLog
from audit.tables import metadata

__all__ = [
    "Appended",
    "Head",
    "Record",
    "append",
    "create_head",
    "head",
    "index_of",
    "latest_checkpoint",
    "read",
    "read_stored",
    "shards",
    "sign_checkpoint",
    "stored_log",
]

_CHUNK: Final = 4096  # entries read at a time: about 2 MB

_Move = tuple[int, bytes, int, int, int]  # new size, stack and time; shard and old size

_HEADS = metadata.tables["log_head"]
_ENTRIES = metadata.tables["log_entry"]
_CHECKPOINTS = metadata.tables["log_checkpoint"]

_SHARD: BindParameter[int] = bindparam("of_shard")
_HEAD = select(_HEADS.c.origin, _HEADS.c.size, _HEADS.c.stack, _HEADS.c.last_t).where(_HEADS.c.shard == _SHARD)
# By hand and straight to the driver: these run for every disclosure, and the log's lock is held meanwhile.
_HEAD_SQLITE = "SELECT origin, size, stack, last_t FROM log_head WHERE shard = ?"
_HEAD_POSTGRESQL = "SELECT origin, size, stack, last_t FROM log_head WHERE shard = %s FOR UPDATE"
_INSERT = "INSERT INTO log_entry (shard, idx, entry_id, leaf, body) VALUES (?, ?, ?, ?, ?)"
_MOVE = "UPDATE log_head SET size = ?, stack = ?, last_t = ? WHERE shard = ? AND size = ?"
# One statement, one round trip; arrays in binary form, so that nothing is escaped and parsed again.
_MOVE_AND_INSERT = """
WITH moved AS (
    UPDATE log_head SET size = %s, stack = %b, last_t = %s WHERE shard = %s AND size = %s RETURNING shard
)
INSERT INTO log_entry (shard, idx, entry_id, leaf, body)
SELECT moved.shard, %s::bigint + batch.place - 1, batch.entry_id, batch.leaf, batch.body
FROM moved, unnest(%b::bytea[], %b::bytea[], %b::bytea[]) WITH ORDINALITY AS batch (entry_id, leaf, body, place)
"""
_LAST = select(func.max(_ENTRIES.c.idx)).where(_ENTRIES.c.shard == _SHARD)
_SIGNED = select(_CHECKPOINTS.c.size, _CHECKPOINTS.c.note, _CHECKPOINTS.c.stack).where(_CHECKPOINTS.c.shard == _SHARD)
_SIGNED_UP_TO = _SIGNED.where(_CHECKPOINTS.c.size <= bindparam("up_to")).order_by(_CHECKPOINTS.c.size.desc()).limit(1)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of one shard's log. `last_t` is the latest time (whole UTC seconds) handed to an append."""

    origin: str
    frontier: Frontier
    last_t: int

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.frontier.size


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a batch went: its first index, the log's size and 32-byte root after it, its leaf hashes in order."""

    first_index: int
    size: int
    root: bytes
    leaves: tuple[bytes, ...]


def create_head(conn: Connection, shard: int, origin: str, now: int) -> None:
    """Start the empty log of a shard under its own origin."""
    conn.execute(insert(_HEADS), {"shard": shard, "origin": origin, "size": 0, "stack": b"", "last_t": now})


def head(conn: Connection, shard: int) -> Head:
    """Return the head as this transaction sees it, unlocked."""
    row = conn.execute(_HEAD, {"of_shard": shard}).one_or_none()
    return _opened(row)


def append(conn: Connection, shard: int, bodies: Sequence[tuple[bytes, bytes]], now: int) -> Appended:
    """Append encoded entries, given as (16-byte entry id, body), in order. Call it last before the commit.

    Two or three statements whatever the size of the batch. Raises `UnknownLog`, or `LedgerConflict` when the caller has
    no transaction open or one that did not serialise writers (SQLite without `BEGIN IMMEDIATE`).
    """
    if not conn.in_transaction():
        raise LedgerConflict("entries and data must commit together, and no transaction is open")
    leaves = tuple(leaf_hash(body) for _, body in bodies)  # before the lock: others wait for it
    before = _locked_head(conn, shard)
    after = before.frontier.extend(leaves)
    if bodies:
        move = (after.size, after.pack(), max(before.last_t, now), shard, before.size)
        store = _store_postgresql if conn.dialect.name == "postgresql" else _store_sqlite
        if not store(conn, move, leaves, bodies):
            raise LedgerConflict("the log head moved inside the transaction")
    return Appended(before.size, after.size, after.root(), leaves)


def shards(conn: Connection) -> list[int]:
    """Return every shard that has a log, ascending."""
    return list(conn.scalars(select(_HEADS.c.shard).order_by(_HEADS.c.shard)))


def latest_checkpoint(conn: Connection, shard: int, most: int = checkpoints.MAX_SIZE) -> str | None:
    """Return the signed note of the largest checkpoint, to publish; or of the largest of at most so many entries."""
    row = _checkpoint_up_to(conn, shard, most)
    return None if row is None else row.note


def stored_log(conn: Connection, shard: int) -> StoredLog:
    """Return everything stored about one log, for `audit.verify`. Entries are read in chunks while it runs.

    Read what may lag first and what leads last (entries, checkpoints, head), so that appends which commit meanwhile
    are not taken for damage, also without a common snapshot.
    """
    last = conn.scalar(_LAST, {"of_shard": shard})
    signed = conn.execute(_SIGNED.order_by(_CHECKPOINTS.c.size), {"of_shard": shard})
    stored = tuple(StoredCheckpoint(*each) for each in signed)
    row = conn.execute(_HEAD, {"of_shard": shard}).one_or_none()
    if row is None:
        raise UnknownLog("no log head for this shard")
    end = max(row.size, -1 if last is None else last + 1)
    return StoredLog(shard, row.origin, row.size, row.stack, stored, _entries(conn, shard, end))


def sign_checkpoint(
    conn: Connection,
    shard: int,
    signers: Sequence[Signer],
    pinned: Path | None,
    *,
    known: Sequence[VerifierKey] = (),
    wait: bool = False,
) -> str | None:
    """Sign the committed head, remember that, and return the note; None if nothing is new or another signer is at it.

    With `wait` another signer is waited for instead: whoever opens a door on this word must have it checked.

    Call it in a transaction of its own (on SQLite `BEGIN IMMEDIATE`): a head that the same transaction has moved is
    not committed yet. Every signer puts a line on the note: the oldest first, while a new key is brought in. `known` are
    keys that signed before, as well as theirs. `pinned` is the file outside the database that keeps the last note. Raises
    `SigningRefused` unless the head extends, entry by entry as stored, what the database and that file say was signed last; a database
    brought back from backup therefore stops signing instead of growing a second history under the same name.
    """
    if not _only_signer(conn, shard, wait=wait):
        return None
    end = head(conn, shard)
    if any(each.name != end.origin for each in signers):
        # Why: one key pair may sign for several shards; the name is what binds a signature to one log.
        raise SigningRefused("the signer's name is not the origin of the log")
    keys = tuple(dict.fromkeys([*(parse_vkey(vkey(each.name, each.public_key)) for each in signers), *known]))
    last = _signed_frontier(conn, shard, checkpoints.MAX_SIZE, keys, end.origin)
    outside = _open_pin(pinned, keys, end.origin)
    promised = max(last.size, 0 if outside is None else outside.size)
    if end.size < promised:
        raise SigningRefused(f"the log has {end.size} entries and {promised} were signed for")
    if outside is not None:
        base = last if outside.size >= last.size else _signed_frontier(conn, shard, outside.size, keys, end.origin)
        if _grow(conn, shard, base, outside.size, signed=last.size).root() != outside.root:
            raise SigningRefused(f"the log does not extend what was signed at {outside.size} entries")
    if _grow(conn, shard, last, end.size) != end.frontier:
        raise SigningRefused(f"the entries from {last.size} on do not lead to the head at {end.size}")
    if end.size == last.size:
        return None
    note = sign_note(checkpoints.format(Checkpoint(end.origin, end.size, end.frontier.root())), signers)
    conn.execute(insert(_CHECKPOINTS), {"shard": shard, "size": end.size, "stack": end.frontier.pack(), "note": note})
    if pinned is not None:
        # Before the commit: if that fails, the file is ahead of the table, which the next call checks and accepts.
        write_pin(pinned, note)
    return note


def _locked_head(conn: Connection, shard: int) -> Head:
    driver: Any = conn.connection.driver_connection
    text = _HEAD_POSTGRESQL if conn.dialect.name == "postgresql" else _HEAD_SQLITE
    return _opened(driver.execute(text, (shard,)).fetchone())


def _opened(row: Sequence[Any] | None) -> Head:
    if row is None:
        raise UnknownLog("no log head for this shard")
    origin, size, stack, last_t = row
    return Head(origin, Frontier.unpack(size, stack), last_t)


def _store_sqlite(
    conn: Connection, move: _Move, leaves: Sequence[bytes], bodies: Sequence[tuple[bytes, bytes]]
) -> bool:
    *_, shard, first = move
    rows = [
        (shard, index, entry_id, leaf, body)
        for index, ((entry_id, body), leaf) in enumerate(zip(bodies, leaves, strict=True), first)
    ]
    driver: Any = conn.connection.driver_connection
    driver.executemany(_INSERT, rows)
    return bool(driver.execute(_MOVE, move).rowcount == 1)


def _store_postgresql(
    conn: Connection, move: _Move, leaves: Sequence[bytes], bodies: Sequence[tuple[bytes, bytes]]
) -> bool:
    first = move[-1]
    columns = ([entry_id for entry_id, _ in bodies], list(leaves), [body for _, body in bodies])
    driver: Any = conn.connection.driver_connection
    return bool(driver.execute(_MOVE_AND_INSERT, (*move, first, *columns)).rowcount == len(bodies))


def _entries(conn: Connection, shard: int, end: int) -> Iterator[StoredEntry]:
    for start in range(0, end, _CHUNK):
        for record in read_stored(conn, shard, start, min(_CHUNK, end - start)):
            yield StoredEntry(record.idx, record.body, record.leaf, record.entry_id)


def _checkpoint_up_to(conn: Connection, shard: int, size: int) -> StoredCheckpoint | None:
    row = conn.execute(_SIGNED_UP_TO, {"of_shard": shard, "up_to": size}).one_or_none()
    return None if row is None else StoredCheckpoint(*row)


def _only_signer(conn: Connection, shard: int, *, wait: bool) -> bool:
    """Tell whether this transaction may sign: one at a time, and the others need not wait for it.

    Without it a slow signer could publish a smaller head after a faster one published a larger. SQLite's write lock
    does the same.
    """
    if conn.dialect.name != "postgresql":
        return True
    key = "('log_checkpoint'::regclass::oid::bigint << 16) | :of_shard"  # unique in this database, whatever else locks
    if wait:
        conn.execute(text(f"SELECT pg_advisory_xact_lock({key})"), {"of_shard": shard})
        return True
    return bool(conn.scalar(text(f"SELECT pg_try_advisory_xact_lock({key})"), {"of_shard": shard}))


def _signed_frontier(conn: Connection, shard: int, up_to: int, keys: Sequence[VerifierKey], origin: str) -> Frontier:
    """Return the frontier at the largest signed checkpoint of at most `up_to` entries; empty if there is none."""
    row = _checkpoint_up_to(conn, shard, up_to)
    if row is None:
        return Frontier()
    try:
        signed = checkpoints.open_checkpoint(row.note, keys, origin)
        frontier = Frontier.unpack(row.size, row.stack or b"")
    except VerificationError:
        raise SigningRefused("the last checkpoint in the database does not verify") from None
    if (signed.size, signed.root) != (frontier.size, frontier.root()):
        raise SigningRefused("the last checkpoint in the database does not match its row")
    return frontier


def _open_pin(pinned: Path | None, keys: Sequence[VerifierKey], origin: str) -> Checkpoint | None:
    note = None if pinned is None else read_pin(pinned)
    if note is None:
        return None
    try:
        return checkpoints.open_checkpoint(note, keys, origin)
    except VerificationError:
        raise SigningRefused("the last checkpoint outside the database does not verify") from None


def _grow(conn: Connection, shard: int, frontier: Frontier, end: int, signed: int = 0) -> Frontier:
    """Extend a frontier to `end` entries by hashing the stored bodies: a signature vouches for bytes, not for hashes.

    Of the `signed` first entries a hash may stand for a body that was pruned: it was vouched for before.
    """
    while frontier.size < end:
        records = read_stored(conn, shard, frontier.size, min(_CHUNK, end - frontier.size))
        if not records or any(record.idx != index for index, record in enumerate(records, frontier.size)):
            raise SigningRefused(f"the log has a gap at or after entry {frontier.size}")
        frontier = frontier.extend(
            record.leaf if not record.body and record.idx < signed else leaf_hash(record.body) for record in records
        )
    return frontier
