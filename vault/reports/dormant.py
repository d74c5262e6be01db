"""Who could, but does not: purposes that systems are registered for, category by category, beside their use.

A grant here is a system's registration for a purpose with the ceiling that the bundle gives it. What was never used in
the period is proposed to be dropped, what was used below its ceiling to be lowered: a proposal, for two officers.
"""

from typing import Final

from audit.reports.table import Body, Column, Kind, Table
from audit.reports.uses import ACTS, MARKS, Times, uses
from policies.errors import UnknownPurpose
from policies.levels import Level
from vault.reports.view import View
from vault.systems import SystemStatus

COLUMNS: Final = (
    Column("brand"),
    Column("system"),
    Column("purpose"),
    Column("category"),
    Column("ceiling"),
    Column("highest_used"),
    Column("last_used", Kind.TIME),
    Column("uses", Kind.COUNT),
    Column("proposal"),
)
_LADDER: Final = tuple(Level)


def dormant(view: View) -> Body:
    """List the grants that were not used in the period, or below their ceiling; those in full use are left out."""
    asked, bundle = view.asked, view.bundle
    used: dict[tuple[str, str, str], tuple[Times, int]] = {}
    for use, times in uses(view.lines(ACTS, marks=(*MARKS, *view.asked.marks)), view.actors, asked).items():
        if use.field not in bundle.catalogue.fields or use.level not in set(Level):
            continue
        key = (use.actor, use.purpose, bundle.catalogue.field(use.field).category)
        counted, highest = used.get(key, (Times(0, times.first, times.last), -1))
        counted.add(times.first, times.count)
        counted.add(times.last, 0)
        used[key] = (counted, max(highest, Level(use.level).rank))
    table = Table(COLUMNS, asked.most)
    grants = 0
    for system in sorted(view.systems.values(), key=lambda each: (each.brand, each.id)):
        if system.status is not SystemStatus.ACTIVE or not _wanted(system.brand, system.id, view):
            continue
        for purpose in sorted(system.purposes):
            if asked.purpose and purpose != asked.purpose:
                continue
            ceilings = _ceilings(view, purpose)
            if ceilings is None:
                table.add(system.brand, system.id, purpose, "", "", "", "", 0, "drop: no such purpose is in force")
                continue
            whole = [used.get((system.id, purpose, category)) for category in ceilings]
            for category, ceiling in ceilings.items():
                grants += 1
                counted, highest = used.get((system.id, purpose, category), (Times(0, "", ""), -1))
                if highest >= ceiling.rank:
                    continue
                level = "" if highest < 0 else _LADDER[highest].value
                proposal = f"lower to {level}" if level else "close" if any(whole) else "drop the purpose"
                table.add(
                    system.brand,
                    system.id,
                    purpose,
                    category,
                    ceiling.value,
                    level,
                    counted.last,
                    counted.count,
                    proposal,
                )
    return table.body([("grants", grants), ("dormant_or_low", table.size)])


def _wanted(brand: str, system_id: str, view: View) -> bool:
    return view.asked.brand in {"", brand} and view.asked.system in {"", system_id}


def _ceilings(view: View, purpose: str) -> dict[str, Level] | None:
    try:
        return dict(view.bundle.purposes.get(purpose).max_level)
    except UnknownPurpose:
        return None
