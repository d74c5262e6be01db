"""What was really used: disclosures by brand, system, purpose, field and level, as the log counts them.

Several reports hold what was declared against this: the record of processing, transfers, dormant grants, the figures
of a DPIA. Memory grows with the kinds of use, never with the number of entries.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from audit.entry import Act, Outcome
from audit.reports.asked import Actors, Asked
from audit.reports.lines import Line, marked

ACTS: Final = frozenset({Act.FIELD_DISCLOSED, Act.BREAKGLASS_DISCLOSED, Act.ATTESTATION_ISSUED})
MARKS: Final = marked(outcome=Outcome.ALLOW)


class Use(NamedTuple):
    """One kind of use. `brand` is "" where no system acted."""

    brand: str
    actor: str
    purpose: str
    field: str
    level: str


@dataclass(slots=True)
class Times:
    """How often, and when first and last (as the log writes times)."""

    count: int
    first: str
    last: str

    def add(self, at: str, count: int = 1) -> None:
        """Count more of it at a moment."""
        self.count += count
        self.first, self.last = min(self.first, at), max(self.last, at)


def uses(lines: Iterable[Line], actors: Actors, asked: Asked) -> dict[Use, Times]:
    """Count the fields given out in `lines`, one for each field of each entry."""
    found: dict[Use, Times] = {}
    for line in lines:
        content = line.content
        if content["out"] != Outcome.ALLOW or not actors.concern(line, asked):
            continue
        brand, actor, purpose = actors.brand_of(line), content["actor"]["id"], content.get("pur", "")
        for name in content.get("fld", ()):
            field, _, level = name.partition(":")
            use = Use(brand, actor, purpose, field, level.partition(":")[0])
            found.setdefault(use, Times(0, line.at, line.at)).add(line.at)
    return found


def grouped(found: Mapping[Use, Times], *by: str) -> dict[tuple[str, ...], Times]:
    """Sum uses by some of their parts, named in order."""
    sums: dict[tuple[str, ...], Times] = {}
    for use, times in found.items():
        key = tuple([getattr(use, part) for part in by])
        group = sums.setdefault(key, Times(0, times.first, times.last))
        group.add(times.first, times.count)
        group.add(times.last, 0)
    return sums
