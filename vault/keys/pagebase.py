"""The keystore in a PostgreSQL database of its own: a `PageStore` for several hosts (ADR 0029).

Never in the data database's cluster: a point-in-time restore rewinds a whole cluster, and would bring back every leaf
that was destroyed since (`vault.keys.cluster`). Writers queue at the lock of the one row in `keystore`; readers see a
snapshot and wait for nobody. Whether another process wrote is asked before each batch, at the price of a round trip:
what a notification would tell may arrive after `retire` has returned, and then somebody would still be given the leaf.

What was purged stays in PostgreSQL's journal, its archive and its replicas until those are gone. The promise does not
rest on it: all of that hangs from a root that was destroyed.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Final

import psycopg
from sqlalchemy.engine import URL

from vault.errors import IntegrityFailure, Sealed, StoreFull, StoreUnavailable, VaultError
from vault.keys.basesession import SCHEMA, BaseSession
from vault.keys.pagechange import NEWER
from vault.keys.pagesql import fill, insert_pages
from vault.keys.pagestore import PageRow, Rows
from vault.keys.pagetables import PageTables

_CHUNK: Final = 256  # pages fetched at once: a megabyte
_INIT: Final = 0x6563726E  # of the advisory lock between two processes that make one keystore
_TABLES: Final = (
    """CREATE TABLE keystore (one bigint PRIMARY KEY CHECK (one = 1), format bigint NOT NULL, deployment text NOT NULL,
    epoch bigint NOT NULL CHECK (epoch >= 0), retiring bigint, fanout bigint NOT NULL, depth bigint NOT NULL,
    structure bigint NOT NULL, revision bigint NOT NULL, created_at bigint NOT NULL,
    reserved bigint NOT NULL CHECK (reserved >= 0))""",
    """CREATE TABLE epoch (epoch bigint PRIMARY KEY, root_ref text NOT NULL UNIQUE, top_key bytea NOT NULL,
    top bytea NOT NULL, service bytea NOT NULL)""",
    """CREATE TABLE page (address bigint, generation bigint, body bytea NOT NULL, PRIMARY KEY (address, generation))""",
    "ALTER TABLE page ALTER COLUMN body SET STORAGE EXTERNAL",  # sealed bytes do not compress
    "CREATE TABLE retired (number bigint, generation bigint, PRIMARY KEY (number, generation))",
    """CREATE TABLE leaving (number bigint, generation bigint, epoch bigint NOT NULL, recalled bigint NOT NULL,
    PRIMARY KEY (number, generation))""",
    "CREATE INDEX leaving_epoch ON leaving (epoch)",
    """CREATE TABLE change (one bigint PRIMARY KEY CHECK (one = 1), epoch bigint NOT NULL, root_ref text NOT NULL,
    ends text NOT NULL, state text NOT NULL, verified bigint, copies bigint NOT NULL)""",
    """CREATE TABLE lease (one bigint PRIMARY KEY CHECK (one = 1), owner text NOT NULL,
    expires_at bigint NOT NULL)""",
    "CREATE TABLE unread (address bigint, generation bigint, PRIMARY KEY (address, generation))",
    "CREATE TABLE readback (one bigint PRIMARY KEY CHECK (one = 1), whole_at bigint NOT NULL)",
    """CREATE TABLE destroyed (epoch bigint PRIMARY KEY, root_ref text NOT NULL UNIQUE, effective_at bigint NOT NULL,
    evidence text NOT NULL, destruction_class text NOT NULL, copies bigint NOT NULL, recorded_at bigint NOT NULL)""",
)


class PageBase(PageTables):
    """An open keystore database: `vault.keys.pagestore.PageStore`. Never carry one across a fork.

    A connection that broke is made anew by the next verb outside a transaction; the verb that met the break raises
    StoreUnavailable, except `changed`, which has nothing to lose and tries once more.
    """

    def __init__(self, address: URL) -> None:
        """Connect to an existing keystore. Raises Sealed when there is none, UnsafeSetting, StoreUnavailable."""
        self._revision = -1
        with _translated():
            self._db: BaseSession = BaseSession(address)
            if not _holds_keystore(self._db):
                self._db.close()
                raise Sealed("the keystore is absent or cannot be read")

    def changed(self) -> bool:
        """Compare the count of changes that key services must hear of: one round trip.

        Raises IntegrityFailure for a count below one that was seen: the database was restored, or a standby took over
        that lacks commits, and leaves given out or retired since would be so no longer.
        """
        try:
            revision = self._heard()
        except StoreUnavailable:
            if self._db.in_transaction:
                raise
            revision = self._heard()
        if revision < self._revision:
            raise IntegrityFailure("the keystore is older than it was")
        changed, self._revision = revision != self._revision, revision
        return changed

    def current_pages(self) -> Iterator[PageRow]:
        """Read the pages of the highest generation, a chunk at a time, all as of one moment."""
        query = (
            "SELECT address, generation, body FROM page"  # noqa: S608 - ours
            f" WHERE address > ? AND NOT {NEWER} ORDER BY address LIMIT {_CHUNK}"
        )
        last = -1
        with self.reading():
            while True:
                with self._asking():
                    rows = self._db.execute(query, (last,)).fetchall()
                yield from map(PageRow._make, rows)
                if len(rows) < _CHUNK:
                    return
                last = rows[-1][0]

    def close(self) -> None:
        """Close the connection."""
        with _translated():
            self._db.close()

    def _heard(self) -> int:
        with _translated():
            row = self._db.execute("SELECT revision FROM keystore").fetchone()
        if row is None:
            raise IntegrityFailure(IntegrityFailure.code)
        return int(row[0])

    def _asking(self) -> AbstractContextManager[None]:
        return _translated()

    def _begin_reading(self) -> None:
        self._db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def _begin_writing(self) -> None:
        # Each later statement sees all that was committed before the lock was had: the level is READ COMMITTED.
        self._db.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        if self._db.execute("SELECT one FROM keystore FOR UPDATE").fetchone() is None:
            raise StoreUnavailable("the keystore was replaced while it was waited for")

    def _clear_journal(self) -> bool:
        """Give purged rows' places free. Its journal PostgreSQL keeps as it was told to."""
        with suppress(psycopg.Error):  # else the next autovacuum does
            self._db.execute("VACUUM page, epoch")
        return True


def create_base(address: URL, rows: Rows, pages: Iterable[PageRow]) -> bool:
    """Write a whole new keystore into an existing database, complete or not at all. False, changing nothing, if it holds one.

    The role must be allowed to make a schema in it. Raises UnsafeSetting, StoreFull, StoreUnavailable.
    """
    with _translated():
        db = BaseSession(address)
        try:
            db.execute("BEGIN")
            db.execute("SELECT pg_advisory_xact_lock(?)", (_INIT,))
            if _holds_keystore(db):
                return False
            db.execute("SET LOCAL statement_timeout = 0")
            if db.execute("SELECT to_regnamespace(?)", (SCHEMA,)).fetchone() == (None,):
                db.execute(f"CREATE SCHEMA {SCHEMA}")
            for statement in _TABLES:
                db.execute(statement)
            fill(db, rows)
            insert_pages(db, pages)
            db.execute("COMMIT")
            return True
        finally:
            db.close()


def base_holds_keystore(address: URL) -> bool:
    """Whether a keystore is in that database. Raises UnsafeSetting or StoreUnavailable."""
    with _translated():
        db = BaseSession(address)
        try:
            return _holds_keystore(db)
        finally:
            db.close()


def _holds_keystore(db: BaseSession) -> bool:
    return db.execute("SELECT to_regclass(?) IS NOT NULL", (f"{SCHEMA}.keystore",)).fetchone() == (True,)


class _translated:  # noqa: N801 - a context manager, used as a verb
    """Turn errors of psycopg into ours, with nothing of the original attached: its text names hosts and rows."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, psycopg.Error):
            return
        ours = _translate(error.sqlstate or "")
        del error, trace
        try:
            raise ours
        except VaultError as raised:
            raised.__context__ = None  # `from None` merely hides it
            raised.__suppress_context__ = True
            raise


def _translate(state: str) -> VaultError:
    # Our statements are fixed, so a table or column that is not there means that this is no keystore of ours.
    if state in {"42P01", "42703", "3F000"} or state.startswith("XX"):
        return IntegrityFailure(IntegrityFailure.code)
    if state in {"25006", "42501", "53100"}:  # read-only, no right, disk full
        return StoreFull("the keystore cannot be written")
    return StoreUnavailable("the keystore did not answer")
