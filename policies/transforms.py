"""From a value to what a level shows of it. Names of transforms are the vocabulary of `catalogue.toml`.

Two rules hold for all (tests/policies/test_policies_transforms.py): a mask has a constant length, and shows nothing of
a string shorter than six characters, of which any part is most of it; a generalisation is made of coarse parts only
and is never derived by cutting the raw text. Yes/no questions are in `policies.predicates`.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias, cast

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from policies.catalogue import Field
from policies.errors import TransformUnavailable
from policies.levels import Level
from policies.predicates import holds
from policies.scalartypes import JsonValue

DOTS = "••••"  # constant: the length of the hidden part says nothing
_SHORTEST_MASKED = 6
_LONGEST_CALLING_CODE = 3  # digits, by E.164
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{2,18}", re.ASCII)  # some plans are longer than E.164 has it

Transform: TypeAlias = "Callable[[JsonValue], JsonValue]"
Record: TypeAlias = "dict[str, JsonValue]"

_SPEND_EDGES = (0, 1_000, 5_000, 20_000, 50_000, 100_000, 500_000)
# Orders of magnitude that keep bands readable, not exchange rates.
_SPEND_SCALE = {
    "JPY": 100, "KRW": 1_000, "CNY": 10, "HKD": 10, "TWD": 10, "THB": 10, "INR": 100, "IDR": 10_000, "VND": 10_000,
    "AED": 1, "SAR": 1, "QAR": 1,
}  # fmt: skip
_METROPOLES = frozenset({
    "paris", "london", "londres", "new york", "los angeles", "miami", "dubai", "abu dhabi", "doha", "riyadh", "tokyo",
    "osaka", "shanghai", "beijing", "shenzhen", "hong kong", "seoul", "singapore", "taipei", "bangkok", "milano",
    "milan", "roma", "rome", "madrid", "barcelona", "berlin", "münchen", "munich", "wien", "vienna", "zürich",
    "zurich", "genève", "geneva", "bruxelles", "brussels", "amsterdam", "são paulo", "mumbai", "delhi", "sydney",
    "melbourne", "toronto", "montréal", "東京", "東京都", "大阪市", "上海市", "北京市", "서울특별시", "大阪", "上海", "北京", "香港", "서울",
})  # fmt: skip


def apply(field: Field, level: Level, predicate: str, value: JsonValue, today: dt.date) -> JsonValue:
    """Return what `level` shows of one canonical value of `field`.

    `predicate` names one of the field's predicates and matters at level `predicate` only; `today` is the date in the
    asker's terms. Raises `TransformUnavailable` when the field does not offer the level or the predicate, and when a
    stored value does not have the shape its type had when the transform was written: then nothing is shown.
    """
    name = field.levels.get(level)
    failed = name is None
    if not failed:
        try:
            if level is Level.PREDICATE:
                return holds(field.predicates[predicate], field, value, today)
            return TRANSFORMS[cast("str", name)].make(value)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            failed = True
    raise TransformUnavailable(field.name)  # outside the handler: a foreign message may quote the value


def mask(value: str, head: int = 1, tail: int = 0) -> str:
    """Dots with at most `head` leading and `tail` trailing characters of `value`, or dots alone if it is short."""
    if len(value) < _SHORTEST_MASKED:
        return DOTS
    return f"{value[:head]}{DOTS}{value[len(value) - tail :]}"


def _mask_phone(value: JsonValue) -> str:
    number = cast("str", value)
    calling_code = _calling_code(number)
    national = number[len(f"+{calling_code}") :]
    return f"+{calling_code} {mask(national, head=0, tail=2).replace(DOTS, DOTS + ' ').strip()}"


def _calling_code(number: str) -> int:
    """Return the country calling code of a canonical number, read off its front: no code begins with another.

    The number was parsed when it was stored; to parse it again costs thirty times as much, and a cache would hold
    people's numbers. Raises ValueError for anything but digits after a plus sign and an assigned code.
    """
    if not _INTERNATIONAL.fullmatch(number):
        raise ValueError("not in international form")
    for end in range(2, _LONGEST_CALLING_CODE + 2):
        code = int(number[1:end])
        if code in COUNTRY_CODE_TO_REGION_CODE:
            return code
    raise ValueError("not an assigned calling code")


def _mask_email(value: JsonValue) -> str:
    local, _, domain = cast("str", value).rpartition("@")
    # the domain may be a family's own: of it only the public ending is shown
    return f"{mask(local)}@{DOTS}.{domain.rpartition('.')[2]}"


def _mask_name(value: JsonValue) -> str:
    """Show initials with dots, given name first, for a person's name; the native spelling is never part of a mask."""
    name = cast("Record", value)
    return " ".join(mask(cast("str", name.get(part) or "")) for part in ("given", "family"))


def _calling_country(value: JsonValue) -> Record:
    return {"country": phonenumbers.region_code_for_country_code(_calling_code(cast("str", value)))}


def _area(value: JsonValue) -> Record:
    """Country, with the city if it is a metropolis, else with the region if one was given."""
    address = cast("Record", value)
    coarse: Record = {"country": address["country"]}
    locality = cast("str", address["locality"])
    if locality.casefold() in _METROPOLES:
        return coarse | {"metropolis": locality}
    if address.get("region"):
        return coarse | {"region": address["region"]}
    return coarse


def _band(amount: Decimal, currency: str) -> Record:
    scale = _SPEND_SCALE.get(currency, 1)
    edges = [edge * scale for edge in _SPEND_EDGES]
    lower = max(edge for edge in edges if edge <= amount)
    upper = next((edge for edge in edges if edge > amount), None)
    return {"from": lower, "below": upper, "currency": currency}


def _spend_band(value: JsonValue) -> Record:
    money = cast("Record", value)
    return _band(Decimal(cast("str", money["amount"])), cast("str", money["currency"]))


def _purchase_outline(value: JsonValue) -> Record:
    """Year, product family and spend band. Never for whom it was bought, nor the piece."""
    bought = cast("Record", value)
    return {"year": _part(bought, 4), "family": bought["family"], "spend": _spend_band(bought["price"])}


def _part(record: Record, length: int) -> str:
    """Return the year (4) or year and month (7) of a record's date."""
    return cast("str", record["date"])[:length]


def _size_range(value: JsonValue) -> Record:
    measured = cast("Record", value)
    size = cast("str", measured["value"])
    if not size[0].isdigit():  # lettered sizes have no coarser scale
        return {"system": measured["system"]}
    lower = int(Decimal(size)) // 5 * 5
    return {"from": lower, "below": lower + 5, "system": measured["system"]}


def _words(record: Record, name: str) -> Record:
    """Keep a member that is a word of a closed vocabulary, if it is there."""
    return {name: record[name]} if name in record else {}


def _member(name: str) -> Transform:
    return lambda value: _words(cast("Record", value), name)


def _visit_month(value: JsonValue) -> Record:
    visit = cast("Record", value)
    return {"month": _part(visit, 7), **_words(visit, "occasion")}


def _note_topic(value: JsonValue) -> Record:
    note = cast("Record", value)
    return {"year": _part(note, 4), **_words(note, "topic")}


def _occasion_month(value: JsonValue) -> Record:
    occasion = cast("Record", value)
    return {"month": int(_part(occasion, 7)[5:]), **_words(occasion, "occasion")}


def _tens(value: JsonValue) -> Record:
    lower = cast("int", value) // 10 * 10
    return {"from": lower, "below": lower + 10}


@dataclass(frozen=True, slots=True)
class NamedTransform:
    """A transform, the level it serves, and the field types it can be given (all, if empty)."""

    make: Transform
    level: Level
    types: frozenset[str] = frozenset()


def _for(level: Level, make: Transform, *types: str) -> NamedTransform:
    return NamedTransform(make, level, frozenset(types))


TRANSFORMS: Mapping[str, NamedTransform] = MappingProxyType(
    {
        "presence": _for(Level.PRESENCE, lambda _: True),
        "identity": _for(Level.RAW, lambda value: value),
        # generalisations
        "birth_month": _for(Level.GENERALISED, lambda value: {"month": int(cast("str", value)[5:7])}, "date"),
        "decade": _for(Level.GENERALISED, lambda value: {"decade": cast("str", value)[:3] + "0"}, "date"),
        "year": _for(Level.GENERALISED, lambda value: {"year": cast("str", value)[:4]}, "date"),
        "calling_country": _for(Level.GENERALISED, _calling_country, "phone"),
        "area": _for(Level.GENERALISED, _area, "address"),
        "spend_band": _for(Level.GENERALISED, _spend_band, "money"),
        "purchase_outline": _for(Level.GENERALISED, _purchase_outline, "purchase"),
        "size_range": _for(Level.GENERALISED, _size_range, "measurement"),
        "tens": _for(Level.GENERALISED, _tens, "integer"),
        "main_language": _for(Level.GENERALISED, lambda value: cast("str", value).split("-")[0], "language"),
        "salutation": _for(Level.GENERALISED, _member("salutation"), "person_name"),
        "visit_month": _for(
            Level.GENERALISED,
            _visit_month,
            "visit",
        ),
        "note_topic": _for(Level.GENERALISED, _note_topic, "note"),
        "occasion_month": _for(
            Level.GENERALISED,
            _occasion_month,
            "important_date",
        ),
        "repair_status": _for(Level.GENERALISED, _member("status"), "repair"),
        "relation": _for(Level.GENERALISED, _member("relation"), "household_link"),
        "allergy_family": _for(Level.GENERALISED, _member("family"), "allergy"),
        # masks
        "phone_mask": _for(Level.MASKED, _mask_phone, "phone"),
        "email_mask": _for(Level.MASKED, _mask_email, "email"),
        "name_mask": _for(Level.MASKED, _mask_name, "person_name"),
        "code_mask": _for(Level.MASKED, lambda value: mask(cast("str", value), head=0, tail=2), "code"),
        "text_mask": _for(Level.MASKED, lambda value: mask(cast("str", value)), "line", "text", "handle"),
    }
)
