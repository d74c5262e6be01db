"""Field types that are small records: names, addresses, purchases, visits, notes, household links.

A record is one value: sealed, disclosed and erased as a whole. Each check returns the members that were given, in a
fixed order, so that equal values have equal canonical forms.
"""

import re
from collections.abc import Callable, Mapping

from policies.catalogue import Field
from policies.scalartypes import (
    JsonValue,
    Unfit,
    choice,
    code,
    country,
    date,
    line,
    money,
    record,
    script_code,
    sized,
    text,
)

_NAME = 100
_SHORT = 60
_LONGEST_NOTE = 3_500
_MOST_LINES = 5
_REFERENCE = re.compile(r"ref_[0-9a-hjkmnp-tv-z]{26}")


def person_name(_: Field, value: object) -> dict[str, JsonValue]:
    """`{family, given, middle?, salutation?, native?: {family?, given?, script}}`; at least a family or given name."""
    members = record(value, {"family", "given", "middle", "salutation", "native"})
    if "family" not in members and "given" not in members:
        raise Unfit("missing_member")
    clean = _lines(members, ("family", "given", "middle", "salutation"), _NAME)
    if "native" in members:
        native = record(members["native"], {"family", "given", "script"}, ("script",))
        spelled = _lines(native, ("family", "given"), _NAME)
        if not spelled:
            raise Unfit("missing_member")
        clean["native"] = {**spelled, "script": script_code(native["script"])}
    return sized(clean)


def address(field: Field, value: object) -> dict[str, JsonValue]:
    """`{lines, locality, region?, postal_code?, country, use?}`; `use` is one of the field's choices."""
    members = record(
        value, {"lines", "locality", "region", "postal_code", "country", "use"}, ("lines", "locality", "country")
    )
    lines = members["lines"]
    if not isinstance(lines, list) or not 1 <= len(lines) <= _MOST_LINES:
        raise Unfit("not_address_lines")
    clean: dict[str, JsonValue] = {"lines": [line(each, _NAME) for each in lines]}
    clean |= _lines(members, ("locality", "region"), _NAME)
    clean |= _lines(members, ("postal_code",), 16)
    clean["country"] = country(members["country"])
    if "use" in members:
        clean["use"] = choice(members["use"], field.choices)
    return sized(clean)


def important_date(field: Field, value: object) -> dict[str, JsonValue]:
    """`{occasion, date, about?}`; the occasions are the field's choices."""
    members = record(value, {"occasion", "date", "about"}, ("occasion", "date"))
    clean: dict[str, JsonValue] = {
        "occasion": choice(members["occasion"], field.choices),
        "date": date(members["date"]),
    }
    return sized(clean | _lines(members, ("about",), _NAME))


def purchase(field: Field, value: object) -> dict[str, JsonValue]:
    """`{date, family, product, serial?, price, boutique?, for?}`; product families are the field's choices."""
    members = record(
        value,
        {"date", "family", "product", "serial", "price", "boutique", "for"},
        ("date", "family", "product", "price"),
    )
    clean: dict[str, JsonValue] = {
        "date": date(members["date"]),
        "family": choice(members["family"], field.choices),
        "product": line(members["product"], _NAME),
    }
    if "serial" in members:
        clean["serial"] = code(members["serial"])
    clean["price"] = money(members["price"])
    if "boutique" in members:
        clean["boutique"] = code(members["boutique"])
    return sized(clean | _lines(members, ("for",), _SHORT))


def repair(field: Field, value: object) -> dict[str, JsonValue]:
    """Check `{opened, status, product, serial?, work?, boutique?}`; the states are the field's choices."""
    members = record(
        value, {"opened", "status", "product", "serial", "work", "boutique"}, ("opened", "status", "product")
    )
    clean: dict[str, JsonValue] = {
        "opened": date(members["opened"]),
        "status": choice(members["status"], field.choices),
        "product": line(members["product"], _NAME),
    }
    if "serial" in members:
        clean["serial"] = code(members["serial"])
    clean |= _lines(members, ("work",), 200)
    if "boutique" in members:
        clean["boutique"] = code(members["boutique"])
    return sized(clean)


def visit(field: Field, value: object) -> dict[str, JsonValue]:
    """`{date, boutique, occasion?, advisor?}`; `advisor` is a staff pseudonym, the occasions are the choices."""
    members = record(value, {"date", "boutique", "occasion", "advisor"}, ("date", "boutique"))
    clean: dict[str, JsonValue] = {"date": date(members["date"]), "boutique": code(members["boutique"])}
    if "occasion" in members:
        clean["occasion"] = choice(members["occasion"], field.choices)
    if "advisor" in members:
        clean["advisor"] = code(members["advisor"])
    return sized(clean)


def note(field: Field, value: object) -> dict[str, JsonValue]:
    """`{date, topic, text, advisor?}`; the topics are the field's choices."""
    members = record(value, {"date", "topic", "text", "advisor"}, ("date", "topic", "text"))
    clean: dict[str, JsonValue] = {
        "date": date(members["date"]),
        "topic": choice(members["topic"], field.choices),
        "text": text(members["text"], _LONGEST_NOTE),
    }
    if "advisor" in members:
        clean["advisor"] = code(members["advisor"])
    return sized(clean)


def household_link(field: Field, value: object) -> dict[str, JsonValue]:
    """`{relation, reference?}`: how another person is related, and that person's reference at the same brand."""
    members = record(value, {"relation", "reference"}, ("relation",))
    clean: dict[str, JsonValue] = {"relation": choice(members["relation"], field.choices)}
    if "reference" in members:
        reference = members["reference"]
        if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
            raise Unfit("not_a_reference")
        clean["reference"] = reference
    return sized(clean)


def allergy(field: Field, value: object) -> dict[str, JsonValue]:
    """`{family, substance?}`; the families (food, metal, …) are the field's choices."""
    members = record(value, {"family", "substance"}, ("family",))
    clean: dict[str, JsonValue] = {"family": choice(members["family"], field.choices)}
    return sized(clean | _lines(members, ("substance",), _NAME))


def _lines(members: Mapping[str, object], names: tuple[str, ...], longest: int) -> dict[str, JsonValue]:
    return {name: line(members[name], longest) for name in names if name in members}


RECORDS: Mapping[str, Callable[[Field, object], JsonValue]] = {
    "person_name": person_name,
    "address": address,
    "important_date": important_date,
    "purchase": purchase,
    "repair": repair,
    "visit": visit,
    "note": note,
    "household_link": household_link,
    "allergy": allergy,
}
