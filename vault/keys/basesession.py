"""A connection to the PostgreSQL database of a keystore: how it is made, held to durability, and made anew."""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import psycopg
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL

from vault.postgresql import assert_durable

SCHEMA: Final = "ecrin_keystore"

# A process that stops inside a transaction holds the one lock: not for longer than this. A host that is gone is found
# by keep-alives, on both ends. Nobody else's schema is searched, so that nobody's tables can stand in for these.
_OPTIONS: Final = (
    f"-c search_path={SCHEMA} -c synchronous_commit=on -c lock_timeout=10000 -c statement_timeout=60000"
    " -c idle_in_transaction_session_timeout=60000"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)
_CONNECTION: Final[dict[str, Any]] = {
    "application_name": "ecrin-keystore",
    "connect_timeout": 5,
    "target_session_attrs": "read-write",  # of several hosts the primary: a standby hears of a retired leaf late
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
}


def connect(address: URL, **options: Any) -> psycopg.Connection[Any]:
    """Connect by a SQLAlchemy URL, in autocommit. `options` are libpq's. Raises psycopg's errors."""
    # Why the dialect's reading of the URL: the data's address is read by it, and the two should be written alike.
    _, named = PGDialect_psycopg().create_connect_args(address)  # type: ignore[no-untyped-call]
    return psycopg.connect(**{**named, **options, "autocommit": True})


class BaseSession:
    """A `vault.keys.pagesql.Session` over psycopg. A broken connection is made anew, but never within a transaction."""

    def __init__(self, address: URL) -> None:
        """Connect. Raises UnsafeSetting for a server that could lose an acknowledged write, or psycopg's errors."""
        self._address = address
        self._within = False
        self._connection = self._connect()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and has not ended."""
        return self._within

    def execute(self, statement: str, values: Any = (), /) -> psycopg.Cursor[Any]:
        """Run one statement. COMMIT raises when the server rolled back instead."""
        if statement in {"END", "ROLLBACK"} and self._connection.closed:
            self._within = False
            raise psycopg.OperationalError
        ends = statement in {"COMMIT", "END", "ROLLBACK"}
        try:
            cursor = self._live().execute(_with_percents(statement), values or None)
        finally:
            if ends:
                self._within = False
        if statement.startswith("BEGIN"):
            self._within = True
        if statement == "COMMIT" and cursor.statusmessage != "COMMIT":
            raise psycopg.OperationalError
        return cursor

    def executemany(self, statement: str, rows: Iterable[Any], /) -> psycopg.Cursor[Any]:
        """Run one statement for each row, without waiting for each answer."""
        cursor = self._live().cursor()
        cursor.executemany(_with_percents(statement), rows)
        return cursor

    def close(self) -> None:
        """Close the connection; what was begun is rolled back."""
        self._within = False
        self._connection.close()

    def _live(self) -> psycopg.Connection[Any]:
        if self._connection.closed and not self._within:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> psycopg.Connection[Any]:
        connection = connect(self._address, options=_OPTIONS, **_CONNECTION)
        try:
            assert_durable(connection)
        except BaseException:
            connection.close()
            raise
        return connection


@cache
def _with_percents(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()
