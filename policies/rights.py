"""The rights of a data subject: which there are, how sure one must be of who asks, and by when each must be answered."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from policies.authorities import Authority, competent, read_authorities
from policies.catalogue_file import Finder, member, read_toml, titles, unknown_keys
from policies.deadlines import Deadline, Period, known_calendar

DEFAULT: Final = "default"

_REGION: Final = re.compile(r"[a-z]{2,8}")
_UNITS: Final = ("months", "days", "working_days")
_LONGEST: Final = 400  # of any unit: longer is a slip of the pen
_KEYS: Final = {
    "jurisdiction", "since", "answer", "extension", "acknowledge", "kinds", "rolls", "pauses", "prompt_days", "holidays",
    "zone", "source", "voluntary", "checked", "counsel", "places",
}  # fmt: skip


class Right(StrEnum):
    """What a person may ask for (GDPR Art. 7, 12–22, 77)."""

    ACCESS = "access"
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    CONSENT_WITHDRAWAL = "consent_withdrawal"
    DECISION_REVIEW = "decision_review"  # of a decision made by a machine alone (Art. 22)
    COMPLAINT = "complaint"


class Assurance(StrEnum):
    """How sure it is who asks, the weakest first: the rungs of the ladder. None adds a contact point to what is held."""

    NONE = "none"
    PURCHASE = "purchase"  # knows of a recent purchase, checked by staff
    CODE = "code"  # returned a code sent to a contact point already on file
    SIGNED_IN = "signed_in"  # a signed-in client of the brand
    DOCUMENT = "document"  # showed a document, which was looked at and not kept

    @property
    def rank(self) -> int:
        """Order of the rungs; higher is surer."""
        return _RUNGS[self]


_RUNGS: Final = {each: rank for rank, each in enumerate(Assurance)}

# What takes away nothing and gives nothing out may be asked for on less; no file goes below these.
_FLOORS: Final[Mapping[Right, Assurance]] = MappingProxyType(
    {
        Right.ACCESS: Assurance.CODE,
        Right.PORTABILITY: Assurance.CODE,
        Right.RECTIFICATION: Assurance.PURCHASE,
        Right.ERASURE: Assurance.CODE,
    }
)


@dataclass(frozen=True, slots=True)
class Rights:
    """The deadlines, the rung that each right asks for, and the authorities that a person may complain to."""

    deadlines: tuple[Deadline, ...] = ()
    assurance: Mapping[Right, Assurance] = field(default_factory=dict)
    authorities: tuple[Authority, ...] = ()

    def authority(self, region: str, jurisdiction: str, on: dt.date) -> Authority | None:
        """Return the authority of a region on a day, else of its jurisdiction, else the one named for all others."""
        return competent(self.authorities, (region.lower(), jurisdiction, DEFAULT), on)

    def place(self, region: str, jurisdiction: str) -> str:
        """Return under whose law a request of somebody in a region is counted: the region's own, else the jurisdiction's."""
        lower = region.lower()
        return lower if any(each.jurisdiction == lower for each in self.deadlines) else jurisdiction

    def deadline(self, right: Right, jurisdiction: str, on: dt.date) -> Deadline:
        """Return the rule in force on a day: that of the jurisdiction, else the default; the newest that has begun.

        A rule that names the right comes before one that is for all. Where the bundle says nothing, a month holds.
        """
        for place in (jurisdiction, DEFAULT):
            begun = [
                each
                for each in self.deadlines
                if each.jurisdiction == place and each.since <= on and (not each.kinds or right in each.kinds)
            ]
            if begun:
                return max(begun, key=lambda each: (bool(each.kinds), each.since))
        return STRICTEST

    def required(self, right: Right) -> Assurance:
        """Return the rung that a right asks for, never below the code's own."""
        floor = _FLOORS.get(right, Assurance.NONE)
        return max(self.assurance.get(right, Assurance.CODE), floor, key=lambda each: each.rank)


STRICTEST: Final = Deadline(
    DEFAULT, dt.date.min, Period(months=1), Period(), Period(), frozenset(), rolls=False, pauses=False, prompt_days=0,
    calendar="", zone="UTC", source="GDPR Art. 12(3)",
)  # fmt: skip
"""Where a bundle is silent: a month, without anything that lengthens it."""


def read_rights(file: str, content: bytes, find: Finder) -> Rights:
    """Parse `rights.toml`. Reports faults through `find`; the result is only meaningful if nothing was reported."""
    document = read_toml(file, content, find)
    unknown_keys(document, {"deadline", "assurance", "authority"}, file, find)
    tables = document.get("deadline", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        find(f"{file}: `deadline` is a list of tables")
        tables = []
    deadlines = tuple(
        deadline
        for place, each in enumerate(tables, 1)
        for deadline in _deadlines(each, f"{file} [deadline {place}]", find)
    )
    keys = [(each.jurisdiction, each.since, kind) for each in deadlines for kind in (each.kinds or frozenset({""}))]
    if len(set(keys)) < len(keys):
        find(f"{file} [deadline]: two rules for the same begin on one day")
    return Rights(
        deadlines,
        _assurances(document.get("assurance", {}), f"{file} [assurance]", find),
        read_authorities(document.get("authority", []), file, find),
    )


def _assurances(table: Any, where: str, find: Finder) -> Mapping[Right, Assurance]:
    found: dict[Right, Assurance] = {}
    for right, rung in (table if isinstance(table, dict) else {"": ""}).items():
        try:
            asked = found[Right(right)] = Assurance(rung)
        except ValueError:
            find(f"{where}: maps a right to one of {', '.join(Assurance)}")
            continue
        floor = _FLOORS.get(Right(right), Assurance.NONE)
        if asked.rank < floor.rank:
            find(f"{where}: `{right}` needs at least `{floor}`")
    return MappingProxyType(found)


def _deadlines(table: dict[str, Any], where: str, find: Finder) -> list[Deadline]:
    """Read a rule, or one that several regions have alike, each since a day of its own."""
    places = table.get("places")
    if places is None:
        return [_deadline(table, where, find)]
    rest = {key: value for key, value in table.items() if key != "places"}
    if {"jurisdiction", "since"} & rest.keys() or not isinstance(places, dict) or not places:
        find(f"{where}: `places` maps regions to the days since which, in the place of `jurisdiction` and `since`")
        return []
    return [_deadline(rest | {"jurisdiction": place, "since": since}, where, find) for place, since in places.items()]


def _deadline(table: dict[str, Any], where: str, find: Finder) -> Deadline:
    unknown_keys(table, _KEYS, where, find)
    jurisdiction = member(table, "jurisdiction", str, where, find, DEFAULT)
    if not _REGION.fullmatch(jurisdiction):
        find(f"{where}: `jurisdiction` is one of purposes.toml, or `{DEFAULT}`")
    answer = _period(table, "answer", where, find)
    if answer.is_none:
        find(f"{where}: `answer` says how long an answer may take")
    kinds = table.get("kinds", [])
    if not isinstance(kinds, list) or not {*kinds} <= {*map(str, Right)}:
        find(f"{where}: `kinds` lists rights: {', '.join(Right)}")
        kinds = []
    off = member(table, "holidays", str, where, find, "") if "holidays" in table else ""
    if off and not known_calendar(off):
        find(f"{where}: there is no calendar of holidays `{off}`")
    zone = member(table, "zone", str, where, find, "UTC")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        find(f"{where}: there is no time zone of this name")
    prompt = member(table, "prompt_days", int, where, find, 0) if "prompt_days" in table else 0
    if not 0 <= prompt <= 14:  # noqa: PLR2004 - a fortnight is not promptly
        find(f"{where}: `prompt_days` is between 0 and 14")
    return Deadline(
        jurisdiction=jurisdiction,
        since=member(table, "since", dt.date, where, find, dt.date.min),
        answer=answer,
        extension=_period(table, "extension", where, find),
        acknowledge=_period(table, "acknowledge", where, find),
        kinds=frozenset(kinds),
        rolls=member(table, "rolls", bool, where, find, default=False) if "rolls" in table else False,
        pauses=member(table, "pauses", bool, where, find, default=False) if "pauses" in table else False,
        prompt_days=prompt,
        calendar=off,
        zone=zone,
        source=member(table, "source", str, where, find, ""),
        voluntary=_remark(table, "voluntary", where, find),
        checked=member(table, "checked", dt.date, where, find, dt.date.min) if "checked" in table else None,
        counsel=_remark(table, "counsel", where, find),
    )


def _remark(table: dict[str, Any], key: str, where: str, find: Finder) -> Mapping[str, str]:
    found = table.get(key)
    if isinstance(found, str):  # as versions that two officers have signed still say it: in English alone
        return {"en": found}
    return {} if found is None else titles(table, where, find, key)


def _period(table: dict[str, Any], key: str, where: str, find: Finder) -> Period:
    found = table.get(key, {})
    units = found if isinstance(found, dict) else {"": 0}
    right = [unit for unit, count in units.items() if unit in _UNITS and type(count) is int and 0 < count <= _LONGEST]
    if len(right) != len(units) or len(units) > 1:
        find(f"{where}: `{key}` is a number of one of {', '.join(_UNITS)}, 1 to {_LONGEST}")
        return Period()
    return Period(**units)
