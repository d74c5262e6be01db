"""Deadlines: by which day a request of a data subject must be answered, as the law of a jurisdiction counts.

Data and not code, with the days from which it holds (`rights.toml`); here is only how one counts. A month ends on the day
of the same number, or on the last one there is; the day of the event itself does not count (Reg. (EEC, Euratom) 1182/71
Art. 3(1) and (2)(c)). Where the law says so, a period that ends on a Saturday, a Sunday or a public holiday ends with
the next working day (Art. 3(4)). Public holidays come from the `holidays` library. A day is one of the jurisdiction's
own time zone and is over at its midnight.

Everything that lengthens is asked for by a rule and is off where the rule is silent: an error here must end in an answer
that came early.
"""

import calendar
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import holidays

_SATURDAY: Final = 5
_MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time in one unit; the others are 0."""

    months: int = 0
    days: int = 0
    working_days: int = 0

    @property
    def is_none(self) -> bool:
        """Whether it is no time at all: then the rule has no such period."""
        return not (self.months or self.days or self.working_days)


@dataclass(frozen=True, slots=True)
class Deadline:
    """From `since` on: how long a request may take in `jurisdiction`, if it is of one of `kinds` (empty: of any).

    `extension` is what may be added once, on notice given within `answer`. `acknowledge` is by when receipt must be
    confirmed. While the person is asked to prove who they are the clock stands still if `pauses`, provided they were
    asked within `prompt_days` of receipt. `holidays` names a calendar, `FR` or `GB/ENG`; empty: there are none.
    `voluntary` says to whom the house owes this by its own word alone, and why; empty: to nobody. `checked` is the day on
    which somebody last held the rule against its source, `counsel` what a lawyer still has to say of it; officers see both,
    each per language.
    """

    jurisdiction: str
    since: dt.date
    answer: Period
    extension: Period
    acknowledge: Period
    kinds: frozenset[str]
    rolls: bool  # an end on a day off moves to the next working day
    pauses: bool
    prompt_days: int
    calendar: str
    zone: str
    source: str
    voluntary: Mapping[str, str] = field(default_factory=dict)
    checked: dt.date | None = None
    counsel: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clock:
    """What moved a request's deadline so far. Times in UTC seconds; `paused_days` are over, `paused_at` is not."""

    received_at: int
    extended: bool = False
    paused_days: int = 0
    paused_at: int | None = None


def due_at(rule: Deadline, clock: Clock, now: int) -> int:
    """Return the end of the last day for the answer, in UTC seconds: what is sent at or after it is late."""
    day = _after(rule, day_of(rule, clock.received_at), rule.answer)
    if clock.extended:
        day = _extended(rule, day_of(rule, clock.received_at))
    day += dt.timedelta(days=clock.paused_days + running_pause(rule, clock, now))
    return _end_of(rule, _working(rule, day) if rule.rolls else day)


def extendable_until(rule: Deadline, clock: Clock, now: int) -> int | None:
    """Return until when the person may still be told of an extension, or None where there is none."""
    if rule.extension.is_none or clock.extended:
        return None
    return due_at(rule, clock, now)


def acknowledge_by(rule: Deadline, received_at: int) -> int | None:
    """Return by when receipt must be confirmed, or None where the law names no day."""
    if rule.acknowledge.is_none:
        return None
    return _end_of(rule, _after(rule, day_of(rule, received_at), rule.acknowledge))


def may_pause(rule: Deadline, received_at: int, now: int) -> bool:
    """Whether a question after the person's identity stops the clock if it is asked now."""
    asked = day_of(rule, now) - day_of(rule, received_at)
    return rule.pauses and asked.days <= rule.prompt_days


def running_pause(rule: Deadline, clock: Clock, now: int) -> int:
    """Return how many whole days the pause under way has lasted."""
    if clock.paused_at is None:
        return 0
    return max(0, (day_of(rule, now) - day_of(rule, clock.paused_at)).days)


def days_left(rule: Deadline, clock: Clock, now: int) -> int:
    """Return how many days remain after today; 0 on the last one, negative when it is over."""
    last = day_of(rule, due_at(rule, clock, now) - 1)
    return (last - day_of(rule, now)).days


def day_of(rule: Deadline, at: int) -> dt.date:
    """Return the day in the jurisdiction's zone on which a moment in UTC seconds lies."""
    return dt.datetime.fromtimestamp(at, _zone(rule.zone)).date()


def add_months(day: dt.date, months: int) -> dt.date:
    """Return the same day so many months later, or the last of that month (Reg. 1182/71 Art. 3(2)(c))."""
    count = day.year * _MONTHS + day.month - 1 + months
    year, month = divmod(count, _MONTHS)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def known_calendar(name: str) -> bool:
    """Whether the library has a calendar of this name."""
    try:
        _calendar(name)
    except NotImplementedError:
        return False
    return True


def _extended(rule: Deadline, received: dt.date) -> dt.date:
    # Of one unit both are one period from receipt on: one month and two are three, and not the second counted from the
    # end of a first that a holiday had moved.
    whole = Period(
        rule.answer.months + rule.extension.months,
        rule.answer.days + rule.extension.days,
        rule.answer.working_days + rule.extension.working_days,
    )
    return _after(rule, received, whole)


def _after(rule: Deadline, day: dt.date, period: Period) -> dt.date:
    day = add_months(day, period.months) + dt.timedelta(days=period.days)
    for _ in range(period.working_days):
        day = _working(rule, day + dt.timedelta(days=1))
    return day


def _working(rule: Deadline, day: dt.date) -> dt.date:
    off: Mapping[dt.date, str] = _calendar(rule.calendar) if rule.calendar else {}
    while day.weekday() >= _SATURDAY or day in off:
        day += dt.timedelta(days=1)
    return day


def _end_of(rule: Deadline, day: dt.date) -> int:
    after = day + dt.timedelta(days=1)
    return int(dt.datetime(after.year, after.month, after.day, tzinfo=_zone(rule.zone)).timestamp())


@lru_cache(maxsize=32)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=32)
def _calendar(name: str) -> Mapping[dt.date, str]:
    # It fills itself year by year as days are looked up.
    country, _, part = name.partition("/")
    found: Mapping[dt.date, str] = holidays.country_holidays(country, subdiv=part or None)
    return found
