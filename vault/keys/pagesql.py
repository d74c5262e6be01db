"""SQLite's part of the keystore file: its tables, how a connection is made, how its errors become ours."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from vault.errors import Conflict, IntegrityFailure, StoreFull, StoreUnavailable, VaultError
from vault.keys.pagestore import FORMAT, Head, PageRow, Rows

_BUSY: Final = 10.0  # seconds to wait for another process's transaction
_UNRELEASED: Final = 1
_HEAD: Final = (
    "SELECT format, deployment, epoch, retiring, fanout, depth, structure, revision, created_at FROM keystore"
)
_SCHEMA: Final = """
CREATE TABLE keystore (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL,
    deployment TEXT NOT NULL,
    epoch INTEGER NOT NULL CHECK (epoch >= 0),
    retiring INTEGER,
    fanout INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    structure INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    reserved INTEGER NOT NULL CHECK (reserved >= 0)
) STRICT;
CREATE TABLE epoch (
    epoch INTEGER PRIMARY KEY,
    root_ref TEXT NOT NULL UNIQUE,
    top_key BLOB NOT NULL,
    top BLOB NOT NULL,
    service BLOB NOT NULL
) STRICT;
CREATE TABLE page (
    address INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (address, generation)
) STRICT;
CREATE TABLE retired (
    number INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (number, generation)
) STRICT, WITHOUT ROWID;
CREATE TABLE leaving (
    number INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    recalled INTEGER NOT NULL,
    PRIMARY KEY (number, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX leaving_epoch ON leaving (epoch);
CREATE TABLE change (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    root_ref TEXT NOT NULL,
    ends TEXT NOT NULL,
    state TEXT NOT NULL,
    verified INTEGER,
    copies INTEGER NOT NULL
) STRICT;
CREATE TABLE lease (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    owner TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE TABLE unread (
    address INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (address, generation)
) STRICT, WITHOUT ROWID;
CREATE TABLE readback (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    whole_at INTEGER NOT NULL
) STRICT;
CREATE TABLE destroyed (
    epoch INTEGER PRIMARY KEY,
    root_ref TEXT NOT NULL UNIQUE,
    effective_at INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    destruction_class TEXT NOT NULL,
    copies INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT;
"""
# Our statements are fixed, so an error in one means that the file has another schema: not a keystore of ours.
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of sqlite3 and of the file system into ours, without their text or chain."""
    try:
        yield
    except sqlite3.Error as failure:
        raise _translate(failure) from None
    except OSError:
        raise StoreFull("the keystore cannot be written") from None


def connect(path: Path) -> sqlite3.Connection:
    """Connect to an existing file: mode=rw makes SQLite refuse to create one."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False
    )


def fill(db: sqlite3.Connection, rows: Rows, *, schema: bool = False) -> None:
    """Write all rows but the pages into empty tables, made first if `schema`. The caller owns the transaction."""
    if schema:
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
    db.execute(
        "INSERT INTO keystore (one, format, deployment, epoch, retiring, fanout, depth, structure, revision,"
        " created_at, reserved) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*rows.head, rows.reserved),
    )
    db.executemany("INSERT INTO epoch (epoch, root_ref, top_key, top, service) VALUES (?, ?, ?, ?, ?)", rows.epochs)
    db.executemany("INSERT INTO retired (number, generation) VALUES (?, ?)", rows.retired)
    db.executemany(
        "INSERT INTO leaving (number, generation, epoch, recalled) VALUES (?, ?, ?, ?)",
        ((*slot, epoch, recalled) for slot, epoch, recalled in rows.leaving),
    )
    if rows.change is not None:
        db.execute(
            "INSERT INTO change (one, epoch, root_ref, ends, state, verified, copies) VALUES (1, ?, ?, ?, ?, ?, ?)",
            rows.change,
        )
    db.executemany(
        "INSERT INTO destroyed (epoch, root_ref, effective_at, evidence, destruction_class, copies, recorded_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows.history,
    )


class Transactions:
    """One connection, and how it reads one moment and writes alone."""

    _db: sqlite3.Connection

    def head(self) -> Head:
        """Read the one row."""
        with translated():
            row = self._db.execute("SELECT format FROM keystore").fetchone()
            if row == (_UNRELEASED,):
                raise IntegrityFailure("the keystore is of a format that was never released: make it anew")
            if row != (FORMAT,):
                raise IntegrityFailure(IntegrityFailure.code)
            return Head(*self._db.execute(_HEAD).fetchone())

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold one moment of the file. May be nested."""
        if self._db.in_transaction:
            yield
            return
        with translated():
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            with translated():
                self._db.execute("COMMIT")

    def _insert_pages(self, pages: Iterable[PageRow]) -> None:
        self._db.executemany("INSERT INTO page (address, generation, body) VALUES (?, ?, ?)", pages)

    @contextmanager
    def _writing(self, owner: str | None = None, *, heard: bool = False) -> Iterator[None]:
        """Write under the exclusive lock, for the holder of the lease if one is named; `heard` tells key services."""
        with translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if owner is not None and self._db.execute("SELECT owner FROM lease").fetchone() != (owner,):
                    raise Conflict("another process changes the keystore")
                yield
                if self._db.in_transaction:
                    if heard:
                        self._db.execute("UPDATE keystore SET revision = revision + 1")
                    self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


def _translate(failure: sqlite3.Error) -> VaultError:
    code = getattr(failure, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    if code in _CORRUPT:
        return IntegrityFailure(IntegrityFailure.code)
    if code in _FULL:
        return StoreFull("the keystore cannot be written")
    return StoreUnavailable("the keystore did not answer")
