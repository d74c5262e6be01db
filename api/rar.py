"""Reads the one `authorization_details` entry (RFC 9396) that asks for a disclosure.

The shape is closed: an unknown member is refused, so that a misspelt restriction can never be ignored. Whether the
fields and the purpose exist is the catalogue's to say, at issue; here only form and size are judged. Errors are stable
codes and repeat nothing of the entry.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import orjson

from policies.model import Level, Wanted
from vault.staff import WORD

TYPE: Final = "urn:ecrin:disclosure:v1"

MAX_LENGTH: Final = 64 * 1024
MAX_SUBJECTS: Final = 500
MAX_FIELDS: Final = 64  # their names and levels fit one log entry of 4 KiB
MAX_USES: Final = 1000
_MAX_REASON: Final = 200
_MEMBERS: Final = frozenset(
    {"type", "subject", "subjects", "purpose", "fields", "max_uses", "reason", "staff", "as_known_on"}
)
_FIELD_MEMBERS: Final = frozenset({"name", "level", "predicate"})
_REFERENCE: Final = re.compile(r"ref_[0-9a-z]{26}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PURPOSE: Final = re.compile(r"(?=.{1,64}\Z)[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*){0,7}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_LIFE: Final = {Level.RAW: 300, Level.MASKED: 900}
_LONGEST_LIFE: Final = 3600


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A well-formed request for a disclosure token.

    `single` remembers whether one `subject` was asked for or a list of `subjects`. `reason` is free text and
    `staff` a pseudonym; the reason is not stored, and of `staff` only a keyed hash, for that person's budget.
    `as_known_on`: the day whose knowledge is asked for instead of today's.
    """

    subjects: tuple[str, ...] = field(repr=False)
    single: bool
    purpose: str
    wanted: tuple[Wanted, ...]
    max_uses: int
    reason: str = field(repr=False)
    staff: str = field(repr=False)
    as_known_on: date | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """The entry cannot be read. `code` is stable: `malformed`, or the member at fault as `invalid_<member>`."""

    code: str


def parse(text: str) -> Disclosure | Malformed:
    """Read the form parameter: a JSON array of exactly one entry of our type."""
    if len(text) > MAX_LENGTH:
        return Malformed("malformed")
    try:
        entries = orjson.loads(text)
    except ValueError:
        return Malformed("malformed")
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
        return Malformed("malformed")
    entry: dict[str, Any] = entries[0]
    if entry.get("type") != TYPE:
        return Malformed("invalid_type")
    if not entry.keys() <= _MEMBERS:
        return Malformed("unknown_member")
    return _read(entry)


def life(levels: frozenset[Level]) -> int:
    """Tell how many seconds a token lives that grants these levels: the more it opens, the shorter."""
    return min((_LIFE.get(level, _LONGEST_LIFE) for level in levels), default=_LONGEST_LIFE)


def _read(entry: dict[str, Any]) -> Disclosure | Malformed:
    single = "subject" in entry
    subjects = _references([entry["subject"]] if single else entry.get("subjects"))
    if subjects is None or single == ("subjects" in entry):
        return Malformed("invalid_subject")
    if not _fits(_PURPOSE, entry.get("purpose")):
        return Malformed("invalid_purpose")
    wanted = _wanted(entry.get("fields"))
    if wanted is None:
        return Malformed("invalid_fields")
    uses = entry.get("max_uses", 1)
    if isinstance(uses, bool) or not isinstance(uses, int) or not 1 <= uses <= MAX_USES:
        return Malformed("invalid_max_uses")
    reason, staff = entry.get("reason", ""), entry.get("staff", "")
    if not isinstance(reason, str) or len(reason) > _MAX_REASON:
        return Malformed("invalid_reason")
    if staff != "" and not _fits(WORD, staff):
        return Malformed("invalid_staff")
    day = _day(entry["as_known_on"]) if "as_known_on" in entry else None
    if day is None and "as_known_on" in entry:
        return Malformed("invalid_as_known_on")
    return Disclosure(subjects, single, entry["purpose"], wanted, uses, reason, staff, day)


def _references(values: object) -> tuple[str, ...] | None:
    """Read 1 to 500 references, none twice."""
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_SUBJECTS:
        return None
    if not all(_fits(_REFERENCE, value) for value in values) or len(set(values)) != len(values):
        return None
    return tuple(values)


def _wanted(values: object) -> tuple[Wanted, ...] | None:
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_FIELDS:
        return None
    wanted = [_want(value) for value in values]
    complete = tuple(each for each in wanted if each is not None)
    # One level per field: two would leave open which of them was granted.
    names = {each.field for each in complete}
    return complete if len(complete) == len(values) == len(names) else None


def _want(value: object) -> Wanted | None:
    if not isinstance(value, dict) or not value.keys() <= _FIELD_MEMBERS or not _fits(_NAME, value.get("name")):
        return None
    try:
        level = Level(str(value.get("level")))
    except ValueError:
        return None
    predicate = value.get("predicate", "")
    if (level is Level.PREDICATE) != _fits(_NAME, predicate):
        return None
    return Wanted(value["name"], level, predicate) if level is Level.PREDICATE or predicate == "" else None


def _day(text: object) -> date | None:
    if not isinstance(text, str) or not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
