"""What the systems may see and did see, the purposes, and how consents stand: counts and rules, nobody's data."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from api.console import filters
from api.console.visit import Visit
from api.problems import Problem
from audit.entry import Act, Entry, Outcome
from audit.reports.table import few
from audit.reports.tally import DAY, Day, Given
from vault import consentcounts, systems

DAYS: Final = 30


def systems_page(visit: Visit) -> Response:
    """List the systems."""
    with visit.vault.reading() as conn:
        found = systems.listed(conn)
    counts: Counter[str] = Counter()
    for given, count in _used(_days(visit)).items():
        counts[given.system] += count
    return visit.page("systems.html", systems=found, counts=counts, days=DAYS)


def system_page(visit: Visit) -> Response:
    """Show one system: what it may see for which purpose, and what it was given."""
    with visit.vault.reading() as conn:
        found = systems.get(conn, filters.word(visit.params, "id"))
    if found is None:
        raise Problem("not_found")
    days = _days(visit)
    bundle, now = visit.vault.bundle, visit.now
    purposes = [each for each in bundle.purposes.every if each.key in found.purposes]
    matrix = [
        (category, [(purpose, purpose.max_level.get(category.name)) for purpose in purposes])
        for category in bundle.catalogue.categories
    ]
    given: Counter[tuple[str, str]] = Counter()
    fields: dict[tuple[str, str, str], int] = {}
    times_of: Counter[tuple[str, str]] = Counter()
    for use, count in _used(days).items():
        if use.system != found.id:
            continue
        field = bundle.catalogue.fields.get(use.field)
        given[field.category if field else "", use.purpose] += count
        times_of[use.field, use.purpose] += count
        fields[use.purpose, use.field, use.level] = count
    return visit.page(
        "system.html",
        system=found,
        purposes=purposes,
        matrix=matrix,
        given={key: few(count) for key, count in given.items()},
        times={key: few(count) for key, count in times_of.items()},
        fields=sorted(((*key, few(count)) for key, count in fields.items()), key=lambda each: each[:3]),
        days=DAYS,
        volumes=_by_day(visit, days, found.id),
        raises=[each for each in found.budgets.raises if each.until > now],
    )


def purposes_page(visit: Visit) -> Response:
    """Show the purposes: on which ground, for how long, how much of what at most, and who uses them."""
    with visit.vault.reading() as conn:
        found = systems.listed(conn)
    used: Counter[str] = Counter()
    for given, count in _used(_days(visit)).items():
        used[given.purpose] += count
    users = {
        purpose.key: [each.id for each in found if purpose.key in each.purposes]
        for purpose in visit.vault.bundle.purposes.every
    }
    return visit.page(
        "purposes.html",
        purposes=visit.vault.bundle.purposes.every,
        users=users,
        used={key: few(count) for key, count in used.items()},
        categories={each.name: each.title for each in visit.vault.bundle.catalogue.categories},
        days=DAYS,
    )


def consents_page(visit: Visit) -> Response:
    """Show how many people stand how with each purpose at each brand: no count below five, and nobody's name."""
    with visit.vault.reading() as conn:
        found = consentcounts.counted(conn)
    rows = [(brand, purpose, state, few(count)) for (brand, purpose, state), count in sorted(found.items())]
    titles = {each.key: each.title for each in visit.vault.bundle.purposes.every}
    visit.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, visit.actor, pol=("audit.consents",), n=len(rows)))
    return visit.page("consents.html", rows=rows, titles=titles)


def _days(visit: Visit) -> Mapping[str, Day]:
    """Count what was given out today and on the days before, UTC, up to the newest checkpoint."""
    return visit.tally.days(visit.vault.reading, _first_day(visit))


def _used(days: Mapping[str, Day]) -> Counter[Given]:
    used: Counter[Given] = Counter()
    for day in days.values():
        used.update(day.fields)
    return used


def _by_day(visit: Visit, days: Mapping[str, Day], system_id: str) -> list[tuple[str, int]]:
    """Count the disclosures of each day, days without one too."""
    numbers = range(_first_day(visit), _first_day(visit) + DAYS)
    return [
        (visit.language.day(number * DAY), days[date].entries[system_id] if (date := _iso(number)) in days else 0)
        for number in numbers
    ]


def _first_day(visit: Visit) -> int:
    return visit.now // DAY - (DAYS - 1)


def _iso(day: int) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m-%d")
