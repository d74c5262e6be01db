"""What systems were given, counted by day and kept from one reading to the next: a log is read once, and then what came since.

What is kept is counts, by day, system, purpose, field and level: nobody whom an entry is about, and of whoever acted and is
no system not even the name. They are of one log up to one of its entries and are given up where that entry is no longer there, so
that they never speak of another log than the one that is asked.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from audit import ledger
from audit.entry import ActorKind
from audit.reports.lines import Vouched, lines, told, vouched
from audit.reports.uses import ACTS, MARKS

DAY: Final = 86_400
MOST_KINDS: Final = 50_000  # counts that are kept, some 10 MB; of more, none: each reading begins anew
_LAST: Final = 253_402_300_799  # the last second that the log can write
_DATE: Final = 10  # characters of a time


class Given(NamedTuple):
    """One kind of what was given out. `system` is "" where no system acted."""

    system: str
    purpose: str
    field: str
    level: str


@dataclass(slots=True)
class Day:
    """One day, UTC: how often each kind was given out, in how many entries of each system."""

    fields: Counter[Given] = field(default_factory=Counter)
    entries: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.fields) + len(self.entries)


class _End(NamedTuple):
    """How far one log was read, and the leaf hash of the last entry before, 32 bytes: it is what no other log has."""

    origin: str
    size: int
    leaf: bytes


class Tally:
    """The counts of one process, none at first. Thread-safe: who asks while it reads waits, and the work is done once."""

    def __init__(self, most: int = MOST_KINDS) -> None:
        self._lock = threading.Lock()
        self._most = most
        self._since = ""  # what is earlier was not counted
        self._ends: dict[int, _End] = {}
        self._days: dict[str, Day] = {}

    def days(self, reading: Callable[[], AbstractContextManager[Connection]], first: int) -> Mapping[str, Day]:
        """Count what the newest checkpoints cover from a day on. Days are `2026-12-01`; a day without anything is left out.

        `first` is the day's number since 1970; `reading` opens a snapshot of the log. Raises `InvalidEntry` as `lines` does.
        """
        since = told(first * DAY)[:_DATE]
        # The snapshot is opened behind the lock: one that is older than what was counted would begin anew.
        with self._lock, reading() as conn:
            upto = vouched(conn)
            same = self._ends.keys() <= {each.shard for each in upto}
            if since < self._since or not (
                same and all(_leads_on(conn, self._ends.get(each.shard), each) for each in upto)
            ):
                self._forget()
            new, starts = defaultdict[str, Day](Day), {shard: end.size for shard, end in self._ends.items()}
            for line in lines(conn, upto, first * DAY, _LAST, ACTS, marks=MARKS, starts=starts):
                _count(new[line.at[:_DATE]], line.content)
            self._since = since
            self._ends = {each.shard: _end(conn, each) for each in upto}
            for date, day in new.items():
                kept = self._days.setdefault(date, Day())
                kept.fields.update(day.fields)
                kept.entries.update(day.entries)
            self._days = {date: day for date, day in self._days.items() if date >= since}
            found = {date: Day(day.fields.copy(), day.entries.copy()) for date, day in self._days.items()}
            if sum(map(len, self._days.values())) > self._most:
                self._forget()
        return found

    def _forget(self) -> None:
        self._since = ""
        self._ends = {}
        self._days = {}


def _count(day: Day, content: Mapping[str, Any]) -> None:
    actor = content["actor"]
    system = actor["id"] if actor["k"] == ActorKind.SYSTEM else ""
    purpose = content.get("pur", "")
    day.entries[system] += 1
    for name in content.get("fld", ()):
        field, _, level = name.partition(":")
        day.fields[Given(system, purpose, field, level.partition(":")[0])] += 1


def _leads_on(conn: Connection, end: _End | None, upto: Vouched) -> bool:
    """Tell whether what was counted is the beginning of this log still."""
    if end is None:
        return True
    return end.origin == upto.origin and end.size <= upto.size and _leaf(conn, upto.shard, end.size) == end.leaf


def _end(conn: Connection, upto: Vouched) -> _End:
    return _End(upto.origin, upto.size, _leaf(conn, upto.shard, upto.size))


def _leaf(conn: Connection, shard: int, size: int) -> bytes:
    return b"".join(each.leaf for each in ledger.read_stored(conn, shard, size - 1, 1))
