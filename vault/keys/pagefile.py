"""The keystore in one SQLite file: a `PageStore` for one host.

Its own file, never the data database: erasing means that every older copy of *this* file dies, while old data backups
stay useful. WAL with `synchronous=FULL`: what was answered is on disk; `secure_delete`: what was purged does not linger
in free pages.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from vault.errors import IntegrityFailure, Sealed, StoreFull, StoreUnavailable, VaultError
from vault.keys.pagechange import NEWER
from vault.keys.pagesql import Session, fill, insert_pages
from vault.keys.pagestore import PageRow, Rows
from vault.keys.pagetables import PageTables
from vault.keys.private_file import check_private, publish

_BUSY: Final = 10.0  # seconds to wait for another process's transaction
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


class PageFile(PageTables):
    """An open keystore file: `vault.keys.pagestore.PageStore`. Never carry one across a fork."""

    def __init__(self, path: Path) -> None:
        """Open an existing file. Raises Sealed when absent, UnsafeFile when exposed. Never creates one."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            raise Sealed("the keystore is absent or cannot be read") from None
        try:
            check_private(descriptor)
        finally:
            os.close(descriptor)
        with _translated():
            self._db: Session = _connect(path)
        self._version = -1
        try:
            with _translated():
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA secure_delete = ON")
                self._db.execute("PRAGMA trusted_schema = OFF")
                if self._db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                    raise IntegrityFailure(IntegrityFailure.code)  # `create_file` made it WAL
        except VaultError:
            self._db.close()
            raise

    def changed(self) -> bool:
        """Compare SQLite's count of other connections' commits: a few microseconds, and no lock."""
        with _translated():
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return False
        self._version = version
        return True

    def current_pages(self) -> Iterator[PageRow]:
        """Read the pages of the highest generation, as they are asked for."""
        with _translated():
            query = f"SELECT address, generation, body FROM page WHERE NOT {NEWER} ORDER BY address"  # noqa: S608 - ours
            yield from map(PageRow._make, self._db.execute(query))

    def close(self) -> None:
        """Close the file."""
        with _translated():
            self._db.close()

    def _asking(self) -> AbstractContextManager[None]:
        return _translated()

    def _begin_reading(self) -> None:
        self._db.execute("BEGIN")

    def _begin_writing(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def _clear_journal(self) -> bool:
        # Passive checkpoints leave old bytes in the journal; only TRUNCATE clears it. A reader may hold it open for a
        # moment longer than we wait: then an epoch change stays where it is, and finishing is tried again.
        with _translated():
            blocked = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not blocked


def create_file(path: Path, unique: str, rows: Rows, pages: Iterable[PageRow]) -> bool:
    """Write a whole new keystore, mode 0600; it appears complete or not at all. False, changing nothing, if it exists.

    Built beside its final name without a journal, which is safe because nobody relies on it before it is published.
    """
    unfinished = path.with_name(f"{path.name}.{unique}.unfinished")
    with _translated():
        try:
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            _write(unfinished, rows, pages)
            return publish(unfinished, path)
        finally:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(unfinished.name + suffix).unlink(missing_ok=True)


def _write(path: Path, rows: Rows, pages: Iterable[PageRow]) -> None:
    db = _connect(path)
    try:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        fill(db, rows)
        insert_pages(db, pages)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn errors of sqlite3 and of the file system into ours, without their text or chain."""
    try:
        yield
    except sqlite3.Error as failure:
        raise _translate(failure) from None
    except OSError:
        raise StoreFull("the keystore cannot be written") from None


def _connect(path: Path) -> sqlite3.Connection:
    """Connect to an existing file: mode=rw makes SQLite refuse to create one."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False
    )


def _translate(failure: sqlite3.Error) -> VaultError:
    code = getattr(failure, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    if code in _CORRUPT:
        return IntegrityFailure(IntegrityFailure.code)
    if code in _FULL:
        return StoreFull("the keystore cannot be written")
    return StoreUnavailable("the keystore did not answer")
