"""How each actor and each member of staff usually uses the vault: looks by the hour, fields, refusals and vain searches, from the log.

Gathered entry by entry for a time before (the baseline) and the period itself. Memory grows with actors, staff, hours and fields,
never with the number of entries.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from audit.entry import Act, Outcome
from audit.reports.asked import Actors, Asked
from audit.reports.lines import Line, second, told

LOOKS: Final = frozenset({Act.FIELD_DISCLOSED, Act.FIELD_EVALUATED, Act.BREAKGLASS_DISCLOSED, Act.ATTESTATION_ISSUED})
NIGHT: Final = frozenset({22, 23, 0, 1, 2, 3, 4})  # hours of UTC
BURST_SECONDS: Final = 600


@dataclass(slots=True)
class Seen:
    """Something that happened at a moment, and the entry that says so."""

    at: str
    index: int


@dataclass(slots=True)
class Hours:
    """Counts by hour (as the log writes its first second)."""

    by_hour: dict[str, int] = field(default_factory=dict)

    def add(self, at: str, count: int = 1) -> None:
        """Count at a moment."""
        hour = f"{at[:13]}:00:00Z"
        self.by_hour[hour] = self.by_hour.get(hour, 0) + count

    @property
    def peak(self) -> tuple[str, int]:
        """The fullest hour, the first of several; ("", 0) for none."""
        return max(sorted(self.by_hour.items()), key=lambda each: each[1], default=("", 0))

    @property
    def sum(self) -> int:
        """All of them."""
        return sum(self.by_hour.values())

    @property
    def at_night(self) -> int:
        """Those of the night hours."""
        return sum(count for hour, count in self.by_hour.items() if int(hour[11:13]) in NIGHT)


@dataclass(slots=True)
class Profile:
    """One actor, or one member of staff: `usual` is of the time before, `now` of the period."""

    brand: str
    usual: Hours = field(default_factory=Hours)
    now: Hours = field(default_factory=Hours)
    known_fields: set[str] = field(default_factory=set)
    new_fields: dict[str, Seen] = field(default_factory=dict)
    vain: Hours = field(default_factory=Hours)  # searches that found nobody
    failed: Hours = field(default_factory=Hours)  # authentications
    refused: list[int] = field(default_factory=list)  # seconds of the last refusals, those of one burst
    bursts: list[tuple[int, Seen]] = field(default_factory=list)  # refusals in a burst, and the look that followed
    last: Seen | None = None

    def take(self, line: Line, period: Asked) -> None:
        """Take one entry into account."""
        content, at = line.content, line.at
        allowed = content["out"] == Outcome.ALLOW
        if at < told(period.since):
            if allowed and content["act"] in LOOKS:
                self.usual.add(at)
                self.known_fields.update(content.get("fld", ()))
            return
        self.last = Seen(at, line.idx)
        if content["act"] == Act.AUTH_FAILED:
            self.failed.add(at, content.get("n", 1))
        elif content["act"] == Act.SUBJECT_SEARCHED and allowed and content.get("n") == 0:
            self.vain.add(at)
        elif content["act"] in LOOKS and allowed:
            self._look(line)
        elif content["out"] == Outcome.DENY:
            moment = second(at)
            self.refused = [each for each in self.refused if moment - each <= BURST_SECONDS] + [moment]

    def _look(self, line: Line) -> None:
        self.now.add(line.at)
        for name in line.content.get("fld", ()):
            if name not in self.known_fields:
                self.new_fields.setdefault(name, Seen(line.at, line.idx))
        if self.refused:
            moment = second(line.at)
            recent = [each for each in self.refused if moment - each <= BURST_SECONDS]
            self.bursts.append((len(recent), Seen(line.at, line.idx)))
            self.refused = []
            del self.bursts[:-_BURSTS]


_BURSTS: Final = 256  # remembered per actor, the newest


def profiles(lines: Iterable[Line], actors: Actors, asked: Asked) -> dict[tuple[str, str], Profile]:
    """Gather a profile for each (actor, ""), and one for each member of staff, ("", them), through whichever systems.

    From entries of the time before and of the period `asked`.
    """
    found: dict[tuple[str, str], Profile] = {}
    for line in lines:
        if actors.concern(line, asked):
            staff = actors.staff_of(line)
            for name in [(line.content["actor"]["id"], ""), *([("", staff)] if staff else [])]:
                profile = found.get(name) or found.setdefault(name, Profile(actors.brand_of(line)))
                profile.take(line, asked)
    return found
