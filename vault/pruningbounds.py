"""Which entries of the log may be pruned: those older than the policy's rule, unless somebody still needs them.

Each reason not to prune is a bound: nothing from that entry on may go. What a matter needs that is open (a hold, a request, an
emergency's review) is what the log could tell on the day it began: entries reach as far back from there as the rule says.
"""

import calendar
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, func, select

from audit import ledger, pruning, published, witnessed
from audit.entry import decode
from audit.reports.lines import first_since, told
from audit.tiles import TILE_WIDTH
from vault.errors import Conflict, RestoreUnfinished
from vault.recovery import restores
from vault.store.tables import metadata
from vault.unit import Vault

EXPORTED: Final = 100_000  # entries of one evidence bundle: whoever checks it reads it into memory
_PIECE: Final = 4096
_HOLD: Final = metadata.tables["hold"]
_REQUEST: Final = metadata.tables["subject_request"]
_CASE: Final = metadata.tables["break_glass_case"]
_ERASURE: Final = metadata.tables["erasure"]
_OLDEST_HOLD: Final = select(func.min(_HOLD.c.placed_at)).where(_HOLD.c.released_at.is_(None))
_OLDEST_REQUEST: Final = select(func.min(_REQUEST.c.received_at)).where(_REQUEST.c.closed_at.is_(None))
_OLDEST_CASE: Final = select(func.min(_CASE.c.asked_at)).where(_CASE.c.state.in_(("asked", "approved")))
_UNCERTIFIED: Final = select(_ERASURE.c.entry_id).where(
    _ERASURE.c.entry_id.is_not(None), _ERASURE.c.certificate.is_(None)
)


class Need(StrEnum):
    """Who needs an entry, and all behind it."""

    RETENTION = "retention"  # the policy's own rule
    SIGNED = "signed"  # no checkpoint covers it yet
    WITNESSED = "witnessed"  # no quorum of witnesses has seen it yet
    HOLD = "hold"
    REQUEST = "request"
    BREAK_GLASS = "break_glass"
    ERASURE = "erasure"  # one whose certificate is not made yet
    MONITORING = "monitoring"  # not told to a monitoring system yet
    RECONCILIATION = "reconciliation"  # not held against the key holder's count yet


class Bound(NamedTuple):
    """Nothing from entry `first` on may go."""

    need: Need
    first: int


@dataclass(frozen=True, slots=True)
class Outside:
    """What only the caller knows: whether witnesses are asked, how far monitoring was told, up to when was reconciled.

    `told` are indexes; `reconciled` is a time as the log writes it, None where there is no key holder to reconcile with.
    """

    witnessed: bool = False
    told: tuple[int, ...] = ()
    reconciled: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be pruned: entries from `kept`, where the log begins now, to before `first`; nothing if they are equal.

    `policy` is the hash of the bundle whose rule says `months`.
    """

    shard: int
    kept: int
    first: int
    months: int
    policy: str
    bounds: tuple[Bound, ...]


class Period(NamedTuple):
    """A period to export, as the log writes times: `since` <= t < `until`."""

    since: str
    until: str


def plan(vault: Vault, outside: Outside, shard: int = 0) -> Plan:
    """Say what may go now. Raises `Conflict` where the policy in force has no rule, `RestoreUnfinished`."""
    now = vault.clock.now()
    rule = vault.bundle.law.log_rule(dt.datetime.fromtimestamp(now, dt.UTC).date())
    if rule is None:
        raise Conflict("the policy in force keeps the log for ever: it has no [[log]] in law.toml")
    with vault.reading() as conn:
        if restores.unfinished(conn):
            raise RestoreUnfinished(restores.NOT_READY)
        bounds = tuple(_bounds(conn, shard, now, rule.months, outside))
        kept = pruning.kept_from(conn, shard)
        first = min(each.first for each in bounds) // TILE_WIDTH * TILE_WIDTH
    return Plan(shard, kept, max(kept, first), rule.months, vault.bundle.hash.hex(), bounds)


def exports(vault: Vault, plan: Plan) -> list[Period]:
    """Give the periods whose evidence bundles hold, together, what a plan takes away."""
    found = []
    with vault.reading() as conn:
        for start in range(plan.kept, plan.first, EXPORTED):
            end = min(start + EXPORTED, plan.first)
            times = [_time(conn, plan.shard, at) for at in (start, end - 1)]
            found.append(Period(times[0], told(_second(times[1]) + 1)))
    return found


def months_before(at: int, months: int) -> int:
    """Return the time so many calendar months before another (UTC seconds); the last day of a shorter month."""
    then = dt.datetime.fromtimestamp(at, dt.UTC)
    year, month = divmod(then.year * 12 + then.month - 1 - months, 12)
    day = min(then.day, calendar.monthrange(year, month + 1)[1])
    return int(then.replace(year=year, month=month + 1, day=day).timestamp())


def _bounds(conn: Connection, shard: int, now: int, months: int, outside: Outside) -> Iterator[Bound]:
    size = ledger.head(conn, shard).size

    def back(need: Need, at: int) -> Bound:
        return Bound(need, first_since(conn, shard, months_before(at, months), size))

    retained = back(Need.RETENTION, now)
    yield Bound(Need.RETENTION, _all_older(conn, shard, retained.first, months_before(now, months)))
    yield Bound(Need.SIGNED, published.signed_size(conn, shard))
    if outside.witnessed:
        cosigned = witnessed.newest(conn, shard)
        yield Bound(Need.WITNESSED, 0 if cosigned is None else cosigned.size)
    oldest: tuple[tuple[Need, Select[Any]], ...] = (
        (Need.HOLD, _OLDEST_HOLD), (Need.REQUEST, _OLDEST_REQUEST), (Need.BREAK_GLASS, _OLDEST_CASE),
    )  # fmt: skip
    for need, query in oldest:
        at = conn.scalar(query)
        if at is not None:
            yield back(need, at)
    places = [ledger.index_of(conn, shard, bytes(each)) for each in conn.scalars(_UNCERTIFIED)]
    for place in sorted(each for each in places if each is not None)[:1]:
        yield Bound(Need.ERASURE, place)
    for place in sorted(outside.told)[:1]:
        yield Bound(Need.MONITORING, place)
    if outside.reconciled is not None:
        until = _second(outside.reconciled) if outside.reconciled else 0
        yield Bound(Need.RECONCILIATION, first_since(conn, shard, until, size))


def _all_older(conn: Connection, shard: int, end: int, cutoff: int) -> int:
    """Return `end`, or the first entry before it that is not older: clocks step back, and a search by halves sees few."""
    begin, limit = pruning.kept_from(conn, shard), told(cutoff)
    for start in range(begin, end, _PIECE):
        for record in ledger.read(conn, shard, start, min(_PIECE, end - start)):
            if decode(record.body)["t"] >= limit:
                return record.idx
    return end


def _time(conn: Connection, shard: int, index: int) -> str:
    (record,) = ledger.read(conn, shard, index, 1)
    return str(decode(record.body)["t"])


def _second(at: str) -> int:
    return int(dt.datetime.fromisoformat(at).timestamp())
