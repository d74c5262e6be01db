"""What a filter in a page's address says: days and words, checked; never anything about a person."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

from api.problems import Problem

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def word(query: Mapping[str, str], name: str) -> str:
    """Return a word of the log's alphabet, or nothing. Raises `Problem` for anything else."""
    found = query.get(name, "").strip()
    if found and not _WORD.fullmatch(found):
        raise Problem("bad_request")
    return found


def day(query: Mapping[str, str], name: str, *, after: bool = False) -> int | None:
    """Return the beginning of a day in UTC seconds, or of the one after it; None where none is named."""
    found = query.get(name, "").strip()
    if not found:
        return None
    try:
        parsed = date.fromisoformat(found) + timedelta(days=1 if after else 0)
        return int(datetime.combine(parsed, time(), UTC).timestamp())
    except (ValueError, OverflowError):
        raise Problem("bad_request") from None


def day_of(at: int) -> str:
    """Write the day of a time (UTC seconds) as a filter does."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def number(query: Mapping[str, str], name: str) -> int | None:
    """Return a whole number, or None. Raises `Problem`."""
    found = query.get(name, "").strip()
    if not found:
        return None
    if not (found.isascii() and found.isdigit() and len(found) < 16):  # noqa: PLR2004 - an index of the log
        raise Problem("bad_request")
    return int(found)


def link(path: str, query: Mapping[str, str | int | None]) -> str:
    """Return a page's address with the filter that is set in it: what an officer hands on to another."""
    kept = {name: str(value) for name, value in query.items() if value not in {None, ""}}
    return f"{path}?{urlencode(kept)}" if kept else path
