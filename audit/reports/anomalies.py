"""Is somebody harvesting? Volume per actor and per member of staff beside their own usual, and highlights that explain themselves.

Rules, not scores: each highlight says what was seen, what is usual, and which entries to look at. The first question of a
regulator after a theft was why nobody reviewed the log; this is the page for that review.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from audit.entry import Act
from audit.reports import cases
from audit.reports.asked import Actors, Asked
from audit.reports.cases import Cases
from audit.reports.explained import explained
from audit.reports.highlight import Beside, Highlight
from audit.reports.lines import Line
from audit.reports.profiles import LOOKS, Profile, profiles
from audit.reports.table import Body, Cell, Column, Kind, Table, few

BASELINE_DAYS: Final = 30

ACTS: Final = LOOKS | cases.ACTS | {Act.FIELD_DENIED, Act.TOKEN_REFUSED, Act.SUBJECT_SEARCHED, Act.AUTH_FAILED}
COLUMNS: Final = (
    Column("severity"),
    Column("rule"),
    Column("brand"),
    Column("actor"),
    Column("staff"),
    Column("when", Kind.TIME),
    Column("seen", Kind.COUNT),
    Column("usual", Kind.COUNT),
    Column("about"),
    Column("why"),
    Column("why_fr"),
    Column("entry", Kind.NUMBER),
)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on something is told. Small on purpose: a reviewer dismisses, nobody restores what was never shown."""

    looks: int = 50  # in one hour
    times: int = 3  # the usual
    refusals: int = 10  # before a look, within ten minutes
    vain: int = 20  # searches an hour that found nobody
    failed: int = 50  # authentications an hour
    night: int = 20  # looks


_NOTHING: Final = Beside()
_ORDER: Final = ("high", "medium", "low", "none")


def anomalies(
    lines: Iterable[Line],
    actors: Actors,
    asked: Asked,
    beside: Beside = _NOTHING,
    thresholds: Thresholds = Thresholds(),
) -> Body:
    """Review `lines`, which begin `BASELINE_DAYS` before the period asked for."""
    watching = Cases(actors, asked, beside)
    found = profiles(watching.watched(lines), actors, asked)
    highlights = [
        replace(each, staff=staff)
        for (actor, staff), profile in sorted(found.items())
        for each in _of(actor, profile, thresholds)
    ]
    highlights += watching.highlights()
    table = Table(COLUMNS, asked.most)
    counts: dict[str, int] = {}
    for each in sorted(
        highlights,
        key=lambda each: (_ORDER.index(each.severity), each.rule, each.actor, each.staff, each.at, each.about),
    ):
        counts[each.severity] = counts.get(each.severity, 0) + 1
        table.add(
            each.severity,
            each.rule,
            each.brand,
            each.actor,
            each.staff,
            each.at,
            each.seen,
            each.usual,
            each.about,
            *each.why,
            each.index,
        )
    totals: list[tuple[str, Cell]] = [(f"{name}_highlights", counts.get(name, 0)) for name in _ORDER[:-1]]
    limits = {"looks": thresholds.looks, "times": thresholds.times, "refusals": thresholds.refusals}
    notes = (
        explained("note_usual", days=BASELINE_DAYS),
        explained("note_limits", vain=thresholds.vain, failed=thresholds.failed, **limits),
        explained("note_bounds"),
    )
    return table.body(totals, notes)


def _of(actor: str, profile: Profile, limits: Thresholds) -> Iterator[Highlight]:
    yield from _volume(actor, profile, limits)
    brand = profile.brand
    if profile.usual.sum:
        for name, seen in sorted(profile.new_fields.items()):
            why = explained("new_field", name=name, days=BASELINE_DAYS)
            yield Highlight("medium", "new_field", brand, actor, seen.at, 1, 0, why, seen.index, about=name)
    for count, seen in profile.bursts:
        if count >= limits.refusals:
            why = explained("refusals_then_look", count=count)
            yield Highlight("high", "refusals_then_look", brand, actor, seen.at, count, 0, why, seen.index)
    hour, vain = profile.vain.peak
    if vain >= limits.vain:
        why = explained("vain_searches", count=vain)
        yield Highlight("high", "vain_searches", brand, actor, hour, vain, 0, why)
    hour, failed = profile.failed.peak
    if failed >= limits.failed:
        why = explained("failed_authentication", count=failed)
        yield Highlight("medium", "failed_authentication", brand, actor, hour, failed, 0, why)
    yield from _night(actor, profile, limits)


def _volume(actor: str, profile: Profile, limits: Thresholds) -> Iterator[Highlight]:
    (hour, peak), (_, usual) = profile.now.peak, profile.usual.peak
    if not peak:
        return
    if peak >= limits.looks and not usual:
        why = explained("volume_new", count=peak, days=BASELINE_DAYS)
        yield Highlight("high", "volume", profile.brand, actor, hour, peak, usual, why)
    elif peak >= limits.looks and peak > limits.times * usual:
        why = explained("volume", count=peak, usual=few(usual))
        yield Highlight("high", "volume", profile.brand, actor, hour, peak, usual, why)
    else:
        yield Highlight("none", "volume", profile.brand, actor, hour, peak, usual, explained("volume_usual"))


def _night(actor: str, profile: Profile, limits: Thresholds) -> Iterator[Highlight]:
    now, before = profile.now.at_night, profile.usual.at_night
    # Shares, not counts: the period may be shorter or longer than the time before.
    if now >= limits.night and now * max(profile.usual.sum, 1) > limits.times * before * profile.now.sum:
        why = explained("night", count=now, times=limits.times)
        last = "" if profile.last is None else profile.last.at
        yield Highlight("medium", "night", profile.brand, actor, last, now, before, why)
