"""Named predicates: the only yes/no questions that may be asked of a field, with their thresholds in the catalogue.

The asker names a predicate and never a threshold: with free thresholds seven questions find an exact age.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from policies.catalogue import Field
from policies.scalartypes import JsonValue

_COUNT = re.compile(r"[0-9]{1,5}")
_COUNTRY_CODE = re.compile(r"[A-Z]{2}")


def holds(rule: str, field: Field, value: JsonValue, today: dt.date) -> bool:
    """Answer a predicate's rule, e.g. `age_at_least 18`, for one value."""
    word, *arguments = rule.split()
    return PREDICATES[word].answer(field, value, arguments, today)


def _day(value: JsonValue) -> dt.date:
    text = value["date"] if isinstance(value, dict) else value
    return dt.date.fromisoformat(cast("str", text))


def years_between(earlier: dt.date, later: dt.date) -> int:
    """Whole years from one date to another; born on 29 February counts from 1 March in common years."""
    return later.year - earlier.year - ((later.month, later.day) < (earlier.month, earlier.day))


def _age_at_least(_: Field, value: JsonValue, arguments: list[str], today: dt.date) -> bool:
    return years_between(_day(value), today) >= int(arguments[0])


def _this_month(_: Field, value: JsonValue, __: list[str], today: dt.date) -> bool:
    return _day(value).month == today.month


def _within_days(_: Field, value: JsonValue, arguments: list[str], today: dt.date) -> bool:
    return 0 <= (today - _day(value)).days <= int(arguments[0])


def _is_one_of(_: Field, value: JsonValue, arguments: list[str], __: dt.date) -> bool:
    if isinstance(value, dict):  # of a record, its one member with a closed vocabulary
        value = next(value[member] for member in ("family", "status", "relation") if member in value)
    return value in arguments


def _country_in(_: Field, value: JsonValue, arguments: list[str], __: dt.date) -> bool:
    return (value["country"] if isinstance(value, dict) else value) in arguments


def _choice_at_least(field: Field, value: JsonValue, arguments: list[str], _: dt.date) -> bool:
    return field.choices.index(cast("str", value)) >= field.choices.index(arguments[0])


def _is_true(_: Field, value: JsonValue, __: list[str], ___: dt.date) -> bool:
    return value is True


@dataclass(frozen=True, slots=True)
class PredicateKind:
    """A kind of yes/no question: its answer, how many words follow it in a rule (None: one or more), which types."""

    answer: Callable[[Field, JsonValue, list[str], dt.date], bool]
    arguments: int | None
    types: frozenset[str]
    words: re.Pattern[str] | None = None  # what arguments look like; None: they are words of the field's choices

    def accepts(self, arguments: list[str], choices: tuple[str, ...]) -> bool:
        """Whether a rule's arguments fit: their count, their form, and the field's choices where they are meant."""
        if len(arguments) != self.arguments and not (self.arguments is None and arguments):
            return False
        if self.words is not None:
            return all(self.words.fullmatch(each) for each in arguments)
        return set(arguments) <= set(choices)


PREDICATES: Mapping[str, PredicateKind] = MappingProxyType(
    {
        "age_at_least": PredicateKind(_age_at_least, 1, frozenset({"date"}), words=_COUNT),
        "this_month": PredicateKind(_this_month, 0, frozenset({"date", "important_date"})),
        "within_days": PredicateKind(_within_days, 1, frozenset({"date", "visit", "purchase"}), words=_COUNT),
        "is_one_of": PredicateKind(
            _is_one_of, None, frozenset({"choice", "allergy", "purchase", "repair", "household_link"})
        ),
        "country_in": PredicateKind(_country_in, None, frozenset({"country", "address"}), words=_COUNTRY_CODE),
        "choice_at_least": PredicateKind(_choice_at_least, 1, frozenset({"choice"})),
        "is_true": PredicateKind(_is_true, 0, frozenset({"boolean"})),
    }
)
