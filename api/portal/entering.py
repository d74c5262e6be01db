"""Entering: of each kind of value the inputs that ask for it anew, and what was typed read back as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.pages.language import Language
from api.pages.telling import chosen
from api.portal.call import Call
from api.portal.words import MEMBERS
from api.problems import Problem
from policies.catalogue import Field, FieldKind
from vault.values import JsonValue

# The members of values that are records, and how each is typed in. What is no record is typed in as a whole; what names
# somebody else is not asked for. `price.amount` is a member of a member.
_RECORDS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "person_name": (("salutation", "line"), ("given", "line"), ("family", "line")),
    "address": (
        ("lines", "lines"), ("postal_code", "line"), ("locality", "line"), ("region", "line"), ("country", "line"),
        ("use", "choice"),
    ),
    "measurement": (("value", "line"), ("system", "choice")),
    "money": (("amount", "line"), ("currency", "line")),
    "important_date": (("occasion", "choice"), ("date", "date"), ("about", "line")),
    "allergy": (("family", "choice"), ("substance", "line")),
    "household_link": (("relation", "choice"),),
    "purchase": (
        ("date", "date"), ("family", "choice"), ("product", "line"), ("serial", "line"), ("price.amount", "line"),
        ("price.currency", "line"), ("boutique", "line"),
    ),
    "repair": (
        ("opened", "date"), ("status", "choice"), ("product", "line"), ("serial", "line"), ("work", "text"), ("boutique", "line"),
    ),
    "visit": (("date", "date"), ("boutique", "line"), ("occasion", "choice")),
    "note": (("date", "date"), ("topic", "choice"), ("text", "text")),
}  # fmt: skip
_TYPED: Final = {"date": "date", "text": "text", "choice": "choice", "boolean": "yes_no"}
_KINDS: Final = {"allergy", "purchase"}  # where `family` is a choice and no name


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a correction: its name in the form, what it asks for, how it is typed in, what may be chosen."""

    name: str
    label: str
    kind: str
    options: tuple[tuple[str, str], ...] = ()


def named(call: Call, given: Mapping[str, str]) -> tuple[Field, int]:
    """Return the field and the item that a form or an address names. Raises `Problem`."""
    of = call.vault.bundle.catalogue.fields.get(given.get("field", ""))
    item = given.get("item", "")
    if of is None or (of.kind is not FieldKind.SINGLE) != _is_item(item):
        raise Problem("bad_request")
    return of, int(item) if item else 0


def inputs(language: Language, of: Field) -> list[Input]:
    """Return what asks for a value of a field; of an entry of a journal, for each of its members."""
    options = tuple((each, chosen(language, each)) for each in of.choices)
    title = of.title.get(language.tag, of.name)
    if of.type not in _RECORDS:
        return [Input("value", title, _TYPED.get(of.type, "line"), options if of.type == "choice" else ())]
    say = language.say
    return [
        Input(f"value:{member}", say(_label(of, member)), kind, options if kind == "choice" else ())
        for member, kind in _RECORDS[of.type]
    ]


def typed(of: Field, form: Mapping[str, str]) -> object:
    """Read a whole value."""
    if of.type in _RECORDS:
        return members(of, form)
    text = form.get("value", "").strip()
    if of.type == "boolean":
        return {"yes": True, "no": False}.get(text)
    if of.type == "integer":
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004
    return text


def members(of: Field, form: Mapping[str, str]) -> dict[str, object]:
    """Read the members that were filled in."""
    found: dict[str, object] = {}
    for member, kind in _RECORDS[of.type]:
        text = form.get(f"value:{member}", "").strip()
        if not text:
            continue
        value: object = [each.strip() for each in text.splitlines() if each.strip()] if kind == "lines" else text
        outer, _, inner = member.partition(".")
        if inner:
            part = found.setdefault(outer, {})
            if isinstance(part, dict):
                part[inner] = value
        else:
            found[outer] = value
    return found


def spelt(of: Field, value: JsonValue) -> dict[str, str]:
    """Write a value into the inputs that ask for it."""
    if of.type not in _RECORDS or not isinstance(value, dict):
        return {"value": {True: "yes", False: "no"}.get(value, "") if isinstance(value, bool) else str(value)}
    found: dict[str, str] = {}
    for member, _ in _RECORDS[of.type]:
        outer, _, inner = member.partition(".")
        part = value.get(outer)
        if inner and isinstance(part, dict):
            part = part.get(inner)
        if part is not None:
            found[f"value:{member}"] = "\n".join(map(str, part)) if isinstance(part, list) else str(part)
    return found


def _label(of: Field, member: str) -> str:
    name = member.rpartition(".")[2]
    return MEMBERS["kind" if name == "family" and of.type in _KINDS else name]


def _is_item(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and text != "0"  # noqa: PLR2004 - items are small
