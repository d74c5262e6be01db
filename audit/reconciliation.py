"""What the log explains of the data keys that were opened, held against what the holder of the keys counted itself.

The holder does not know who is concerned and cannot be told to forget: its count is a second witness. A process that was
taken over can open keys without writing entries, and then the holder's count grows while the log does not.

The two never meet exactly. The log names fields, and a field may hold several values; each look opens the person's log
key, a search those of its candidates; reports, re-sealing and the restore guard open keys without a look. So this tells
both, by the hour, and calls attention to hours that stand out from the others by far.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from audit.errors import CannotDecide

OPENED: Final = "keyd.opened"
HOUR: Final = 13  # characters of a time that tell day and hour
_STANDS_OUT: Final = 3.0  # times the usual number of keys for one that the log explains
_MOST_USUAL: Final = (
    10.0  # keys for one explained, in any deployment: a thief who is there every hour must not become the usual
)
_SLACK: Final = 1_000  # keys an hour that need no explanation: a restart, a report, a re-sealing that was begun


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour (UTC, `2026-11-30T20`): keys opened and refused by the holder, and the keys that the log explains."""

    hour: str
    opened: int
    refused: int
    explained: int

    @property
    def difference(self) -> int:
        """How many keys were opened that the log does not explain; negative where more values were asked than opened."""
        return self.opened - self.explained


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Every hour that the holder told of and that the log still tells of, and those of them that stand out.

    `untold` are hours of the holder whose entries were pruned, all or some: nothing can be said of them.
    """

    hours: tuple[Hour, ...]
    unusual: tuple[str, ...]
    untold: tuple[str, ...] = ()

    @property
    def opened(self) -> int:
        """Keys opened in all."""
        return sum(each.opened for each in self.hours)

    @property
    def explained(self) -> int:
        """Keys that the log explains in all."""
        return sum(each.explained for each in self.hours)


def holder_counts(lines: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Read the holder's own log lines: keys opened and refused, by hour. Other lines are passed over.

    Raises `CannotDecide` when there is not one of them.
    """
    opened: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for line in lines:
        try:
            said = json.loads(line)
            if said["event"] != OPENED:
                continue
            hour = datetime.fromisoformat(said["time"]).strftime("%Y-%m-%dT%H")
            opened[hour] += int(said["count"])
            refused[hour] += int(said.get("refused", 0))
        except (ValueError, KeyError, TypeError):
            continue
    if not opened:
        raise CannotDecide("these are no lines of the key holder")
    return {hour: (opened[hour], refused[hour]) for hour in sorted(opened)}


def explained(bodies: Iterable[bytes]) -> Counter[str]:
    """Count, by hour, the keys that entries explain: one for each field given out, one for each person looked up."""
    found: Counter[str] = Counter()
    for body in bodies:
        entry = json.loads(body)
        keys = int("sref" in entry)
        if entry["act"] in {"field.disclosed", "breakglass.disclosed", "attestation.issued", "field.evaluated"}:
            keys += len(entry.get("fld", ())) if entry["out"] != "deny" else 0
        elif entry["act"] == "subject.searched":
            keys += int(entry.get("n", 0))
        if keys:
            found[entry["t"][:HOUR]] += keys
    return found


def reconcile(counts: dict[str, tuple[int, int]], entries: Counter[str], since: str = "") -> Reconciled:
    """Hold the holder's hours against the log's, which was pruned up to `since` (as it writes times), if at all."""
    untold = tuple(hour for hour in counts if since and hour <= since[:HOUR])
    told = {hour: counted for hour, counted in counts.items() if hour not in untold}
    hours = tuple(Hour(hour, opened, refused, entries[hour]) for hour, (opened, refused) in told.items())
    usual = _usual(hours)
    unusual = tuple(
        each.hour
        for each in hours
        if each.refused or each.opened > _SLACK + max(each.explained, 1) * max(1.0, usual) * _STANDS_OUT
    )
    return Reconciled(hours, unusual, untold)


def _usual(hours: Sequence[Hour]) -> float:
    ratios = [each.opened / each.explained for each in hours if each.explained]
    return min(median(ratios), _MOST_USUAL) if ratios else 1.0
