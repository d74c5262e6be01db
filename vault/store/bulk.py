"""Insert many rows at the speed of the driver, inside the transaction that is already open.

The statement is compiled once per table and kind of database. PostgreSQL runs it by binary COPY: one message stream instead of one
statement per row (measured for sealed values: four times as fast). SQLite takes fifty rows a statement, the rest by the
driver's `executemany`: with each statement the driver lets go of the interpreter's lock and has to get it back (measured
for imports: a tenth of the whole).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol, cast

from psycopg import sql
from sqlalchemy import Boolean, Connection, Dialect, Integer, LargeBinary, SmallInteger, Table, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.types import BigInteger, String, TypeEngine
from sqlmodel import SQLModel

COPY_FROM: Final = 4  # rows; measured: one row by COPY costs as much as one INSERT, five cost the same again

_COPY_TYPES: Final[tuple[tuple[type[TypeEngine[Any]], str], ...]] = (
    (Boolean, "bool"),
    (SmallInteger, "int2"),
    (BigInteger, "int8"),
    (Integer, "int4"),
    (LargeBinary, "bytea"),
    (String, "text"),
)

_DIALECTS: Final[Mapping[str, Dialect]] = {"sqlite": pysqlite.dialect(), "postgresql": psycopg.dialect()}  # type: ignore[no-untyped-call]

_BLOCK: Final = 50  # rows of one statement on SQLite; the driver lets go of the interpreter's lock once per statement


class NamedRow(Protocol):
    """A named tuple."""

    @property
    def _fields(self) -> tuple[str, ...]: ...


class _Plan(NamedTuple):
    statement: str
    columns: tuple[str, ...]
    values: Callable[[Mapping[str, object]], Any]
    copy: sql.Composed
    types: tuple[str, ...]


def insert_or(conn: Connection, table: Table) -> Any:
    """Return an INSERT that takes `on_conflict_do_nothing` or `on_conflict_do_update`: each engine has its own."""
    return (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(table)


def insert_rows(
    conn: Connection, table: type[SQLModel] | Table, rows: Sequence[Mapping[str, object]] | Sequence[NamedRow]
) -> None:
    """Insert `rows`, each of which names every column of `table` (none is filled in by default).

    Mappings, or named tuples whose fields are the columns in their order: those go to the driver as they are.

    Raises the driver's error, for the unit of work to translate; the transaction is then good for rollback alone.
    """
    if not rows:
        return
    plan = _plan(table, conn.dialect.name)
    first = rows[0]
    if isinstance(first, tuple):
        if first._fields != plan.columns:
            raise TypeError("a named tuple does not have the columns of its table")
        tuples: Sequence[Any] = rows
    else:
        tuples = list(map(plan.values, cast("Sequence[Mapping[str, object]]", rows)))
    if conn.dialect.name == "postgresql" and len(rows) >= COPY_FROM:
        _copy(conn, plan, tuples)
        return
    start = 0
    if conn.dialect.name == "sqlite" and len(rows) >= _BLOCK:
        statement = _of_block(plan.statement)
        while start + _BLOCK <= len(tuples):
            conn.exec_driver_sql(statement, tuple(chain.from_iterable(tuples[start : start + _BLOCK])))
            start += _BLOCK
    if start < len(tuples):
        conn.exec_driver_sql(plan.statement, list(tuples[start:]))


def _copy(conn: Connection, plan: _Plan, rows: Sequence[Any]) -> None:
    driver: Any = conn.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(plan.copy) as copy:
        copy.set_types(plan.types)
        write = copy.write_row
        for row in rows:
            write(row)


@cache
def _of_block(statement: str) -> str:
    head, values, row = statement.partition(" VALUES ")
    return f"{head}{values}{', '.join([row] * _BLOCK)}"


@cache
def _plan(table: type[SQLModel] | Table, name: str) -> _Plan:
    core: Table = table if isinstance(table, Table) else table.__table__  # type: ignore[attr-defined]
    columns = list(core.columns)
    names = [column.name for column in columns]
    compiled = insert(core).compile(dialect=_DIALECTS[name], column_keys=names)
    order = compiled.positiontup or names
    if list(order) != names:  # pragma: no cover - SQLAlchemy keeps the order of the columns
        raise TypeError("columns and placeholders differ in order")
    if name == "postgresql":
        # The driver's own placeholders are positional here; SQLAlchemy would have written named ones.
        statement = str(compiled)
        for column in names:
            statement = statement.replace(f"%({column})s", "%s", 1)
    else:
        statement = str(compiled)
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(core.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    return _Plan(
        statement, tuple(names), itemgetter(*names), copy, tuple(_copy_type(column.type) for column in columns)
    )


def _copy_type(kind: TypeEngine[Any]) -> str:
    for generic, name in _COPY_TYPES:
        if isinstance(kind, generic):
            return name
    raise TypeError(f"no COPY type for {kind!r}")
