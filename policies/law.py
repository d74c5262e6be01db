"""What laws put in numbers, with the dates from which they hold: ages, and how long prospects and log entries are kept.

Data and not code, because they change and differ. What they may not do is fall below the code's own floor.
"""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policies.catalogue_file import Finder, member, read_toml, unknown_keys

ADULT_AGE = 18  # where nothing else is said
LOWEST_AGE = 16  # GDPR Art. 8(1): no file makes a younger person an adult
DEFAULT = "default"
LEAST_LOG_MONTHS, MOST_LOG_MONTHS = 6, 36  # CNIL 2021: six months to a year, up to three with a reason

_REGION = re.compile(r"[a-z]{2,8}")


@dataclass(frozen=True, slots=True)
class AgeRule:
    """From `since` on, somebody in `region` is a minor below `age` years."""

    region: str
    age: int
    since: dt.date
    source: str


@dataclass(frozen=True, slots=True)
class ProspectRule:
    """From `since` on, consents of a prospect end `days` after the last contact that the prospect made.

    A prospect is somebody of whom the brand has nothing in any of the `client_categories`.
    """

    days: int
    since: dt.date
    client_categories: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class SuppressionRule:
    """From `since` on, an address whose owner said no to marketing stays on the list for `days`."""

    days: int
    since: dt.date
    source: str


@dataclass(frozen=True, slots=True)
class LogRule:
    """From `since` on, what entries of the audit log say is kept for `months`, and then may be pruned."""

    months: int
    since: dt.date
    source: str


@dataclass(frozen=True, slots=True)
class Law:
    """Every rule, with the newest that has begun in force."""

    ages: tuple[AgeRule, ...] = ()
    prospects: tuple[ProspectRule, ...] = ()
    suppressions: tuple[SuppressionRule, ...] = ()
    logs: tuple[LogRule, ...] = ()

    def age_of_majority(self, places: tuple[str, ...], on: dt.date) -> int:
        """Return the age below which somebody is a minor: of the first of `places` that has a rule on that day."""
        for place in (*places, DEFAULT):
            begun = [each for each in self.ages if each.region == place and each.since <= on]
            if begun:
                return max(begun, key=lambda each: each.since).age
        return ADULT_AGE

    def prospect_rule(self, on: dt.date) -> ProspectRule | None:
        """Return the rule on prospects in force on a day, or None."""
        begun = [each for each in self.prospects if each.since <= on]
        return max(begun, key=lambda each: each.since) if begun else None

    def suppression_rule(self, on: dt.date) -> SuppressionRule | None:
        """Return the rule on the list of those not to be solicited in force on a day; None: no list is kept."""
        begun = [each for each in self.suppressions if each.since <= on]
        return max(begun, key=lambda each: each.since) if begun else None

    def log_rule(self, on: dt.date) -> LogRule | None:
        """Return the rule on entries of the audit log in force on a day; None: they are kept for ever."""
        begun = [each for each in self.logs if each.since <= on]
        return max(begun, key=lambda each: each.since) if begun else None


def read_law(file: str, content: bytes, find: Finder) -> Law:
    """Parse `law.toml`. Reports faults through `find`; the result is only meaningful if nothing was reported."""
    document = read_toml(file, content, find)
    unknown_keys(document, {"majority", "prospects", "suppression", "log"}, file, find)
    ages = tuple(_age(table, where, find) for table, where in _tables(document, "majority", file, find))
    prospects = tuple(_prospects(table, where, find) for table, where in _tables(document, "prospects", file, find))
    suppressions = tuple(
        _suppression(table, where, find) for table, where in _tables(document, "suppression", file, find)
    )
    logs = tuple(_log(table, where, find) for table, where in _tables(document, "log", file, find))
    for name, keys in (
        ("majority", [(each.region, each.since) for each in ages]),
        ("prospects", [("", each.since) for each in prospects]),
        ("suppression", [("", each.since) for each in suppressions]),
        ("log", [("", each.since) for each in logs]),
    ):
        if len(set(keys)) < len(keys):
            find(f"{file} [{name}]: two rules begin on one day")
    return Law(ages, prospects, suppressions, logs)


def _tables(document: Mapping[str, Any], name: str, file: str, find: Finder) -> list[tuple[dict[str, Any], str]]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        find(f"{file}: `{name}` is a list of tables")
        return []
    return [(each, f"{file} [{name} {place}]") for place, each in enumerate(found, 1)]


def _age(table: dict[str, Any], where: str, find: Finder) -> AgeRule:
    unknown_keys(table, {"region", "age", "since", "source"}, where, find)
    region = member(table, "region", str, where, find, DEFAULT)
    if not _REGION.fullmatch(region):
        find(f"{where}: `region` is a region, a jurisdiction of purposes.toml, or `{DEFAULT}`")
    age = member(table, "age", int, where, find, ADULT_AGE)
    if not LOWEST_AGE <= age <= 21:  # noqa: PLR2004 - the highest age of majority there is
        find(f"{where}: `age` must be between {LOWEST_AGE} and 21")
    since = member(table, "since", dt.date, where, find, dt.date.min)
    return AgeRule(region, age, since, member(table, "source", str, where, find, ""))


def _prospects(table: dict[str, Any], where: str, find: Finder) -> ProspectRule:
    unknown_keys(table, {"days", "since", "client_categories", "source"}, where, find)
    days = _days(table, where, find)
    categories = member(table, "client_categories", list, where, find, [])
    if not categories or not all(isinstance(each, str) for each in categories):
        find(f"{where}: `client_categories` names categories of the catalogue")
        categories = []
    since = member(table, "since", dt.date, where, find, dt.date.min)
    return ProspectRule(days, since, tuple(categories), member(table, "source", str, where, find, ""))


def _suppression(table: dict[str, Any], where: str, find: Finder) -> SuppressionRule:
    unknown_keys(table, {"days", "since", "source"}, where, find)
    since = member(table, "since", dt.date, where, find, dt.date.min)
    return SuppressionRule(_days(table, where, find), since, member(table, "source", str, where, find, ""))


def _log(table: dict[str, Any], where: str, find: Finder) -> LogRule:
    unknown_keys(table, {"months", "since", "source"}, where, find)
    months = member(table, "months", int, where, find, LEAST_LOG_MONTHS)
    if not LEAST_LOG_MONTHS <= months <= MOST_LOG_MONTHS:
        find(f"{where}: `months` must be between {LEAST_LOG_MONTHS} and {MOST_LOG_MONTHS}")
    since = member(table, "since", dt.date, where, find, dt.date.min)
    return LogRule(months, since, member(table, "source", str, where, find, ""))


def _days(table: dict[str, Any], where: str, find: Finder) -> int:
    days = member(table, "days", int, where, find, 1)
    if days < 1:
        find(f"{where}: `days` must be at least 1")
    return days
