"""Values as people read them: dates, sums, countries and languages in the reader's own, choices in words, no code."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from babel import Locale, numbers
from babel.core import UnknownLocaleError

from api.pages.choices import CHOICES
from api.pages.language import N_, Language
from vault.values import JsonValue

_NAME: Final = ("salutation", "given", "middle", "family")
_CHOSEN: Final = frozenset({"status", "topic", "occasion", "relation", "use", "system"})
_DAYS: Final = frozenset({"date", "opened"})
_ON_AN_ENVELOPE: Final = ("lines", "postal_code", "locality", "region", "country")


def told(language: Language, kind: str, value: JsonValue) -> str:
    """Write one value of a field of this type."""
    if kind == "person_name" and isinstance(value, dict):
        native = value.get("native")
        plain = " ".join(str(value[each]) for each in _NAME if each in value)
        return f"{plain} ({_native(native)})" if isinstance(native, dict) else plain
    if kind == "money" and isinstance(value, dict):
        return _money(language, value)
    if kind == "measurement" and isinstance(value, dict):
        return f"{value['value']} ({value['system']})"
    if isinstance(value, dict):
        members = sorted(value, key=_place)  # the others stay in the order that they are kept in
        return " · ".join(_member(language, name, value[name]) for name in members)
    if isinstance(value, bool):
        return language.say(N_("yes") if value else N_("no"))
    return _SCALARS.get(kind, _plain)(language, value)


def chosen(language: Language, code: str) -> str:
    """Write a word of a closed vocabulary; one that a bundle of its own brings is shown as it is."""
    return language.say(CHOICES.get(code, code.replace("_", " ")))


def country_name(language: Language, code: str) -> str:
    """Name a country by its ISO 3166-1 code."""
    return str(Locale.parse(language.tag).territories.get(code, code))


def language_name(language: Language, code: str) -> str:
    """Name a language by its tag."""
    try:
        return Locale.parse(code, sep="-").get_display_name(language.tag) or code
    except (UnknownLocaleError, ValueError):
        return code


def _place(name: str) -> int:
    return _ON_AN_ENVELOPE.index(name) if name in _ON_AN_ENVELOPE else len(_ON_AN_ENVELOPE)


def _member(language: Language, name: str, value: Any) -> str:
    if name in _DAYS:
        return _day(language, value)
    if name == "price":
        return _money(language, value)
    if name == "country":
        return country_name(language, value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    # `family` of a purchase or an allergy is a choice as well; of a name it never comes here.
    return chosen(language, value) if name in _CHOSEN or name == "family" else str(value)


def _money(language: Language, value: Mapping[str, Any]) -> str:
    return numbers.format_currency(value["amount"], value["currency"], locale=language.tag)


def _day(language: Language, value: Any) -> str:
    return language.written_day(str(value))


def _native(value: Mapping[str, Any]) -> str:
    return " ".join(str(value[each]) for each in ("family", "given") if each in value)


def _plain(language: Language, value: JsonValue) -> str:
    return language.number(value) if isinstance(value, int) else str(value)


_SCALARS: Final[Mapping[str, Callable[[Language, Any], str]]] = {
    "date": _day,
    "country": country_name,
    "language": language_name,
    "choice": chosen,
}
