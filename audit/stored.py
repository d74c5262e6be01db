"""Where the verifier reads from: a log as stored, taken from a SQLite data file without any help of the vault.

The file is opened read-only and read in one transaction, so a running vault is neither disturbed nor in the way. Other
sources (PostgreSQL through `audit.ledger`, a published directory) hand over the same `StoredLog`.

Standard library only: the verifier takes this file along when it is copied out.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from audit.errors import CannotDecide

_NO_BODY: Final = b"\0"  # of no entry


class StoredEntry(NamedTuple):
    """One entry as stored. `leaf` and `entry_id` are None where the source does not store them."""

    idx: int
    body: bytes
    leaf: bytes | None = None
    entry_id: bytes | None = None


class StoredCheckpoint(NamedTuple):
    """One signed note as stored, the size it is filed under, and the packed frontier beside it, if any."""

    size: int
    note: str
    stack: bytes | None = None


class StoredLog(NamedTuple):
    """Everything stored about one log. `size` and `stack` are the head's; None where the source keeps no head."""

    shard: int
    origin: str
    size: int | None
    stack: bytes | None
    checkpoints: Sequence[StoredCheckpoint]
    entries: Iterable[StoredEntry]


@contextmanager
def open_sqlite(path: Path) -> Iterator[list[StoredLog]]:
    """Give every log in a data file, one per shard. Raises `CannotDecide` if the file cannot be read as one."""
    if not path.is_file():
        raise CannotDecide("there is no such data file")
    with closing(_connect(path)) as conn, _reading():
        conn.execute("BEGIN")
        yield [_log(conn, shard) for shard in _shards(conn)]


def _connect(path: Path) -> sqlite3.Connection:
    with _reading():
        # A copy that lies on read-only media has no place for the side files of write-ahead logging. If it brought
        # none along, nobody is writing to it either, and it may be read as it lies there.
        modes = ["mode=ro"] if path.with_name(path.name + "-wal").exists() else ["mode=ro", "mode=ro&immutable=1"]
        for mode in modes:
            conn = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
            # A byte that was flipped into no character must reach the verifier, not stop the reading.
            conn.text_factory = _lenient
            try:
                # The file may be hostile: no view, trigger or expression in it may run functions.
                conn.execute("PRAGMA trusted_schema = OFF")
                conn.execute("PRAGMA cell_size_check = ON")
                conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except sqlite3.OperationalError:
                conn.close()
                if mode is modes[-1]:
                    raise
            except sqlite3.Error:
                conn.close()
                raise
            else:
                return conn
    raise AssertionError("a mode either connects or raises")


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise CannotDecide(f"the data file cannot be read: {error.sqlite_errorname}") from None


def _shards(conn: sqlite3.Connection) -> list[int]:
    # From all three tables: an entry or a checkpoint whose head is gone must not go unnoticed.
    rows = conn.execute(
        "SELECT shard FROM log_head UNION SELECT shard FROM log_entry UNION SELECT shard FROM log_checkpoint ORDER BY 1"
    )
    return [shard for (shard,) in rows]


def _log(conn: sqlite3.Connection, shard: int) -> StoredLog:
    head = conn.execute("SELECT origin, size, stack FROM log_head WHERE shard = ?", (shard,)).fetchone()
    origin, size, stack = ("", 0, b"") if head is None else head
    signed = conn.execute("SELECT size, note, stack FROM log_checkpoint WHERE shard = ? ORDER BY size", (shard,))
    stored = [StoredCheckpoint(_number(row[0]), _text_of(row[1]), _bytes(row[2])) for row in signed.fetchall()]
    return StoredLog(shard, _text_of(origin), _number(size), _bytes(stack), stored, _entries_of(conn, shard))


def _entries_of(conn: sqlite3.Connection, shard: int) -> Iterator[StoredEntry]:
    rows = conn.execute("SELECT idx, body, leaf, entry_id FROM log_entry WHERE shard = ? ORDER BY idx", (shard,))
    for row in rows:
        idx, body, leaf, entry_id = row
        if type(idx) is int and type(body) is bytes and type(leaf) is bytes and type(entry_id) is bytes:
            yield StoredEntry._make(row)
        else:
            yield StoredEntry(_number(idx), _body(body), _bytes(leaf), _bytes(entry_id))


# SQLite lets any column hold any type. What is not of the column's type was not written by the vault; it is passed on
# as a value that cannot verify, so that it is found as a change.


def _number(value: object) -> int:
    return value if isinstance(value, int) else -1


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _body(value: object) -> bytes:
    """Return the bytes of a body. An empty one was pruned: what is of another type must not pass for that."""
    return value if isinstance(value, bytes) else _NO_BODY


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else ""


def _lenient(value: bytes) -> str:
    return value.decode("utf-8", "replace")
