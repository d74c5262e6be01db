"""The database engine: durable settings asserted at each connection, and errors translated at the border.

An acknowledged write must survive power loss and an erased byte must not linger, so each setting that either promise
rests on is set where we may set it, read back, and the connection refused when it does not hold (design §11).
Driver errors print the row that offended, in messages, in details and in chained exceptions, whatever
`hide_parameters` says. `translate` therefore lets nothing of them through but the SQLSTATE class and, for constraints,
the name.
"""

import re
import sqlite3
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from vault.errors import Conflict, StoreFull, StoreUnavailable, Unexpected, UnsafeSetting, VaultError
from vault.postgresql import assert_durable

READING: Final = "ecrin_reading"  # execution option: this transaction will not write

SQLITE_OLDEST: Final = (3, 38, 0)

_JOURNAL_PATIENCE: Final = 200  # milliseconds
_LOCK_PATIENCE: Final = 20  # milliseconds: SQLite then asks after 1, 2, 5 and 10

# A value that no database takes (22: data exception, 54: a limit of the program) is the fault of the item that brings it,
# and not of the store: said so, a batch is halved until that item stands alone (`vault.unit.execute`).
_OF_ONE_VALUE: Final = ("22", "54")

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_SQLITE_CHECK: Final = re.compile(r"CHECK constraint failed: ([a-z0-9_]+)\Z")
_SQLITE_COLUMNS: Final = re.compile(r"(?:UNIQUE|NOT NULL) constraint failed: ([a-z0-9_., ]+)\Z")


def open_engine(
    url: str | URL,
    *,
    pool_size: int = 8,
    busy_timeout_ms: int = 5_000,
    pool_timeout_s: float = 5.0,
    creator: Callable[[], Any] | None = None,
) -> Engine:
    """Open `sqlite:///path` or `postgresql+psycopg://…`, connect once, and assert that commits are durable.

    `creator` replaces the driver's own connect call; fault tests hand in a connection class that fails on purpose.
    Raises `UnsafeSetting` for a server that could lose an acknowledged write, `StoreUnavailable` if it cannot be
    reached, `StoreFull` if it cannot be written.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise UnsafeSetting("database_url: not a supported database")
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database in {None, "", ":memory:"}:
        raise UnsafeSetting("database_url: a vault needs a file")
    options: dict[str, Any] = {} if creator is None else {"creator": creator}
    engine = create_engine(
        parsed.set(drivername="sqlite+pysqlite" if sqlite else "postgresql+psycopg"),
        hide_parameters=True,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_s,
        connect_args=_sqlite_arguments(busy_timeout_ms) if sqlite else _postgresql_arguments(busy_timeout_ms),
        **options,
    )
    if sqlite:
        event.listen(engine, "connect", lambda driver, _: _prepare_sqlite(driver, busy_timeout_ms))
        event.listen(engine, "begin", lambda conn: _begin_sqlite(conn, busy_timeout_ms))
    else:
        event.listen(engine, "connect", lambda driver, _: assert_durable(driver))
    with translate(), engine.connect():
        pass
    return engine


def reader(engine: Engine) -> Engine:
    """Return the same engine for transactions that only read: they never ask for the write lock, nor wait for it."""
    return engine.execution_options(**{READING: True, "postgresql_readonly": True})


def clear_journal(engine: Engine) -> bool:
    """Empty SQLite's write-ahead log, in which deleted bytes stay otherwise; False while a reader needs it.

    Hygiene, and nothing that a promise rests on: what was deleted had lost its key. PostgreSQL's dead rows go with its
    own vacuum.
    """
    if engine.dialect.name != "sqlite":
        return True
    with translate():
        pooled = engine.raw_connection()
        try:
            cursor = pooled.cursor()
            (patience,) = cursor.execute("PRAGMA busy_timeout").fetchone()
            # While it waits for readers it keeps writers out: better not to have it than to hold them up.
            cursor.execute(f"PRAGMA busy_timeout = {min(patience, _JOURNAL_PATIENCE):d}")
            busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {patience:d}")
        finally:
            pooled.close()
    return not busy


def _sqlite_arguments(busy_timeout_ms: int) -> dict[str, Any]:
    # isolation_level None: the driver starts no transaction of its own, `_begin_sqlite` does. Left to itself it runs a
    # SELECT outside the transaction that the next INSERT opens, and check-then-write would not be atomic.
    return {"isolation_level": None, "check_same_thread": False, "timeout": busy_timeout_ms / 1000}


def _postgresql_arguments(lock_timeout_ms: int) -> dict[str, Any]:
    settings = (
        "-c synchronous_commit=on "
        f"-c lock_timeout={lock_timeout_ms} -c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000"
    )
    return {"application_name": "ecrin", "connect_timeout": 5, "options": settings}


def _prepare_sqlite(driver: sqlite3.Connection, busy_timeout_ms: int) -> None:
    if sqlite3.sqlite_version_info < SQLITE_OLDEST:
        raise UnsafeSetting("sqlite: too old")
    # The busy timeout comes first: switching a fresh file to WAL needs a lock that a neighbour may hold.
    driver.execute(f"PRAGMA busy_timeout = {busy_timeout_ms:d}")
    for pragma, wish, held in (
        ("journal_mode", "WAL", "wal"),
        ("synchronous", "FULL", 2),  # NORMAL can lose acknowledged commits at power loss
        ("secure_delete", "ON", 1),  # deleted bytes are overwritten, not left on free pages
        ("trusted_schema", "OFF", 0),
        ("foreign_keys", "ON", 1),
        ("cell_size_check", "ON", 1),
    ):
        driver.execute(f"PRAGMA {pragma} = {wish}")
        answer = driver.execute(f"PRAGMA {pragma}").fetchone()
        if answer is None or answer[0] != held:
            raise UnsafeSetting(f"sqlite: {pragma}")
    driver.execute("PRAGMA temp_store = MEMORY")  # sorters spill no row into a temporary file
    driver.execute("PRAGMA cache_size = -16384")  # 16 MiB: an import's pages stay in memory until its commit
    driver.execute("PRAGMA wal_autocheckpoint = 16000")  # 16 MiB of log between checkpoints


def _begin_sqlite(conn: Connection, busy_timeout_ms: int) -> None:
    # A write unit takes the write lock before its first read: what it checked still holds when it writes.
    reading = bool(conn.get_execution_options().get(READING))
    driver: Any = conn.connection.driver_connection  # straight to the driver: this runs with every unit
    if conn.info.get(READING) is not reading:
        patience = busy_timeout_ms if reading else min(busy_timeout_ms, _LOCK_PATIENCE)
        driver.execute(f"PRAGMA busy_timeout = {patience:d}")
        driver.execute(f"PRAGMA query_only = {reading:d}")
        conn.info[READING] = reading
    if reading:
        driver.execute("BEGIN")
    else:
        _take_write_lock(driver, busy_timeout_ms)


def _take_write_lock(driver: sqlite3.Connection, patience_ms: int) -> None:
    # SQLite has no queue for the lock, and soon asks for it only each 100 ms: beside neighbours that write without a
    # pause it was not had within 5 s (seen). Asked for anew and anew, it is asked for every few milliseconds.
    asked_at = time.monotonic()
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as busy:
            if busy.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() - asked_at >= patience_ms / 1000:
                raise
        else:
            return


class translate:  # noqa: N801 - a context manager, used as a verb
    """Turn any database error inside the block into one of ours, with nothing of the original attached."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, SQLAlchemyError | sqlite3.Error | psycopg.Error):
            return
        ours = translated(error)
        del error, trace
        try:
            raise ours
        except VaultError as raised:
            # `from None` merely hides the driver's exception; loggers that walk the chain would still print the row.
            raised.__context__ = None
            raised.__suppress_context__ = True
            raise


def translated(error: BaseException) -> VaultError:
    """Our error for a database error, made from its SQLSTATE or result code and its constraint's name alone."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(driver, psycopg.Error):
        return _from_postgresql(driver)
    if isinstance(driver, sqlite3.Error):
        return _from_sqlite(driver)
    return StoreUnavailable("database")


def _from_postgresql(error: psycopg.Error) -> VaultError:
    state = error.sqlstate or ""
    if state.startswith("23"):
        name = error.diag.constraint_name or error.diag.column_name or ""
        return Conflict(name if _NAME.match(name) else "constraint")
    if state in {"40001", "40P01"}:  # serialisation, deadlock
        return Conflict("concurrent")
    if state in {"25006", "42501", "53100"}:  # read-only, no right, disk full
        return StoreFull("database")
    if state.startswith(_OF_ONE_VALUE) or (not state and isinstance(error, psycopg.DataError)):
        return Unexpected("database: a value")
    return StoreUnavailable("database")


def _from_sqlite(error: sqlite3.Error) -> VaultError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CONSTRAINT:
        return Conflict(_sqlite_constraint(str(error)))
    if code in {sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH}:
        return Unexpected("database: a value")
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}:
        return StoreFull("database")
    return StoreUnavailable("database")


def _sqlite_constraint(text: str) -> str:
    # SQLite's text holds schema names only; it is still matched against their alphabet rather than passed on.
    if found := _SQLITE_CHECK.match(text):
        return found[1]
    if found := _SQLITE_COLUMNS.match(text):
        return found[1].split(",", 1)[0].split(".", 1)[0]
    return "constraint"
