"""Where rules bite: what was refused, by rule and by who met it, the most frequent first."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from audit.entry import Outcome
from audit.reports.asked import Actors, Asked
from audit.reports.lines import Line, marked
from audit.reports.table import Body, Column, Kind, Table, total
from audit.reports.uses import Times

MARKS: Final = marked(outcome=Outcome.DENY)
COLUMNS: Final = (
    Column("rule"),
    Column("brand"),
    Column("actor"),
    Column("purpose"),
    Column("act"),
    Column("refusals", Kind.COUNT),
    Column("first", Kind.TIME),
    Column("last", Kind.TIME),
)


class _Met(NamedTuple):
    rule: str
    brand: str
    actor: str
    purpose: str
    act: str


def refusals(lines: Iterable[Line], actors: Actors, asked: Asked) -> Body:
    """Count what was denied among `lines`; a refusal by several rules counts under each of them."""
    met: dict[_Met, Times] = {}
    for line in lines:
        content = line.content
        if content["out"] != Outcome.DENY or not actors.concern(line, asked):
            continue
        brand, actor = actors.brand_of(line), content["actor"]["id"]
        # Failed authentications beyond an address's limit are one entry with their number.
        count = content["n"] if "auth.counted" in content.get("pol", ()) else 1
        for rule in _rules(content.get("pol", ())):
            key = _Met(rule, brand, actor, content.get("pur", ""), content["act"])
            met.setdefault(key, Times(0, line.at, line.at)).add(line.at, count)
    table = Table(COLUMNS, asked.most)
    for key, times in sorted(met.items(), key=lambda each: (-each[1].count, each[0])):
        table.add(*key, times.count, times.first, times.last)
    return table.body([("refusals", total(each.count for each in met.values()))])


def _rules(named: Iterable[str]) -> list[str]:
    """Keep what decided: a case, a version or a number beside it names no rule."""
    rules = [each for each in named if ":" not in each and each != "auth.counted"]
    return rules or ["none named"]
