"""A log at a glance: how much happened when, how much was refused, and the few entries that are loud.

Entries have one spelling (`audit.entry.encode`): what is looked for stands in the bytes at one place, and no text in an entry can
look like it. So only the loud ones are decoded, and a busy day is counted in a fraction of the time that reading it takes.
"""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from audit import ledger
from audit.entry import Act, decode
from audit.reports.lines import PIECE, Line, Vouched, first_since, told

_SAID: Final = re.compile(rb',"out":"([a-z]+)"[^}]*,"t":"([0-9]{4}-[0-9]{2}-[0-9]{2}T([0-9]{2}):[0-9:]{5}Z)"')
_DENY: Final = b"deny"


@dataclass(frozen=True, slots=True)
class Glance:
    """What happened: entries by hour of the day (UTC), how many of them were refusals, the newest loud ones, newest first."""

    hours: Counter[int]
    refused: int
    loud: tuple[Line, ...]

    @property
    def entries(self) -> int:
        """Return how many there were."""
        return sum(self.hours.values())


def glance(
    conn: Connection, upto: Collection[Vouched], since: int, until: int, loud: Collection[Act], most: int
) -> Glance:
    """Look over the entries with `since` <= time < `until` (UTC seconds) that the checkpoints cover; tell `most` loud ones."""
    first, last = told(since).encode(), told(until).encode()
    wanted = tuple([f'{{"act":"{each}"'.encode() for each in loud])
    hours: Counter[int] = Counter()
    refused, found = 0, []
    for each in upto:
        index = first_since(conn, each.shard, since, each.size)
        while piece := ledger.read(conn, each.shard, index, min(PIECE, each.size - index)):
            for record in piece:
                said = _SAID.search(record.body)
                if said is None or not first <= said[2] < last:
                    continue
                hours[int(said[3])] += 1
                refused += said[1] == _DENY
                if record.body.startswith(wanted):
                    found.append(Line(each.shard, record.idx, decode(record.body)))
            index = piece[-1].idx + 1
    newest = sorted(found, key=lambda line: (line.at, line.idx), reverse=True)
    return Glance(hours, refused, tuple(newest[:most]))
