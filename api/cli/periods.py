"""Periods as a command line writes them: days and moments in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from api.cli.output import Exit, fail

DAY: Final = 86_400

Since = Annotated[str, typer.Option("--from", help="First day or moment, ISO 8601, UTC. Default: the usual period.")]
Until = Annotated[str, typer.Option("--to", help="Last day, or the moment it ends. Default: now.")]


def period(now: int, since: str, until: str, days: int) -> tuple[int, int]:
    """Return begin and end in UTC seconds; what is left out is `days` up to now, this second included."""
    end = min(_moment(until, ends=True), now + 1) if until else now + 1
    begin = _moment(since, ends=False) if since else max(0, end - days * DAY)
    if begin > end:
        raise fail("the period ends before it begins", Exit.USAGE)
    return begin, end


def _moment(text: str, *, ends: bool) -> int:
    """Read a day or a moment; a day that ends a period is in it."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise fail("write moments as 2026-11-24 or 2026-11-24T09:30:00Z", Exit.USAGE) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    if ends and len(text) == len("2026-11-24"):
        found += timedelta(days=1)
    return max(0, int(found.timestamp()))
