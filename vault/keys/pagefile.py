"""The keystore's SQLite file: sealed pages, two sealed parts, and one row that says whose they are.

Its own file, never the data database: erasing later means that every older copy of *this* file dies, while old data
backups stay useful. Nothing in it is a key in clear. WAL with `synchronous=FULL`: a reservation that was answered is
on disk; `secure_delete`: superseded pages do not linger in free pages.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from vault.errors import IntegrityFailure, Sealed, StoreFull, StoreUnavailable, VaultError
from vault.keys.private_file import check_private, publish

FORMAT: Final = 1

_BUSY: Final = 10.0  # seconds to wait for another process's reservation
_SCHEMA: Final = """
CREATE TABLE keystore (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL,
    deployment TEXT NOT NULL,
    epoch INTEGER NOT NULL CHECK (epoch >= 0),
    root_ref TEXT NOT NULL,
    top_key BLOB NOT NULL,
    fanout INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    trees INTEGER NOT NULL CHECK (trees >= 1),
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE part (name TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE page (address INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
"""
# Our statements are fixed, so an error in one means that the file has another schema: not a keystore of ours.
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})


class Head(NamedTuple):
    """The one row: format, deployment, epoch, name of the root, wrapped key of the top page, shape, time of making.

    In clear and therefore not believed: what opens the top page is bound to deployment, epoch and root; the shape is
    repeated inside it.
    """

    format: int
    deployment: str
    epoch: int
    root_ref: str
    top_key: bytes
    fanout: int
    depth: int
    trees: int
    created_at: int


@contextmanager
def _translated() -> Iterator[None]:
    """Turn sqlite3's errors into ours, without their text or chain."""
    try:
        yield
    except sqlite3.Error as failure:
        raise _translate(failure) from None


def _translate(failure: sqlite3.Error) -> VaultError:
    code = getattr(failure, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    if code in _CORRUPT:
        return IntegrityFailure(IntegrityFailure.code)
    if code in _FULL:
        return StoreFull("the keystore cannot be written")
    return StoreUnavailable("the keystore did not answer")


class PageFile:
    """An open keystore file. Not thread-safe: the key service locks around it. Never carry one across a fork."""

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
            self._db = _connect(path)
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

    def head(self) -> Head:
        """Read the one row. Raises IntegrityFailure when it is missing or of a format this release does not know."""
        with _translated():
            row = self._db.execute(
                "SELECT format, deployment, epoch, root_ref, top_key, fanout, depth, trees, created_at FROM keystore"
            ).fetchone()
        if row is None or row[0] != FORMAT:
            raise IntegrityFailure(IntegrityFailure.code)
        return Head(*row)

    def part(self, name: str) -> bytes:
        """Read a sealed part. Raises IntegrityFailure when it is missing."""
        with _translated():
            row = self._db.execute("SELECT body FROM part WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise IntegrityFailure(IntegrityFailure.code)
        return bytes(row[0])

    def page(self, address: int) -> bytes | None:
        """Read a sealed page; None when it is missing or its place in the file is damaged."""
        try:
            with _translated():
                row = self._db.execute("SELECT body FROM page WHERE address = ?", (address,)).fetchone()
        except IntegrityFailure:
            return None
        return None if row is None else bytes(row[0])

    def reserved(self) -> int:
        """Return how many leaves have been set aside, by all processes."""
        with _translated():
            return int(self._db.execute("SELECT reserved FROM keystore").fetchone()[0])

    def reserve(self, least: int, wanted: int, total: int) -> range:
        """Set aside the next leaves, durably: `wanted`, or what is left of `total`, if that is at least `least`.

        Returns them as ordinals over all trees; an empty range when fewer than `least` are left. BEGIN IMMEDIATE
        makes it exclusive across processes; the commit is on disk before the answer.
        """
        with self._writing():
            first = int(self._db.execute("SELECT reserved FROM keystore").fetchone()[0])
            end = min(first + wanted, total)
            if end - first < least:
                return range(0)
            self._db.execute("UPDATE keystore SET reserved = ?", (end,))
        return range(first, end)

    def give_back(self, unused: range) -> None:
        """Undo the unused end of a reservation, if no other came after it. The caller gives none of it out later."""
        with self._writing():
            self._db.execute("UPDATE keystore SET reserved = ? WHERE reserved = ?", (unused.start, unused.stop))

    def close(self) -> None:
        """Close the file."""
        with _translated():
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


def create_file(
    path: Path, unique: str, head: Head, parts: Iterable[tuple[str, bytes]], pages: Iterable[tuple[int, bytes]]
) -> bool:
    """Write a whole new keystore, mode 0600; it appears complete or not at all. False, changing nothing, if it exists.

    Built beside its final name without a journal, which is safe because nobody relies on it before it is published.
    """
    unfinished = path.with_name(f"{path.name}.{unique}.unfinished")
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            with _translated():
                _fill(unfinished, head, parts, pages)
            return publish(unfinished, path)
        finally:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(unfinished.name + suffix).unlink(missing_ok=True)
    except OSError:
        raise StoreFull("the keystore cannot be written") from None


def _fill(path: Path, head: Head, parts: Iterable[tuple[str, bytes]], pages: Iterable[tuple[int, bytes]]) -> None:
    db = _connect(path)
    try:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(
            "INSERT INTO keystore (one, format, deployment, epoch, root_ref, top_key, fanout, depth, trees, created_at,"
            " reserved) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            head,
        )
        db.executemany("INSERT INTO part (name, body) VALUES (?, ?)", parts)
        db.executemany("INSERT INTO page (address, body) VALUES (?, ?)", pages)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(path: Path) -> sqlite3.Connection:
    """Connect to an existing file: mode=rw makes SQLite refuse to create one."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False
    )
