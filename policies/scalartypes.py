"""Field types that are one scalar: text, numbers, dates, codes of the ISO lists, phones, e-mail addresses, money, sizes.

Each check returns the canonical form or raises `Unfit` with a stable reason; `policies.fieldtypes.validate` is the
only caller that turns it into an error others see.
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

import orjson
import phonenumbers
import pycountry
from email_validator import EmailNotValidError, validate_email
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

from policies.catalogue import Field

JsonValue: TypeAlias = "bool | int | str | list[JsonValue] | dict[str, JsonValue] | None"
Check: TypeAlias = "Callable[[Field, object], JsonValue]"

LARGEST_VALUE = 16 * 1024  # bytes of canonical JSON; the envelope takes 64 KiB with its metadata and padding
LONGEST_LINE = 200
LONGEST_TEXT = 4_000
_LONGEST_EMAIL = 320  # RFC 3696: the parser has the last word
_LONGEST_LOCAL = 64  # RFC 5321 4.5.3.1.1
_LONGEST_PLAIN_DOMAIN = 100  # with the longest local part still well under the 254 of a whole address
_LARGEST_INTEGER = 2**53 - 1  # what every JSON reader keeps exact
_EARLIEST, _LATEST = 1850, 2199
# Controls, and what makes text read as another text: direction overrides, lone surrogates.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAK = re.compile(r"[\t\n]")
_CASELESS = frozenset(CASE_INSENSITIVE_MAILBOX_NAMES)  # RFC 2142: the parser writes them in lower case
_DOT_ATOM = re.compile(r"[A-Za-z0-9_+'-]+(\.[A-Za-z0-9_+'-]+)*")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_HANDLE = re.compile(r"@?[\w][\w.\-]{0,63}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,3})?")
_SIZE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?|[A-Z](½|1/2)?")
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}))?")
_MINOR_UNITS = MappingProxyType(
    dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"), 0)
    | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
)


class Unfit(Exception):
    """A check's refusal, with a stable reason. It may hang on a foreign exception that quotes the value: never let it out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def line(value: object, longest: int = LONGEST_LINE) -> str:
    """Check a single line of text: NFC, trimmed, not blank, no control characters."""
    clean = text(value, longest)
    if _BREAK.search(clean):
        raise Unfit("control_character")
    return clean


def text(value: object, longest: int = LONGEST_TEXT) -> str:
    """Check free text: as a line, but with line breaks and tabs."""
    if not isinstance(value, str):
        raise Unfit("not_text")
    if len(value) > longest * 2:  # before normalising, which may be slow on hostile input
        raise Unfit("too_long")
    clean = value.strip() if value.isascii() else unicodedata.normalize("NFC", value).strip()
    if not clean:
        raise Unfit("blank")
    if len(clean) > longest:
        raise Unfit("too_long")
    if _CONTROL.search(clean):
        raise Unfit("control_character")
    return clean


def date(value: object) -> str:
    """Check a calendar date, `YYYY-MM-DD`, between 1850 and 2199."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise Unfit("not_a_date")
    try:
        parsed = dt.date.fromisoformat(value)
    except ValueError:
        raise Unfit("not_a_date") from None
    if not _EARLIEST <= parsed.year <= _LATEST:
        raise Unfit("not_a_date")
    return value


def choice(value: object, choices: tuple[str, ...]) -> str:
    """Check a word of a closed vocabulary."""
    if not isinstance(value, str) or value not in choices:
        raise Unfit("not_a_choice")
    return value


def country(value: object) -> str:
    """Check an ISO 3166-1 alpha-2 country code."""
    if not isinstance(value, str) or value.upper() not in _countries():
        raise Unfit("not_a_country")
    return value.upper()


def code(value: object) -> str:
    """Check an identifier made by a system: ASCII letters, digits and `._/-`, at most 64."""
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        raise Unfit("not_a_code")
    return value


def money(value: object) -> dict[str, JsonValue]:
    """Check `{"amount": "12.50", "currency": "EUR"}`: amounts are decimal text, never binary fractions."""
    members = record(value, {"amount", "currency"})
    currency, amount = members.get("currency"), members.get("amount")
    if not isinstance(currency, str) or currency.upper() not in _currencies():
        raise Unfit("not_a_currency")
    currency = currency.upper()
    if isinstance(amount, int) and not isinstance(amount, bool):
        amount = str(amount)
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        raise Unfit("not_an_amount")
    digits = _MINOR_UNITS.get(currency, 2)
    try:
        exact = Decimal(amount)
        rounded = exact.quantize(Decimal(1).scaleb(-digits))
    except InvalidOperation:
        raise Unfit("not_an_amount") from None
    if rounded != exact:
        raise Unfit("not_an_amount")
    return {"amount": str(rounded), "currency": currency}


def record(value: object, members: set[str], required: tuple[str, ...] = ()) -> Mapping[str, object]:
    """Check that a value is a JSON object with known members only; members that are null count as absent."""
    if not isinstance(value, Mapping):
        raise Unfit("not_an_object")
    if not members.issuperset(value):
        raise Unfit("unknown_member")
    present = {key: each for key, each in value.items() if each is not None}
    if any(key not in present for key in required):
        raise Unfit("missing_member")
    return present


def sized(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Check a structured value against the size limit."""
    if len(orjson.dumps(value)) > LARGEST_VALUE:
        raise Unfit("too_long")
    return value


def _boolean(_: Field, value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit("not_a_boolean")
    return value


def _integer(_: Field, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST_INTEGER:
        raise Unfit("not_an_integer")
    return value


def _phone(_: Field, value: object) -> str:
    """E.164 from an international number, or from `{"number", "region"}` as dialled in a country.

    Possible by the numbering plan's lengths, not proven to be assigned: plans change faster than any table of them,
    and a counter must not refuse a client's new number.
    """
    region: str | None = None
    if isinstance(value, Mapping):
        members = record(value, {"number", "region"}, ("number", "region"))
        value, region = members["number"], country(members["region"])
    number = line(value, 32)
    if region is None and not number.startswith("+"):
        raise Unfit("region_needed")
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        raise Unfit("not_a_phone") from None
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        raise Unfit("not_a_phone")
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def _email(_: Field, value: object) -> str:
    """Check an address by its syntax alone: asking DNS would tell others whom the vault is about to store."""
    if not isinstance(value, str) or len(value) > _LONGEST_EMAIL:
        raise Unfit("not_an_email")
    local, _at, domain = value.strip().rpartition("@")
    # The plain form of nearly every address: only its domain, seen before with many others, needs the full parser.
    if (
        len(local) <= _LONGEST_LOCAL
        and len(domain) <= _LONGEST_PLAIN_DOMAIN
        and _DOT_ATOM.fullmatch(local)
        and local.lower() not in _CASELESS
    ):
        return f"{local}@{_email_domain(domain)}"
    return _parse_email(value.strip())


@lru_cache(4_096)
def _email_domain(domain: str) -> str:
    """Return a domain in canonical form, as the parser gives it for any local part."""
    return _parse_email(f"x@{domain}")[2:]


def _parse_email(address: str) -> str:
    try:
        return validate_email(address, check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        raise Unfit("not_an_email") from None


def _currency(_: Field, value: object) -> str:
    if not isinstance(value, str) or value.upper() not in _currencies():
        raise Unfit("not_a_currency")
    return value.upper()


def _language(_: Field, value: object) -> str:
    """Check a language tag: ISO 639 language, optional ISO 15924 script and country, as `zh-Hant-TW`."""
    matched = _LANGUAGE.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise Unfit("not_a_language")
    language, script, region = matched.groups()
    if language.lower() not in _languages():
        raise Unfit("not_a_language")
    parts = [language.lower()]
    if script is not None:
        parts.append(script_code(script))
    if region is not None:
        parts.append(country(region))
    return "-".join(parts)


def script_code(value: object) -> str:
    """Check an ISO 15924 script code, e.g. `Hans`, `Arab`."""
    if not isinstance(value, str) or value.capitalize() not in _scripts():
        raise Unfit("not_a_script")
    return value.capitalize()


def _measurement(field: Field, value: object) -> JsonValue:
    """Check `{"value": "52", "system": "eu"}`; the systems are the field's choices."""
    members = record(value, {"value", "system"}, ("value", "system"))
    size = members["value"]
    if isinstance(size, int) and not isinstance(size, bool):
        size = str(size)
    if not isinstance(size, str) or not _SIZE.fullmatch(size):
        raise Unfit("not_a_size")
    if size[0].isdigit() and "." in size:
        size = size.rstrip("0").rstrip(".")
    return {"value": size.replace("1/2", "½"), "system": choice(members["system"], field.choices)}


def _handle(_: Field, value: object) -> str:
    clean = line(value, 65)
    if not _HANDLE.fullmatch(clean):
        raise Unfit("not_a_handle")
    return clean.removeprefix("@")


@lru_cache(1)
def _countries() -> frozenset[str]:
    return frozenset(each.alpha_2 for each in pycountry.countries)


@lru_cache(1)
def _currencies() -> frozenset[str]:
    return frozenset(each.alpha_3 for each in pycountry.currencies)


@lru_cache(1)
def _languages() -> frozenset[str]:
    both = {each.alpha_3 for each in pycountry.languages}
    return frozenset(both | {each.alpha_2 for each in pycountry.languages if hasattr(each, "alpha_2")})


@lru_cache(1)
def _scripts() -> frozenset[str]:
    return frozenset(each.alpha_4 for each in pycountry.scripts)


SCALARS: Mapping[str, Check] = {
    "line": lambda _, value: line(value),
    "text": lambda _, value: text(value),
    "code": lambda _, value: code(value),
    "boolean": _boolean,
    "integer": _integer,
    "date": lambda _, value: date(value),
    "choice": lambda field, value: choice(value, field.choices),
    "country": lambda _, value: country(value),
    "currency": _currency,
    "language": _language,
    "phone": _phone,
    "email": _email,
    "money": lambda _, value: money(value),
    "measurement": _measurement,
    "handle": _handle,
}
