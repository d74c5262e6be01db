"""A field value as it lies inside its envelope: what is known, who said so, since when, and how long it holds.

Provenance is sealed with the value, because "recorded by the events desk on the night of the auction" is itself
personal data. Layout: `format(1) | flags(1) | recorded_at(5) | source length(1) | source | dates(3 each) | JSON`.
The head is binary and small so that most values stay in the 32-byte padding bucket.
"""

import datetime as dt
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias, cast

import orjson

from vault.errors import IntegrityFailure

JsonValue: TypeAlias = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None

FORMAT: Final = 1
MAX_SOURCE: Final = 64  # bytes of UTF-8

_HAS_FROM = 1
_HAS_UNTIL = 2
_HEAD = 8  # format, flags, recorded_at, source length
_DATE = 3  # proleptic Gregorian ordinal; 9999-12-31 is 3652059 < 2^24
_MAX_TIME = (1 << 40) - 1  # seconds; the year 36812
_JSON = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_tuple = tuple.__new__  # what a named tuple's own constructor calls in the end, in a third of the time


class Dated(NamedTuple):
    """A canonical value and the days it holds, both ends inclusive; None leaves an end open."""

    value: JsonValue
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None

    def __repr__(self) -> str:
        return "Dated(…)"


class FieldValue(NamedTuple):
    """One recorded value. `source`: the system's id. `recorded_at`: UTC seconds. `valid_*`: inclusive days, or open.

    A tuple, because one is made per value written or disclosed.
    """

    value: JsonValue
    source: str
    recorded_at: int
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None

    def __repr__(self) -> str:
        return "FieldValue(…)"  # personal data never shows in a repr


def encode(value: FieldValue) -> bytes:
    """Encode for sealing. Equal values give equal bytes. Raises ValueError, which never quotes the value."""
    given, source, recorded_at, valid_from, valid_until = value
    try:
        body = orjson.dumps(given, option=_JSON)
    except TypeError:
        raise ValueError("not a JSON value") from None
    if b"null" in body and orjson.loads(body) != given:  # orjson writes a number that is not finite as null
        raise ValueError("not a JSON value")
    flags = 0
    dates = b""
    if valid_from is not None:
        flags |= _HAS_FROM
        dates += valid_from.toordinal().to_bytes(_DATE, "big")
    if valid_until is not None:
        flags |= _HAS_UNTIL
        dates += valid_until.toordinal().to_bytes(_DATE, "big")
    return _head(flags, recorded_at, source) + dates + body


@lru_cache(maxsize=64)
def _head(flags: int, recorded_at: int, source: str) -> bytes:
    """Encode all up to the dates: alike for nearly all values of an import."""
    name = source.encode()
    if len(name) > MAX_SOURCE or not 0 <= recorded_at <= _MAX_TIME:
        raise ValueError("source or time of record is out of range")
    return bytes((FORMAT, flags)) + recorded_at.to_bytes(5, "big") + bytes((len(name),)) + name


def decode(encoded: bytes) -> FieldValue:
    """Decode what `encode` made. Anything else raises IntegrityFailure: these bytes came out of an envelope."""
    if len(encoded) <= _HEAD or encoded[0] != FORMAT or encoded[1] & ~(_HAS_FROM | _HAS_UNTIL):
        raise IntegrityFailure(IntegrityFailure.code)
    flags = encoded[1]
    at = _HEAD + encoded[7]
    valid_from = valid_until = None
    try:
        source = encoded[_HEAD:at].decode()
        if flags & _HAS_FROM:
            valid_from = dt.date.fromordinal(int.from_bytes(encoded[at : at + _DATE], "big"))
            at += _DATE
        if flags & _HAS_UNTIL:
            valid_until = dt.date.fromordinal(int.from_bytes(encoded[at : at + _DATE], "big"))
            at += _DATE
        body = cast("JsonValue", orjson.loads(encoded[at:]))
    except ValueError:  # also UnicodeDecodeError and orjson's own
        raise IntegrityFailure(IntegrityFailure.code) from None
    return _tuple(FieldValue, (body, source, int.from_bytes(encoded[2:7], "big"), valid_from, valid_until))
