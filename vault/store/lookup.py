"""Read rows by sets of keys, with a statement that is compiled once and goes straight to the driver.

These reads run with every batch, most of them for a handful of keys. SQLAlchemy writes an expanding `IN (…)` anew at
each execution and wraps cursor, result and row; measured, that costs two to ten times what SQLite takes to answer. So
the text is compiled once per engine and number of keys, which are padded to powers of two, and kept.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Dialect, Select

from vault.store.keysets import padded

_MOST_PLANS: Final = 1024  # statements times sizes: about a dozen each
_ROOMY: Final = 65536  # KiB
_NAMED = re.compile(r"%\((\w+)\)s")


class _Plan(NamedTuple):
    text: str
    places: tuple[tuple[str, int], ...]  # of each placeholder: whose key it is, and which one


def look_up(
    conn: Connection, statement: Select[*tuple[Any, ...]], keys: Mapping[str, Sequence[object]]
) -> list[tuple[Any, ...]]:
    """Return all rows of `statement`, its expanding parameters filled from `keys`. None of these may be empty.

    Rows are the driver's: SQLite gives booleans as 0 and 1. Raises the driver's error, for the unit of work to
    translate.
    """
    sets = {name: padded(given) for name, given in keys.items()}
    plan = _plan(statement, conn.dialect, tuple([(name, len(given)) for name, given in sets.items()]))
    driver: Any = conn.connection.driver_connection
    rows: list[tuple[Any, ...]] = driver.execute(plan.text, [sets[name][at] for name, at in plan.places]).fetchall()
    return rows


def run(conn: Connection, text: str, parameters: Sequence[object]) -> Any:
    """Execute a fixed statement in the driver's own dialect and return the driver's cursor.

    For the few writes of every batch that are plain text anyway: the way round SQLAlchemy's result objects saves
    several times what the database takes. Raises the driver's error, for the unit of work to translate; RuntimeError
    outside a transaction, which nothing opens by itself on this way.
    """
    return _driver(conn).execute(text, parameters)


def run_many(conn: Connection, text: str, rows: Sequence[Sequence[object]]) -> None:
    """Execute a fixed statement once per row of parameters, as `run` does."""
    _driver(conn).cursor().executemany(text, rows)


@contextmanager
def mapped(conn: Connection, name: str, values: Mapping[bytes, bytes]) -> Iterator[None]:
    """Let statements on SQLite call `name(x)` for the value that `values` has for x; one it lacks fails the statement."""
    driver = _driver(conn)
    driver.create_function(name, 1, values.__getitem__, deterministic=True)
    try:
        yield
    finally:
        driver.create_function(name, 1, None)


@contextmanager
def roomy(conn: Connection) -> Iterator[None]:
    """Keep many pages in memory for a statement that changes pages all over a table, on SQLite; else nothing."""
    if conn.dialect.name != "sqlite":
        yield
        return
    driver = _driver(conn)
    (usual,) = driver.execute("PRAGMA cache_size").fetchone()
    driver.execute(f"PRAGMA cache_size = -{_ROOMY:d}")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA cache_size = {usual:d}")


def _driver(conn: Connection) -> Any:
    if not conn.in_transaction():
        raise RuntimeError("no transaction is open")
    return conn.connection.driver_connection


@lru_cache(_MOST_PLANS)
def _plan(statement: Select[*tuple[Any, ...]], dialect: Dialect, sizes: tuple[tuple[str, int], ...]) -> _Plan:
    # Each key is filled in with its own place, so that the expanded parameters tell which placeholder takes which.
    marks = {name: [(name, at) for at in range(size)] for name, size in sizes}
    expanded = statement.compile(dialect=dialect).construct_expanded_state(marks)
    if expanded.positiontup is not None:
        return _Plan(expanded.statement, tuple(expanded.positional_parameters))
    # Named placeholders, which the driver would make positional anew each time.
    order = _NAMED.findall(expanded.statement)
    return _Plan(_NAMED.sub("%s", expanded.statement), tuple([expanded.parameters[name] for name in order]))
