"""What the systems may see and did see, the purposes, and how consents stand: counts and rules, nobody's data."""

from collections import Counter
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from api.console import filters
from api.console.visit import Visit
from api.problems import Problem
from audit.entry import Act, Entry, Outcome
from audit.reports import uses
from audit.reports.asked import Actors, Asked
from audit.reports.lines import lines, vouched
from audit.reports.table import few
from policies.levels import Level
from vault import consentcounts, systems
from vault.systems import SystemRecord

DAYS: Final = 30
_DAY: Final = 86_400


def systems_page(visit: Visit) -> Response:
    """List the systems."""
    with visit.vault.reading() as conn:
        found = systems.listed(conn)
    counts: Counter[str] = Counter()
    for use, times in _used(visit, "").items():
        counts[use.actor] += times.count
    return visit.page("systems.html", systems=found, counts=counts, days=DAYS)


def system_page(visit: Visit) -> Response:
    """Show one system: what it may see for which purpose, and what it was given."""
    with visit.vault.reading() as conn:
        found = systems.get(conn, filters.word(visit.params, "id"))
    if found is None:
        raise Problem("not_found")
    used = _used(visit, found.id)
    bundle, now = visit.vault.bundle, visit.now
    purposes = [each for each in bundle.purposes.every if each.key in found.purposes]
    matrix = [
        (category, [(purpose, purpose.max_level.get(category.name)) for purpose in purposes])
        for category in bundle.catalogue.categories
    ]
    given: Counter[tuple[str, str]] = Counter()
    fields: dict[tuple[str, str, str], int] = {}
    times_of: Counter[tuple[str, str]] = Counter()
    for use, times in used.items():
        field = bundle.catalogue.fields.get(use.field)
        given[field.category if field else "", use.purpose] += times.count
        times_of[use.field, use.purpose] += times.count
        key = (use.purpose, use.field, use.level)
        fields[key] = fields.get(key, 0) + times.count
    return visit.page(
        "system.html",
        system=found,
        purposes=purposes,
        matrix=matrix,
        given={key: few(count) for key, count in given.items()},
        times={key: few(count) for key, count in times_of.items()},
        fields=sorted(((*key, few(count)) for key, count in fields.items()), key=lambda each: each[:3]),
        days=DAYS,
        volumes=_by_day(visit, found),
        raises=[each for each in found.budgets.raises if each.until > now],
    )


def purposes_page(visit: Visit) -> Response:
    """Show the purposes: on which ground, for how long, how much of what at most, and who uses them."""
    with visit.vault.reading() as conn:
        found = systems.listed(conn)
    used: Counter[str] = Counter()
    for use, times in _used(visit, "").items():
        used[use.purpose] += times.count
    users = {
        purpose.key: [each.id for each in found if purpose.key in each.purposes]
        for purpose in visit.vault.bundle.purposes.every
    }
    return visit.page(
        "purposes.html",
        purposes=visit.vault.bundle.purposes.every,
        users=users,
        used={key: few(count) for key, count in used.items()},
        days=DAYS,
        levels=list(Level),
    )


def consents_page(visit: Visit) -> Response:
    """Show how many people stand how with each purpose at each brand: no count below five, and nobody's name."""
    with visit.vault.reading() as conn:
        found = consentcounts.counted(conn)
    rows = [(brand, purpose, state, few(count)) for (brand, purpose, state), count in sorted(found.items())]
    titles = {each.key: each.title for each in visit.vault.bundle.purposes.every}
    visit.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, visit.actor, pol=("audit.consents",), n=len(rows)))
    return visit.page("consents.html", rows=rows, titles=titles)


def _used(visit: Visit, system_id: str) -> dict[uses.Use, uses.Times]:
    asked = _period(visit, system_id)
    with visit.vault.reading() as conn:
        actors = Actors({each.id: each.brand for each in systems.listed(conn)})
        return uses.uses(lines(conn, vouched(conn), asked.since, asked.until, uses.ACTS), actors, asked)


def _by_day(visit: Visit, system: SystemRecord) -> list[tuple[str, int]]:
    """Count the disclosures of each day, days without one too."""
    asked = _period(visit, system.id)
    counts: Counter[str] = Counter()
    with visit.vault.reading() as conn:
        for line in lines(conn, vouched(conn), asked.since, asked.until, uses.ACTS):
            if line.content["actor"]["id"] == system.id and line.content["out"] == Outcome.ALLOW:
                counts[line.at[:10]] += 1
    first = asked.since // _DAY + 1
    days = [visit.language.day(day * _DAY) for day in range(first, first + DAYS)]
    return [(text, counts[_iso(day)]) for text, day in zip(days, range(first, first + DAYS), strict=True)]


def _period(visit: Visit, system_id: str) -> Asked:
    return Asked(max(0, visit.now - DAYS * _DAY), visit.now + 1, system=system_id)


def _iso(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY, UTC).strftime("%Y-%m-%d")
