"""Is somebody harvesting? Volume per actor and per member of staff beside their own usual, and highlights that explain themselves.

Rules, not scores: each highlight says what was seen, what is usual, and which entries to look at. The first question of a
regulator after a theft was why nobody reviewed the log; this is the page for that review.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from audit.entry import Act
from audit.reports.asked import Actors, Asked
from audit.reports.lines import Line, told
from audit.reports.profiles import LOOKS, Profile, profiles
from audit.reports.table import Body, Cell, Column, Kind, Table, few

BASELINE_DAYS: Final = 30

ACTS: Final = LOOKS | {
    Act.FIELD_DENIED,
    Act.TOKEN_REFUSED,
    Act.SUBJECT_SEARCHED,
    Act.AUTH_FAILED,
    Act.SYSTEM_FROZEN,
    Act.BREAKGLASS_APPROVED,
    Act.BREAKGLASS_DISCLOSED,
    Act.BREAKGLASS_REVIEWED,
}
COLUMNS: Final = (
    Column("severity"),
    Column("rule"),
    Column("brand"),
    Column("actor"),
    Column("staff"),
    Column("when", Kind.TIME),
    Column("seen", Kind.COUNT),
    Column("usual", Kind.COUNT),
    Column("why"),
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


@dataclass(frozen=True, slots=True)
class Highlight:
    """One thing to look at. `index` is -1 where no single entry is meant."""

    severity: str
    rule: str
    brand: str
    actor: str
    at: str
    seen: int
    usual: int
    why: str
    index: int = -1
    staff: str = field(default="", repr=False)  # the member of staff it is about; then `actor` is ""


_ORDER: Final = ("high", "medium", "low", "none")


def anomalies(lines: Iterable[Line], actors: Actors, asked: Asked, thresholds: Thresholds = Thresholds()) -> Body:
    """Review `lines`, which begin `BASELINE_DAYS` before the period asked for."""
    cases = _Cases()
    found = profiles(cases.watched(lines, asked), actors, asked)
    highlights = [
        replace(each, staff=staff)
        for (actor, staff), profile in sorted(found.items())
        for each in _of(actor, profile, thresholds)
    ]
    highlights += cases.highlights()
    table = Table(COLUMNS, asked.most)
    counts: dict[str, int] = {}
    for each in sorted(
        highlights, key=lambda each: (_ORDER.index(each.severity), each.rule, each.actor, each.staff, each.at)
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
            each.why,
            each.index,
        )
    totals: list[tuple[str, Cell]] = [(f"{name}_highlights", counts.get(name, 0)) for name in _ORDER[:-1]]
    notes = (
        (
            f"Usual is the fullest hour of the {BASELINE_DAYS} days before the period. Looks are counted, not people: the log "
            "relates no two entries of one person. Night is 22 to 5 UTC."
        ),
        (
            f"Told from {thresholds.looks} looks an hour and {thresholds.times} times the usual on; {thresholds.refusals} refusals "
            f"before a look; {thresholds.vain} searches and {thresholds.failed} authentications an hour in vain."
        ),
    )
    return table.body(totals, notes)


def _of(actor: str, profile: Profile, limits: Thresholds) -> Iterator[Highlight]:
    yield from _volume(actor, profile, limits)
    brand = profile.brand
    if profile.usual.sum:
        for name, seen in sorted(profile.new_fields.items()):
            why = f"Was given {name}, for the first time in {BASELINE_DAYS} days of use."
            yield Highlight("medium", "new_field", brand, actor, seen.at, 1, 0, why, seen.index)
    for count, seen in profile.bursts:
        if count >= limits.refusals:
            why = f"Refused {count} times within ten minutes, then let in: was something tried until it worked?"
            yield Highlight("high", "refusals_then_look", brand, actor, seen.at, count, 0, why, seen.index)
    hour, vain = profile.vain.peak
    if vain >= limits.vain:
        why = f"Searched {vain} times in one hour for people who are not there: numbers may be being guessed."
        yield Highlight("high", "vain_searches", brand, actor, hour, vain, 0, why)
    hour, failed = profile.failed.peak
    if failed >= limits.failed:
        why = f"Failed to authenticate {failed} times in one hour."
        yield Highlight("medium", "failed_authentication", brand, actor, hour, failed, 0, why)
    yield from _night(actor, profile, limits)


def _volume(actor: str, profile: Profile, limits: Thresholds) -> Iterator[Highlight]:
    (hour, peak), (_, usual) = profile.now.peak, profile.usual.peak
    if not peak:
        return
    if peak >= limits.looks and not usual:
        why = f"Looked {peak} times in one hour and was not seen in the {BASELINE_DAYS} days before."
        yield Highlight("high", "volume", profile.brand, actor, hour, peak, usual, why)
    elif peak >= limits.looks and peak > limits.times * usual:
        why = f"Looked {peak} times in one hour; before, {few(usual)} at most in any hour."
        yield Highlight("high", "volume", profile.brand, actor, hour, peak, usual, why)
    else:
        yield Highlight(
            "none", "volume", profile.brand, actor, hour, peak, usual, "As usual; the fullest hour is told."
        )


def _night(actor: str, profile: Profile, limits: Thresholds) -> Iterator[Highlight]:
    now, before = profile.now.at_night, profile.usual.at_night
    # Shares, not counts: the period may be shorter or longer than the time before.
    if now >= limits.night and now * max(profile.usual.sum, 1) > limits.times * before * profile.now.sum:
        why = f"{now} looks at night, a share more than {limits.times} times the usual."
        last = "" if profile.last is None else profile.last.at
        yield Highlight("medium", "night", profile.brand, actor, last, now, before, why)


class _Cases:
    """What is no matter of volume: emergencies that nobody reviewed, and systems frozen by a honey subject."""

    def __init__(self) -> None:
        self._open: dict[str, Highlight] = {}
        self._frozen: list[Highlight] = []

    def watched(self, lines: Iterable[Line], asked: Asked) -> Iterator[Line]:
        """Hand the lines on, having looked at each."""
        for line in lines:
            act, named = line.content["act"], line.content.get("pol", ())
            case = next((each for each in named if each.startswith("case:")), "")
            if act in {Act.BREAKGLASS_APPROVED, Act.BREAKGLASS_DISCLOSED} and case:
                why = f"An emergency ({case}) was opened and no other officer has reviewed it."
                actor = line.content["actor"]["id"]
                self._open.setdefault(
                    case, Highlight("high", "emergency_not_reviewed", "", actor, line.at, 1, 0, why, line.idx)
                )
            elif act == Act.BREAKGLASS_REVIEWED:
                self._open.pop(case, None)
            elif act == Act.SYSTEM_FROZEN and line.at >= told(asked.since):
                system = next((each.partition(":")[2] for each in named if each.startswith("system:")), "")
                why = "Looked at a person who does not exist, and was frozen: whoever does that reads what they should not."
                self._frozen.append(Highlight("high", "honey", "", system, line.at, 1, 0, why, line.idx))
            yield line

    def highlights(self) -> list[Highlight]:
        """Return what is open at the end."""
        return [*self._open.values(), *self._frozen]
