"""How marks and meters of budgets move in the database (`vault.budgets`): one statement, on SQLite two.

Plain text for the reason given in `vault.proofs`. PostgreSQL counts what is new in the statement that moves the marks;
SQLite cannot write from within a query, so there the marks come back and are counted here. The unit holds SQLite's only
write lock: nothing moves in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection, select

from vault.budgetlimits import MEASURES, WINDOWS
from vault.store.lookup import run, run_many
from vault.store.tables import metadata
from vault.unit import UnitOfWork

SKEW: Final = 300  # seconds that clocks of several hosts may differ

_CHUNK: Final = 1024  # marks per statement, a power of two; SQLite takes 32,766 parameters
_NEVER: Final = -1
_COLUMNS: Final = tuple(f"{measure}_{window}" for measure in MEASURES for window in WINDOWS)
_SECONDS: Final = tuple(WINDOWS.values())

ASKED_ABOUT: Final = _SECONDS[-1] + SKEW  # seconds after which no window can ask about a mark or a meter any more

_MARK: Final = metadata.tables["budget_mark"]


@dataclass(slots=True)
class Move:
    """What one batch does to one mark."""

    meter: bytes
    shape: int
    weight: int
    shapes: set[int]
    previous_at: int = _NEVER
    previous_shape: int = 0


def starts_at(now: int) -> list[int]:
    """Return when each window that the clock is in began."""
    return [now - now % seconds for seconds in _SECONDS]


def added_by(move: Move, starts: Sequence[int]) -> list[int]:
    """Tell what a mark's move adds to its meter: people per window, then weight per window."""
    people = [int(move.previous_at < start) for start in starts]
    again = move.shape == move.previous_shape
    return people + [0 if again and not new else move.weight for new in people]


def recall(conn: Connection, moves: Mapping[bytes, Move]) -> None:
    """Read what each mark was before this unit moved it."""
    marks = sorted(moves)
    for start in range(0, len(marks), _CHUNK):
        wanted = select(_MARK.c.mark, _MARK.c.previous_at, _MARK.c.previous_shape).where(
            _MARK.c.mark.in_(marks[start : start + _CHUNK])
        )
        for mark, previous_at, previous_shape in conn.execute(wanted):
            moves[mark].previous_at, moves[mark].previous_shape = previous_at, previous_shape


def put_back(conn: Connection, refused: Mapping[bytes, Move], counts: Mapping[bytes, Sequence[int]]) -> None:
    """Set the meters to `counts` and the marks of what was refused to what they were. All are locked by this unit."""
    sign = "%s" if conn.dialect.name == "postgresql" else "?"
    assign = ", ".join([f"{column} = {sign}" for column in _COLUMNS])
    rows = [(*read, meter) for meter, read in counts.items()]
    run_many(conn, f"UPDATE budget_meter SET {assign} WHERE meter = {sign}", rows)  # noqa: S608 - our own columns
    back = f"UPDATE budget_mark SET at = previous_at, shape = previous_shape WHERE mark = {sign}"  # noqa: S608
    if refused:
        # A mark that never was stays as one that was never looked at, until it is purged.
        run_many(conn, back, [(mark,) for mark in refused])


def move_all(uow: UnitOfWork, moves: Mapping[bytes, Move]) -> dict[bytes, list[int]]:
    """Move marks and meters; return what each meter reads now, in the order of `_COLUMNS`."""
    rows = sorted(moves.items())  # in key order, so that two units wait for each other instead of deadlocking
    totals: dict[bytes, list[int]] = {}
    take = _take_postgresql if uow.conn.dialect.name == "postgresql" else _take_sqlite
    for start in range(0, len(rows), _CHUNK):
        totals |= take(uow.conn, rows[start : start + _CHUNK], uow.now)
    return totals


def _take_postgresql(conn: Connection, rows: Sequence[tuple[bytes, Move]], now: int) -> dict[bytes, list[int]]:
    marks = [mark for mark, _ in rows]
    meters, shapes, weights = map(list, zip(*[(m.meter, m.shape, m.weight) for _, m in rows], strict=True))
    starts = starts_at(now)
    given = (
        marks,
        meters,
        shapes,
        weights,
        now,
        now,
        *starts,
        *starts,
        now + SKEW,
        now,
        *[each for start in (*starts, *starts) for each in (start, now + SKEW)],
    )
    return {meter: list(counts) for meter, *counts in run(conn, _POSTGRESQL, given).fetchall()}


def _take_sqlite(conn: Connection, rows: Sequence[tuple[bytes, Move]], now: int) -> dict[bytes, list[int]]:
    moves = dict(rows)
    start = 0
    while start < len(rows):  # by powers of two: a handful of statement texts, and a row twice would forget what it was
        size = 1 << ((len(rows) - start).bit_length() - 1)
        values = [(mark, move.meter, now, _NEVER, move.shape, 0) for mark, move in rows[start : start + size]]
        for mark, previous_at, previous_shape in run(conn, _marks_sqlite(size), tuple(chain(*values))).fetchall():
            moves[mark].previous_at, moves[mark].previous_shape = previous_at, previous_shape
        start += size
    starts = starts_at(now)
    sums: dict[bytes, list[int]] = {}
    for move in moves.values():
        added = added_by(move, starts)
        held = sums.get(move.meter)
        sums[move.meter] = added if held is None else [a + b for a, b in zip(held, added, strict=True)]
    totals: dict[bytes, list[int]] = {}
    for meter, added in sorted(sums.items()):
        given: list[Any] = [meter, now, *added, now + SKEW, now]
        given += [each for begin in (*starts, *starts) for each in (begin, now + SKEW)]
        ((_, *counts),) = run(conn, _SQLITE, given).fetchall()
        totals[meter] = counts
    return totals


def _upsert(sign: str, greatest: str) -> str:
    """Write how a meter takes what is added: a count of a window that is over begins anew.

    The newest time wins, so that a host whose clock is behind never resets what another counted; a time that lies
    further ahead than clocks may differ is a clock that was wrong, and does not lock everybody out until it is right.
    """
    kept = [
        f"{column} = CASE WHEN held.at >= {sign} AND held.at <= {sign} THEN held.{column} ELSE 0 END + excluded.{column}"
        for column in _COLUMNS
    ]
    at = f"at = CASE WHEN held.at > {sign} THEN {sign} ELSE {greatest}(held.at, excluded.at) END"
    return f"ON CONFLICT (meter) DO UPDATE SET {', '.join([at, *kept])} RETURNING meter, {', '.join(_COLUMNS)}"


_INTO_METER: Final = f"INSERT INTO budget_meter AS held (meter, at, {', '.join(_COLUMNS)})"
_INTO_MARK: Final = "INSERT INTO budget_mark AS held (mark, meter, at, previous_at, shape, previous_shape)"
_ON_MARK: Final = (
    "ON CONFLICT (mark) DO UPDATE SET previous_at = held.at, previous_shape = held.shape,"
    " at = excluded.at, shape = excluded.shape"
)
_NEW: Final = ["count(*) FILTER (WHERE marked.previous_at < %s)"] * len(_SECONDS)
_WEIGHT: Final = [
    "coalesce(sum(look.weight) FILTER (WHERE marked.previous_at < %s OR marked.previous_shape <> marked.shape), 0)"
] * len(_SECONDS)
_POSTGRESQL: Final = f"""
WITH look AS MATERIALIZED (
    SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bigint[], %b::bigint[]) AS look (mark, meter, shape, weight)
), marked AS (
    {_INTO_MARK}
    SELECT mark, meter, %s, {_NEVER}, shape, 0 FROM look ORDER BY mark
    {_ON_MARK}
    RETURNING mark, meter, previous_at, shape, previous_shape
)
{_INTO_METER}
SELECT marked.meter, %s, {", ".join(_NEW + _WEIGHT)}
FROM marked JOIN look ON look.mark = marked.mark GROUP BY marked.meter ORDER BY marked.meter
{_upsert("%s", "greatest")}
"""  # noqa: S608 - our own columns
_SQLITE: Final = f"{_INTO_METER} VALUES (?, ?, {', '.join('?' * len(_COLUMNS))}) {_upsert('?', 'max')}"


@cache
def _marks_sqlite(count: int) -> str:
    rows = ", ".join(["(?, ?, ?, ?, ?, ?)"] * count)
    return f"{_INTO_MARK} VALUES {rows} {_ON_MARK} RETURNING mark, previous_at, previous_shape"
