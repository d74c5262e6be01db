"""Field input: from what a caller sent to canonical, dated values, with every problem found and no value told.

Forms (decoded JSON): a value; `{"value": …, "valid_from": "YYYY-MM-DD", "valid_until": "YYYY-MM-DD"}` with either date
left out; for list and journal fields an array of either. Which is which is never in doubt, because no field type has
an object form whose only members are these three.

Problems name the field and a stable reason. A field that the catalogue does not have is named by its position among
the input's members and not by what the caller called it: that could be anything.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Final, NamedTuple, cast

from policies.catalogue import Catalogue, Field, FieldKind
from policies.errors import InvalidValue
from policies.fieldtypes import validate
from vault import search
from vault.normalise import NotNormalisable
from vault.values import Dated, JsonValue

MOST_VALUES: Final = 256  # of one field in one input: bounds the work that one item of a batch can ask for

_MEMBERS: Final = frozenset({"value", "valid_from", "valid_until"})
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

Problem = tuple[str, str]


class Given(NamedTuple):
    """One accepted value. `message` is what its index hashes: None without an index, or if the value is over already."""

    field: Field
    dated: Dated
    message: bytes | None

    def __repr__(self) -> str:
        return "Given(…)"


class Correction(NamedTuple):
    """A value that takes the place of a wrong one; None takes a wrong entry out. `item` is 0 for single fields."""

    field: Field
    item: int
    given: Given | None


class _Refused(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read(catalogue: Catalogue, inputs: Mapping[str, object], today: date, problems: list[Problem]) -> list[Given]:
    """Read the inputs of a whole write. Adds to `problems`; the answer is only meaningful if nothing was added."""
    accepted: list[Given] = []
    for field, given in _known(catalogue, inputs, problems):
        try:
            accepted += [_given(field, each, today) for each in _each(field, given)]
        except InvalidValue as error:
            problems.append((field.name, error.reason))
        except _Refused as refused:
            problems.append((field.name, refused.reason))
    return accepted


def read_corrections(
    catalogue: Catalogue, inputs: Mapping[str, object], today: date, problems: list[Problem], *, entries: bool = False
) -> list[Correction]:
    """Read corrections: a value for a single field, `[{"item": 3, "value": …}, …]` for a list field.

    With `entries` of a journal as well: there an officer has decided that the person is right, and null takes one out.
    """
    accepted: list[Correction] = []
    for field, given in _known(catalogue, inputs, problems):
        try:
            if field.kind is FieldKind.JOURNAL and not entries:
                raise _Refused("journal_entries_stand")  # noqa: TRY301 - one handler turns all refusals into problems
            if field.kind is FieldKind.SINGLE:
                accepted.append(Correction(field, 0, _given(field, given, today)))
                continue
            for each in _each(field, given):
                if not isinstance(each, Mapping) or type(each.get("item")) is not int or "value" not in each:
                    raise _Refused("item_needed")  # noqa: TRY301
                rest = {member: value for member, value in each.items() if member != "item"}
                out = field.kind is FieldKind.JOURNAL and each["value"] is None
                accepted.append(Correction(field, each["item"], None if out else _given(field, rest, today)))
        except InvalidValue as error:
            problems.append((field.name, error.reason))
        except _Refused as refused:
            problems.append((field.name, refused.reason))
    return accepted


def read_items(
    catalogue: Catalogue, inputs: Mapping[str, object], problems: list[Problem]
) -> list[tuple[Field, list[int]]]:
    """Read which values end: item numbers per field; a single field's only item is 0."""
    accepted: list[tuple[Field, list[int]]] = []
    for field, given in _known(catalogue, inputs, problems):
        if field.kind is FieldKind.JOURNAL:
            problems.append((field.name, "journal_entries_stand"))
        elif not isinstance(given, list | tuple) or not all(type(item) is int for item in given):
            problems.append((field.name, "not_item_numbers"))
        else:
            accepted.append((field, list(dict.fromkeys(given))))
    return accepted


def day_of(at: int) -> date:
    """Return the UTC day of a time in seconds: the vault's today."""
    return datetime.fromtimestamp(at, UTC).date()


def _known(
    catalogue: Catalogue, inputs: Mapping[str, object], problems: list[Problem]
) -> Iterator[tuple[Field, object]]:
    for position, (name, given) in enumerate(inputs.items()):
        field = catalogue.fields.get(name)
        if field is None:
            problems.append((f"fields[{position}]", "unknown_field"))
        else:
            yield field, given


def _each(field: Field, given: object) -> list[object]:
    if field.kind is FieldKind.SINGLE:
        return [given]
    values = list(given) if isinstance(given, list | tuple) else [given]
    if len(values) > MOST_VALUES:
        raise _Refused("too_many_values")
    return values


def _given(field: Field, value: object, today: date) -> Given:
    valid_from = valid_until = None
    if isinstance(value, dict) and "value" in value and value.keys() <= _MEMBERS:
        valid_from, valid_until = _day(value.get("valid_from")), _day(value.get("valid_until"))
        if valid_from is not None and valid_until is not None and valid_until < valid_from:
            raise _Refused("ends_before_it_begins")
        value = value["value"]
    canonical = cast("JsonValue", validate(field, value))
    message = None
    if field.search is not None:
        try:
            message = search.message(field, canonical)
        except NotNormalisable:
            raise _Refused("not_normalisable") from None
    if valid_until is not None and valid_until < today:
        message = None
    return Given(field, Dated(canonical, valid_from, valid_until), message)


def _day(text: object) -> date | None:
    if text is None:
        return None
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise _Refused("not_a_date")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _Refused("not_a_date") from None
