"""Statistics of the register: how many requests of which right, how they ended, how long they took, how many were late."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_high
from typing import Final

from sqlalchemy import Connection

from policies.rights import Right, Rights
from vault.requests.records import PAGE, Outcome, Request, Wanted, listed
from vault.requests.states import State

_DAY: Final = 86_400
_FIRST: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests of one right at one brand. Days are whole, from receipt to the answer; None where none was answered.

    `late`: answered after their day, or waiting beyond it. An erasure is answered when it is carried out, and not when the
    last backup is gone.
    """

    brand: str
    right: Right
    received: int
    open: int
    outcomes: dict[str, int]
    grounds: dict[str, int]
    extended: int
    late: int
    median_days: int | None
    longest_days: int | None


def counted(conn: Connection, rights: Rights, now: int, since: int, until: int) -> list[Counted]:
    """Count requests received from `since` to before `until` (UTC seconds), by brand and right."""
    groups: dict[tuple[str, Right], list[Request]] = {}
    for each in _all(conn, since, until):
        groups.setdefault((each.brand, each.right), []).append(each)
    return [_counted(brand, right, found, rights, now) for (brand, right), found in sorted(groups.items())]


def _all(conn: Connection, since: int, until: int) -> Iterable[Request]:
    after = _FIRST
    while page := listed(conn, Wanted(received_from=since, received_until=until, after=after)):
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].id


def _counted(brand: str, right: Right, found: list[Request], rights: Rights, now: int) -> Counted:
    own = [each for each in found if each.state is not State.DUPLICATE]
    days = [(each.answered_at - each.clock.received_at) // _DAY for each in own if each.answered_at is not None]
    return Counted(
        brand,
        right,
        len(found),
        sum(each.is_open for each in found),
        _tally(each.outcome.value for each in found if each.outcome is not Outcome.OPEN),
        _tally(each.ground.value for each in found if each.ground is not None),
        sum(each.clock.extended for each in found),
        sum(each.is_late(rights, now) for each in own),
        median_high(days) if days else None,
        max(days, default=None),
    )


def _tally(values: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in values:
        found[each] = found.get(each, 0) + 1
    return dict(sorted(found.items()))
