"""Events that brands' systems must hear of: queued in the unit of work of the act, told until acknowledged (GDPR Art. 19).

A system hears of its own brand's references only, and of a reference, a purpose or a name of the catalogue; never of a
value. Rows are sealed: a dump says that a system was to be told something, not of whom. Once it has acknowledged, what was
told is dropped and the row stays, as the ledger of who was told what kind of thing when.

Nothing is ever given up: an event that nobody takes is tried again, ever more rarely, and stays on the list of those who
have not acknowledged. A row being told is out of reach of other processes for `LEASE_SECONDS`; a process that dies in the
middle leaves it to the next one, so a system may be told twice, under the same id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, delete, select, update
from sqlmodel import col

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import references, signers, systems
from vault.errors import UnknownSystem
from vault.signers import SignedAs
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import EventEndpoint, OutgoingEvent, System
from vault.unit import UnitOfWork, Vault

LEASE_SECONDS: Final = 120
FIRST_PAUSE: Final = 10  # seconds before the second attempt; doubles
LONGEST_PAUSE: Final = 6 * 3600
LONGEST_URL: Final = 512

_ID: Final = 16
_LABEL: Final = "event/outbox"
_EVENT: Final = OutgoingEvent.__table__  # type: ignore[attr-defined]
_ENDPOINT: Final = EventEndpoint.__table__  # type: ignore[attr-defined]
_HEARERS: Final = (
    select(_ENDPOINT.c.system_id, col(System.brand))
    .join(System, col(System.id) == _ENDPOINT.c.system_id)
    .where(col(System.brand).in_(bindparam("brands", expanding=True)))
)


class EventKind(StrEnum):
    """What happened."""

    WITHDRAWN = "consent-withdrawn"  # or objected to; `purpose` names what for
    RECTIFIED = "rectified"  # values that were wrong were replaced; `version` is the subject's new one
    ROTATED = "reference-rotated"  # `successor` is the reference from now on; `until`: the old one resolves till then
    RESTRICTED = "restricted"  # processing is restricted from now on; why is nobody's business here
    UNRESTRICTED = "restriction-lifted"  # no restriction stands any more
    CONTESTED = "contested"  # the person says that values of `fields` are wrong: out of use until it is decided
    CONTEST_ENDED = "contest-ended"  # it is decided about `fields`; what was wrong comes as `rectified` besides
    ERASED = "erased"  # of the person, or of the `category` or `field` named; denied from now on


class EventState(StrEnum):
    """Whether the system has acknowledged."""

    PENDING = "pending"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of one brand's reference. `detail` holds words and numbers of ours, no value."""

    brand: str
    reference: str = field(repr=False)
    kind: EventKind
    detail: dict[str, str | int] = field(repr=False)
    cause: bytes | None = None  # the erasure it tells of


@dataclass(frozen=True, slots=True)
class Due:
    """An event to tell now: under which id, to whom and where, and of which reference."""

    id: bytes
    system_id: str
    url: str
    kind: EventKind
    reference: str = field(repr=False)
    detail: dict[str, str | int] = field(repr=False)
    happened_at: int


@dataclass(frozen=True, slots=True)
class Told:
    """How telling went: `problem` is empty when the system acknowledged, else a short code."""

    due: Due
    problem: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One line of the ledger."""

    id: str
    system_id: str
    kind: EventKind
    state: EventState
    happened_at: int
    attempts: int
    problem: str
    acknowledged_at: int | None


def listen(uow: UnitOfWork, system_id: str, url: str, by: Actor) -> None:
    """Have a system told of events at `url` from now on, or at no place for an empty one; record `system.changed`.

    Raises `UnknownSystem`. What kind of address is admissible the caller decides.
    """
    if systems.get(uow.conn, system_id) is None:
        raise UnknownSystem
    uow.conn.execute(delete(_ENDPOINT).where(_ENDPOINT.c.system_id == system_id))
    if url:
        signers.opened(uow, SignedAs.EVENT)  # whoever is told can then fetch the key before the first event
        insert_rows(uow.conn, _ENDPOINT, [{"system_id": system_id, "url": url, "created_at": uow.now}])
    uow.record(Entry(Act.SYSTEM_CHANGED, Outcome.ALLOW, by, pol=(f"system:{system_id}", "change:event_endpoint")))


def queue(uow: UnitOfWork, happened: Sequence[Happened]) -> None:
    """Queue events for every system of their brand that listens, in this unit of work."""
    if not happened:
        return
    hearers: dict[str, list[str]] = {}
    for system_id, brand in uow.conn.execute(_HEARERS, {"brands": padded(sorted({each.brand for each in happened}))}):
        hearers.setdefault(brand, []).append(system_id)
    told = [(each, system_id) for each in happened for system_id in hearers.get(each.brand, ())]
    if not told:
        return
    # Why safe: random ids that also make each sealed row's context its own; AES-SIV needs no nonce.
    gulp = uow.vault.entropy.bytes(_ID * len(told))
    ids = [gulp[start : start + _ID] for start in range(0, len(gulp), _ID)]
    texts = [orjson.dumps([each.reference, each.detail]) for each, _ in told]
    sealed = uow.vault.keys.seal(_LABEL, list(zip(ids, texts, strict=True)))
    rows = [
        {
            "id": identifier,
            "shard": uow.shard,
            "system_id": system_id,
            "kind": each.kind.value,
            "payload": payload,
            "state": EventState.PENDING.value,
            "created_at": uow.now,
            "next_at": uow.now,
            "attempts": 0,
            "problem": "",
            "acknowledged_at": None,
            "cause": each.cause,
        }
        for (each, system_id), identifier, payload in zip(told, ids, sealed, strict=True)
    ]
    insert_rows(uow.conn, _EVENT, rows)


def queue_erased(uow: UnitOfWork, erased: Iterable[tuple[bytes, dict[str, str | int], bytes]]) -> None:
    """Queue the erasure of subjects, or of what `detail` names of them, for each brand that knows them; and its id."""
    _queue_for_all(uow, EventKind.ERASED, list(erased))


def queue_for_all(uow: UnitOfWork, kind: EventKind, happened: Iterable[tuple[bytes, dict[str, str | int]]]) -> None:
    """Queue what happened to subjects, with its detail, for each brand that knows them, by that brand's own reference."""
    _queue_for_all(uow, kind, [(subject, detail, None) for subject, detail in happened])


def _queue_for_all(
    uow: UnitOfWork, kind: EventKind, happened: Sequence[tuple[bytes, dict[str, str | int], bytes | None]]
) -> None:
    held = references.all_of(uow, [subject for subject, _, _ in happened])
    queue(
        uow,
        [
            Happened(brand, reference, kind, detail, cause)
            for subject, detail, cause in happened
            for brand, reference in held.get(subject, ())
        ],
    )


def claim(vault: Vault, most: int) -> list[Due]:
    """Take what is due, for `LEASE_SECONDS`. Rows whose system no longer listens wait as they are."""
    due = (
        select(_EVENT, _ENDPOINT.c.url)
        .join(_ENDPOINT, _ENDPOINT.c.system_id == _EVENT.c.system_id)
        .where(_EVENT.c.state == EventState.PENDING.value, _EVENT.c.next_at <= bindparam("now"))
        .order_by(_EVENT.c.created_at, _EVENT.c.id)
        .limit(most)
    )
    with vault.reading() as conn:  # nearly always nothing: no writer is held up to find that out
        if conn.execute(due, {"now": vault.clock.now()}).first() is None:
            return []
    with vault.unit() as uow:
        rows = uow.conn.execute(due.with_for_update(of=_EVENT, skip_locked=True), {"now": uow.now}).all()
        ids = [row.id for row in rows]
        leased = {"next_at": uow.now + LEASE_SECONDS, "attempts": _EVENT.c.attempts + 1}
        uow.conn.execute(update(_EVENT).where(_EVENT.c.id.in_(ids)).values(**leased))
        uow.commit()
    opened = vault.keys.open(_LABEL, [(row.id, row.payload) for row in rows])
    found = []
    for row, text in zip(rows, opened, strict=True):
        if text is not None:  # one that does not open is altered: it is told to nobody, and stays on the list
            reference, detail = orjson.loads(text)
            found.append(Due(row.id, row.system_id, row.url, EventKind(row.kind), reference, detail, row.created_at))
    return found


def settle(vault: Vault, outcomes: Sequence[Told]) -> None:
    """Note how telling went: acknowledged ones are done and recorded, the others come again after a pause."""
    if not outcomes:
        return
    with vault.unit() as uow:
        wanted = select(_EVENT.c.id, _EVENT.c.attempts).where(_EVENT.c.id.in_([each.due.id for each in outcomes]))
        attempts: dict[bytes, int] = {row.id: row.attempts for row in uow.conn.execute(wanted)}
        for each in outcomes:
            row = update(_EVENT).where(_EVENT.c.id == each.due.id, _EVENT.c.state == EventState.PENDING.value)
            if each.problem:
                pause = min(FIRST_PAUSE << min(attempts.get(each.due.id, 1) - 1, 20), LONGEST_PAUSE)
                uow.conn.execute(row.values(next_at=uow.now + pause, problem=each.problem))
                continue
            done = {"state": EventState.ACKNOWLEDGED.value, "acknowledged_at": uow.now, "payload": b"", "problem": ""}
            if uow.conn.execute(row.values(**done)).rowcount:
                why = (f"event:{each.due.kind}", f"event:{each.due.id.hex()}")
                actor = Actor(ActorKind.SYSTEM, each.due.system_id)
                uow.record(Entry(Act.EVENT_ACKNOWLEDGED, Outcome.ALLOW, actor, pol=why))
        uow.commit()


def ledger(conn: Connection, *, done: bool) -> list[Standing]:
    """Return who has not acknowledged what, oldest first; with `done` everybody who was ever told."""
    rows = select(_EVENT).order_by(_EVENT.c.created_at, _EVENT.c.id)
    rows = rows if done else rows.where(_EVENT.c.state == EventState.PENDING.value)
    return [_standing(dict(row)) for row in conn.execute(rows).mappings()]


def notices(conn: Connection, cause: bytes) -> list[Standing]:
    """Return who was told of an erasure, and whether they have acknowledged (GDPR Art. 19)."""
    rows = select(_EVENT).where(_EVENT.c.cause == cause).order_by(_EVENT.c.created_at, _EVENT.c.id)
    return [_standing(dict(row)) for row in conn.execute(rows).mappings()]


def endpoints(conn: Connection) -> list[tuple[str, str]]:
    """Return which systems listen, and where."""
    rows = select(_ENDPOINT.c.system_id, _ENDPOINT.c.url).order_by(_ENDPOINT.c.system_id)
    return [(system_id, url) for system_id, url in conn.execute(rows)]


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(
        row["id"].hex(),
        row["system_id"],
        EventKind(row["kind"]),
        EventState(row["state"]),
        row["created_at"],
        row["attempts"],
        row["problem"],
        row["acknowledged_at"],
    )
