"""The form of a report: typed columns, bounded rows, totals; and small counts that are never told exactly.

A count of people, or of acts about people, below five points at somebody. It is told as "<5", and a total over such
counts only as far as it gives none of them away (studies: default views must not leak).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Cell = str | int | bool | tuple[str, ...]

Words = tuple[str, str]
"""What a report says of itself, in the languages that it is signed in: English, French."""

LEAST: Final = 5
FEW: Final = f"<{LEAST}"


class Kind(StrEnum):
    """What a column holds. `count` is of people or acts about people and is told as "<5" where it is small."""

    TEXT = "text"
    TIME = "time"  # UTC, whole seconds, as in the log; "" for never
    COUNT = "count"
    NUMBER = "number"  # of days, versions, indexes: points at nobody
    FLAG = "flag"
    LIST = "list"  # of words


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name is stable, and the key under which a console finds the words for it."""

    name: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Body:
    """What a query found. `rows` are at most as many as were asked for; `more` counts those left out.

    `totals` are counted over all rows, also those left out. `notes` are sentences a reader must know to read it rightly.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    more: int
    totals: tuple[tuple[str, Cell], ...] = ()
    notes: tuple[Words, ...] = ()


class Table:
    """Takes rows in and keeps a bounded number of them, masked; so a report of any period takes bounded memory."""

    def __init__(self, columns: Sequence[Column], most: int) -> None:
        self._columns = tuple(columns)
        self._counts = frozenset(place for place, each in enumerate(columns) if each.kind is Kind.COUNT)
        self._most = most
        self._rows: list[tuple[Cell, ...]] = []
        self._more = 0

    def add(self, *cells: Cell) -> None:
        """Add a row, a cell per column in their order."""
        if len(cells) != len(self._columns):
            raise ValueError("a row has a cell for each column")
        if len(self._rows) < self._most:
            counts = self._counts
            self._rows.append(tuple([few(each) if at in counts else each for at, each in enumerate(cells)]))
        else:
            self._more += 1

    @property
    def full(self) -> bool:
        """Whether a row more is only counted."""
        return len(self._rows) >= self._most

    def count(self) -> None:
        """Count a row that is not kept, without making it. Only of a table that is full."""
        if not self.full:
            raise ValueError("a row that there is room for is kept")
        self._more += 1

    @property
    def size(self) -> int:
        """How many rows were added."""
        return len(self._rows) + self._more

    def body(self, totals: Iterable[tuple[str, Cell]] = (), notes: Iterable[Words] = ()) -> Body:
        """Return what was gathered. Totals of people or acts about them go through `few` or `total` first."""
        return Body(self._columns, tuple(self._rows), self._more, tuple(totals), tuple(notes))


def few(count: Cell) -> Cell:
    """Return a count as it may be told: 1 to 4 as "<5". What is no number stays."""
    return FEW if type(count) is int and 0 < count < LEAST else count


def total(parts: Iterable[int]) -> Cell:
    """Return the sum of counts as it may be told beside them.

    Where a part is told as "<5" the exact sum would give it away by subtraction: then at least so many is told, which
    is the sum of the parts that are shown.
    """
    given = list(parts)
    shown = sum(each for each in given if not 0 < each < LEAST)
    if shown == sum(given):
        return shown
    return FEW if sum(given) < LEAST else f">={max(shown, LEAST)}"
