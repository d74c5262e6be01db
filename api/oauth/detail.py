"""What a disclosure token carries beside its subjects, as it is stored: written at issue, read at each redemption.

It allows nothing by itself: redemption decides again, within it. The reason given is not in it, and of the member of
staff only a keyed hash, so that decisions know that there is one and budgets which.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

import orjson

from policies.model import Level, Wanted
from vault.errors import IntegrityFailure


@dataclass(frozen=True, slots=True)
class TokenDetail:
    """What a token allows: the granted fields.

    `staff` is empty where nobody was named; `known_on` is the day as known on which it answers; `raw` tells whether any
    value is opened as it is.
    """

    wanted: tuple[Wanted, ...]
    staff: str = field(repr=False)
    known_on: date | None
    raw: bool


def write(fields: Sequence[dict[str, str]], max_uses: int, staff: str, known_on: date | None) -> str:
    """Shape the detail of a token for its row. `fields` as `api.oauth.grants.GrantedEntry.stored` gives them."""
    detail = {"fields": fields, "max_uses": max_uses, "staff": staff, **day_asked(known_on)}
    return orjson.dumps(detail).decode()


def day_asked(known_on: date | None) -> dict[str, str]:
    """Shape the day as the entry of a request and its answer write it; nothing for today's."""
    return {} if known_on is None else {"as_known_on": known_on.isoformat()}


@lru_cache(maxsize=1024)
def read(text: str) -> TokenDetail:
    """Read a stored detail. Cached: callers redeem the same few shapes over and over.

    Raises `IntegrityFailure` for what `write` did not write.
    """
    try:
        stored = orjson.loads(text)
        wanted = tuple([Wanted(f["name"], Level(f["level"]), f.get("predicate", "")) for f in stored["fields"]])
        day = stored.get("as_known_on")
        known_on = None if day is None else date.fromisoformat(day)
        return TokenDetail(wanted, str(stored["staff"]), known_on, any(want.level is Level.RAW for want in wanted))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IntegrityFailure from None


def opens_raw(text: str) -> bool:
    """Tell whether a token opens any value raw: a proof made beforehand must then not be enough (RFC 9449 §9)."""
    try:
        return read(text).raw
    except IntegrityFailure:
        return False  # told when it is read for the decision
