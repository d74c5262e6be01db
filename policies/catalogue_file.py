"""Reading `catalogue.toml`. Every fault becomes a sentence that names where it stands; reading never stops at the first.

Shape, per category and field (the shipped bundle is the worked example):

    [contact]
    id = 2
    title = { fr = "…", en = "…" }
    sensitivity = "high"
    retention_days = 1095
    legal_retention = { days = 365, basis = "…" }   # only where a law forbids to destroy it earlier

    [contact.field.phone]
    id = 201
    type = "phone"
    kind = "list"
    …

Presence and raw are offered by every field and are not written down.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from policies.catalogue import (
    IDS_PER_CATEGORY,
    LARGEST_ID,
    Catalogue,
    Category,
    Field,
    FieldKind,
    LegalRetention,
    Sensitivity,
)
from policies.fieldtypes import TYPES
from policies.levels import Level
from policies.predicates import PREDICATES
from policies.transforms import TRANSFORMS

LANGUAGES = ("fr", "en")
LEAST_GROUP = 20  # subjects who share a generalised value: no file goes below
LARGEST_GROUP = 1_000_000
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SEARCH = re.compile(r"[a-z_]{1,32}/[1-9][0-9]?")
_BASIS = re.compile(r"[^\x00-\x1f\x7f]{1,128}")  # it is printed on certificates
_NEEDS_CHOICES = frozenset(
    {"choice", "measurement", "important_date", "purchase", "repair", "visit", "note", "household_link", "allergy"}
)
FREE_TEXT = frozenset({"note", "repair", "text"})  # types in which somebody writes as they like
_CATEGORY_KEYS = {"id", "title", "sensitivity", "retention_days", "legal_retention", "field"}
_FIELD_KEYS = {
    "id", "title", "type", "kind", "version", "special", "search", "generalised", "masked", "predicates", "choices",
    "least_group", "written_for_person",
}  # fmt: skip

T = TypeVar("T")
Finder = Callable[[str], None]


def read_toml(file: str, content: bytes, find: Finder) -> dict[str, Any]:
    """Parse TOML; on a fault report it and return an empty table."""
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        find(f"{file}: {error}")
        return {}


def member(table: Mapping[str, Any], key: str, kind: type[T], where: str, find: Finder, default: T) -> T:
    """Return `table[key]` if it is of `kind` (a bool is no int); else report and return `default`."""
    found = table.get(key)
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        find(f"{where}: `{key}` must be given as {kind.__name__}")
        return default
    return found


def titles(table: Mapping[str, Any], where: str, find: Finder, key: str = "title") -> Mapping[str, str]:
    """Return the title per language; every language of `LANGUAGES` must be there. `key` names another text said in each."""
    found = table.get(key)
    if not isinstance(found, dict) or any(
        not isinstance(found.get(each), str) or not found[each] for each in LANGUAGES
    ):
        find(f"{where}: `{key}` needs {' and '.join(LANGUAGES)}")
        return MappingProxyType({})
    return MappingProxyType(dict(found))


def least_group(table: Mapping[str, Any], where: str, find: Finder) -> int:
    """Return how many subjects must share a generalised value, at least; 0 where the bundle does not say.

    Less than `LEAST_GROUP` means nothing, and is refused so that nobody believes in it.
    """
    if "least_group" not in table:
        return 0
    least = member(table, "least_group", int, where, find, LEAST_GROUP)
    if not LEAST_GROUP <= least <= LARGEST_GROUP:
        find(f"{where}: `least_group` is between {LEAST_GROUP} and {LARGEST_GROUP}")
    return least


def unknown_keys(table: Mapping[str, Any], known: set[str], where: str, find: Finder) -> None:
    """Report keys that mean nothing: a misspelt key is a rule that silently does not hold."""
    for key in sorted(set(table) - known):
        find(f"{where}: unknown key `{key}`")


def read_catalogue(file: str, content: bytes, find: Finder) -> Catalogue:
    """Parse the catalogue. Reports faults through `find`; the result is only meaningful if nothing was reported."""
    document = read_toml(file, content, find)
    categories = tuple(
        _category(name, table, f"{file} [{name}]", find) for name, table in document.items() if isinstance(table, dict)
    )
    for name in (name for name, table in document.items() if not isinstance(table, dict)):
        find(f"{file}: unknown key `{name}`")
    _unique("category id", (each.id for each in categories), file, find)
    _unique("field id", (each.id for category in categories for each in category.fields), file, find)
    _unique("field", (each.name for category in categories for each in category.fields), file, find)
    if document and not categories:
        find(f"{file}: no category")
    return Catalogue(categories)


def _unique(what: str, values: Any, file: str, find: Finder) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            find(f"{file}: {what} {value} is used twice")
        seen.add(value)


def _category(name: str, table: dict[str, Any], where: str, find: Finder) -> Category:
    unknown_keys(table, _CATEGORY_KEYS, where, find)
    if not NAME.fullmatch(name):
        find(f"{where}: a category is named in snake_case")
    identifier = member(table, "id", int, where, find, 1)
    if not 1 <= identifier <= LARGEST_ID // IDS_PER_CATEGORY:
        find(f"{where}: `id` must be between 1 and {LARGEST_ID // IDS_PER_CATEGORY}")
    retention = member(table, "retention_days", int, where, find, 1)
    if retention < 1:
        find(f"{where}: `retention_days` must be at least 1")
    legal_retention = _legal_retention(table, retention, where, find)
    sensitivity = Sensitivity.HIGH
    try:
        sensitivity = Sensitivity(table.get("sensitivity", ""))
    except ValueError:
        find(f"{where}: `sensitivity` must be one of {', '.join(Sensitivity)}")
    special = sensitivity is Sensitivity.SPECIAL
    entries = member(table, "field", dict, where, find, {})
    fields = tuple(
        _field(key, entry, name, identifier, special, f"{where} {key}", find)
        for key, entry in entries.items()
        if isinstance(entry, dict)
    )
    if not fields:
        find(f"{where}: no field")
    title = titles(table, where, find)
    return Category(identifier, name, title, sensitivity, retention, special, fields, legal_retention)


def _legal_retention(table: dict[str, Any], retention: int, where: str, find: Finder) -> LegalRetention | None:
    if "legal_retention" not in table:
        return None
    where = f"{where} legal_retention"
    found = table["legal_retention"]
    if not isinstance(found, dict):
        find(f"{where}: names `days` and `basis`")
        return None
    unknown_keys(found, {"days", "basis"}, where, find)
    days = member(found, "days", int, where, find, 1)
    if not 1 <= days <= retention:
        find(f"{where}: `days` must be between 1 and `retention_days`")
    basis = member(found, "basis", str, where, find, "-")
    if not _BASIS.fullmatch(basis):
        find(f"{where}: `basis` cites the law in one line of at most 128 characters")
    return LegalRetention(days, basis)


def _field(
    name: str, table: dict[str, Any], category: str, category_id: int, special: bool, where: str, find: Finder
) -> Field:
    unknown_keys(table, _FIELD_KEYS, where, find)
    if not NAME.fullmatch(name):
        find(f"{where}: a field is named in snake_case")
    identifier = member(table, "id", int, where, find, 1)
    if identifier // IDS_PER_CATEGORY != category_id:
        find(
            f"{where}: `id` must lie between {category_id * IDS_PER_CATEGORY} and {category_id * IDS_PER_CATEGORY + 99}"
        )
    kind = FieldKind.SINGLE
    try:
        kind = FieldKind(table.get("kind", FieldKind.SINGLE))
    except ValueError:
        find(f"{where}: `kind` must be one of {', '.join(FieldKind)}")
    value_type = member(table, "type", str, where, find, "")
    if value_type and value_type not in TYPES:
        find(f"{where}: unknown type `{value_type}`")
    search = table.get("search")
    if search is not None and not (isinstance(search, str) and _SEARCH.fullmatch(search)):
        find(f"{where}: `search` names a normaliser and its version, as in `phone/1`")
        search = None
    marked = table.get("special", False)
    if not isinstance(marked, bool):
        find(f"{where}: `special` must be true or false")
    version = table.get("version", 1)
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= LARGEST_ID:
        find(f"{where}: `version` must be between 1 and {LARGEST_ID}")
        version = 1
    choices = _choices(table, value_type, where, find)
    predicates = _predicates(table, value_type, choices, where, find)
    levels = _levels(table, value_type, where, find)
    if predicates:
        levels[Level.PREDICATE] = "predicate"
    return Field(
        id=identifier, name=name, category=category, category_id=category_id, kind=kind, type=value_type,
        schema_version=version, special=special or marked is True, search=search,
        levels=MappingProxyType({level: levels[level] for level in Level if level in levels}),
        predicates=predicates, choices=choices, title=titles(table, where, find),
        least_group=least_group(table, where, find), written_for_person=_written_for_person(table, value_type, where, find),
    )  # fmt: skip


def _written_for_person(table: dict[str, Any], value_type: str, where: str, find: Finder) -> bool:
    written = table.get("written_for_person", False)
    if not isinstance(written, bool):
        find(f"{where}: `written_for_person` must be true or false")
    elif written and value_type not in FREE_TEXT:
        find(f"{where}: `written_for_person` is said of {', '.join(sorted(FREE_TEXT))}; nobody writes freely here")
    return written is True


def _choices(table: dict[str, Any], value_type: str, where: str, find: Finder) -> tuple[str, ...]:
    found = table.get("choices", [])
    if not isinstance(found, list) or not all(isinstance(each, str) and NAME.fullmatch(each) for each in found):
        find(f"{where}: `choices` is a list of words in snake_case")
        return ()
    if len(set(found)) != len(found):
        find(f"{where}: `choices` names a word twice")
    if value_type in _NEEDS_CHOICES and not found:
        find(f"{where}: the type `{value_type}` needs `choices`")
    return tuple(found)


def _levels(table: dict[str, Any], value_type: str, where: str, find: Finder) -> dict[Level, str]:
    levels = {Level.PRESENCE: "presence", Level.RAW: "identity"}
    for level in (Level.GENERALISED, Level.MASKED):
        name = table.get(level)
        if name is None:
            continue
        transform = TRANSFORMS.get(name) if isinstance(name, str) else None
        if transform is None or transform.level is not level:
            find(f"{where}: `{level}` names no known transform of that level")
        elif value_type not in transform.types:
            find(f"{where}: `{name}` cannot be used on the type `{value_type}`")
        else:
            levels[level] = name
    return levels


def _predicates(
    table: dict[str, Any], value_type: str, choices: tuple[str, ...], where: str, find: Finder
) -> Mapping[str, str]:
    found = table.get("predicates", {})
    if not isinstance(found, dict) or not all(isinstance(rule, str) for rule in found.values()):
        find(f"{where}: `predicates` maps names to rules")
        return MappingProxyType({})
    for name, rule in found.items():
        word, *arguments = rule.split() or [""]
        known = PREDICATES.get(word)
        if not NAME.fullmatch(name) or known is None or value_type not in known.types:
            find(f"{where}: predicate `{name}` has no rule that fits the type `{value_type}`")
        elif not known.accepts(arguments, choices):
            find(f"{where}: predicate `{name}` does not fit its rule `{word}`")
    return MappingProxyType(dict(found))
