"""Requests as stored: the register's row, the steps behind it, and what of either may be shown. No personal data in any.

A row outlives its subject: an erasure takes the subject's id and the content off it and leaves what an authority may ask
for, which right was exercised when, by whom it was handled and how it ended.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, case, func, select, tuple_

from policies.deadlines import Clock, Deadline, day_of, due_at
from policies.rights import Assurance, Right, Rights
from vault.errors import UnknownRequest
from vault.governance import signatures
from vault.governance.proposals import digest
from vault.governance.signatures import Matter, Thing
from vault.officers import Role
from vault.requests.states import OVER, Move, State
from vault.store.tables import metadata

ID_BYTES: Final = 16
PAGE: Final = 500

REQUESTS: Final = Matter("request", dict.fromkeys(Move, frozenset({Role.COMPLIANCE, Role.APPROVER})))
"""Every step of a request that is an officer's, and reading what the person wrote (`view`)."""

_REQUEST: Final = metadata.tables["subject_request"]
_STEP: Final = metadata.tables["request_step"]
_ANSWERED: Final = case((_REQUEST.c.answered_at.is_not(None), 1), else_=0)


class Source(StrEnum):
    """Where a request came in."""

    BRAND = "brand"
    PORTAL = "portal"
    OFFICER = "officer"


class Requester(StrEnum):
    """Who asks."""

    SELF = "self"
    AGENT = "agent"  # with a mandate
    GUARDIAN = "guardian"  # of a minor, linked at the brand


class Outcome(StrEnum):
    """How a request ended, or will."""

    OPEN = ""
    GRANTED = "granted"
    PARTIALLY_GRANTED = "partially_granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    DUPLICATE = "duplicate"
    UNVERIFIED = "unverified"


class Ground(StrEnum):
    """Why a request is refused, wholly or in part. The first seven are the reasons of the Data Rights Protocol."""

    SUSPECTED_FRAUD = "suspected_fraud"
    INSUF_VERIFICATION = "insuf_verification"
    NO_MATCH = "no_match"
    CLAIM_NOT_COVERED = "claim_not_covered"
    OUTSIDE_JURISDICTION = "outside_jurisdiction"
    TOO_MANY_REQUESTS = "too_many_requests"
    OTHER = "other"
    UNFOUNDED = "unfounded"  # manifestly: Art. 12(5), and the controller proves it
    LEGAL_OBLIGATION = "legal_obligation"  # Art. 17(3)(b)
    LEGAL_CLAIMS = "legal_claims"  # Art. 17(3)(e), 18(2), 21(1)
    PUBLIC_HEALTH = "public_health"  # Art. 17(3)(c)
    ARCHIVES = "archives"  # Art. 17(3)(d)
    EXPRESSION = "expression"  # Art. 17(3)(a)
    RIGHTS_OF_OTHERS = "rights_of_others"  # Art. 15(4), 20(4)
    COMPELLING_GROUNDS = "compelling_grounds"  # Art. 21(1)


_DRP: Final[Mapping[Ground, Ground]] = MappingProxyType(
    {
        Ground.UNFOUNDED: Ground.OTHER,
        Ground.COMPELLING_GROUNDS: Ground.OTHER,
        Ground.RIGHTS_OF_OTHERS: Ground.OTHER,
    }
)
_OWN: Final = frozenset(list(Ground)[:7])


def protocol_reason(ground: Ground) -> str:
    """Return the Data Rights Protocol's reason for a ground: an exception of the law is a claim not covered."""
    return (ground if ground in _OWN else _DRP.get(ground, Ground.CLAIM_NOT_COVERED)).value


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the register holds it. Times in UTC seconds. `subject` is None once that person was erased.

    `answered_at`: when the person first had the answer; what is left to do after it is owed to nobody by a day.
    """

    id: bytes
    subject: bytes | None = field(repr=False)
    brand: str
    right: Right
    jurisdiction: str
    names: tuple[str, ...]
    source: Source
    received_by: str
    requester: Requester
    mandate_hash: bytes | None
    language: str
    assurance: Assurance
    state: State
    held_from: str
    outcome: Outcome
    ground: Ground | None
    kept: tuple[str, ...]
    clock: Clock
    due_at: int
    answered_at: int | None
    closed_at: int | None
    duplicate_of: bytes | None
    erasures: tuple[bytes, ...]
    version: int
    has_content: bool

    @property
    def name(self) -> str:
        """Return the id as people, answers and the log write it."""
        return self.id.hex()

    @property
    def place(self) -> tuple[int, int, bytes]:
        """Return where it stands in the register's order: what is answered last, else by when it is due."""
        return int(self.answered_at is not None), self.due_at, self.id

    @property
    def is_open(self) -> bool:
        """Whether anything is still owed."""
        return self.state not in OVER

    @property
    def is_owed(self) -> bool:
        """Whether the person still waits for the answer: what a deadline is of."""
        return self.answered_at is None and self.is_open

    def is_late(self, rights: Rights, now: int) -> bool:
        """Whether the answer came, or still has not come, after it was due."""
        end = self.answered_at or self.closed_at or now
        return end >= self.due(rights, now)

    def rule(self, rights: Rights) -> Deadline:
        """Return the rule that its clock runs by: the one in force on the day of receipt."""
        return rule_at(rights, self.right, self.jurisdiction, self.clock.received_at)

    def due(self, rights: Rights, now: int) -> int:
        """Return when it is due, a pause under way counted in."""
        return due_at(self.rule(rights), self.clock, now) if self.clock.paused_at is not None else self.due_at

    def received_on(self, rights: Rights) -> date:
        """Return the day of receipt where its law is counted."""
        return day_of(self.rule(rights), self.clock.received_at)

    def last_day(self, rights: Rights, now: int) -> date:
        """Return the last day on which the answer is in time, where its law is counted: `due` is the midnight after it."""
        return day_of(self.rule(rights), self.due(rights, now) - 1)


@dataclass(frozen=True, slots=True)
class Step:
    """One step, as the register holds it. `signed`: an officer's key vouches for it, and not a session."""

    number: int
    move: Move
    state: State
    actor_kind: str
    actor_id: str
    said: tuple[str, ...]
    signed: bool
    at: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of the register. None and empty mean all."""

    brand: str | None = None
    subject: bytes | None = field(default=None, repr=False)
    rights: Collection[Right] = ()
    states: Collection[State] = ()
    open_only: bool = False
    owed_only: bool = False  # whose person still waits for the answer
    received_from: int | None = None
    received_until: int | None = None  # exclusive
    due_before: int | None = None
    after: bytes = b""  # the id of the last row of the page before; rows then come in the order of their ids
    beyond: tuple[int, int, bytes] | None = None  # the last row of the page before, as `place` has it; the order stays
    most: int = PAGE


def rule_at(rights: Rights, right: Right, jurisdiction: str, received_at: int) -> Deadline:
    """Return the rule in force when a request came in."""
    return rights.deadline(right, jurisdiction, datetime.fromtimestamp(received_at, UTC).date())


def get(conn: Connection, request_id: bytes, brand: str | None = None) -> Request:
    """Return one request, of one brand if named. Raises `UnknownRequest`."""
    wanted = select(_REQUEST).where(_REQUEST.c.id == request_id)
    row = conn.execute(wanted if brand is None else wanted.where(_REQUEST.c.brand == brand)).one_or_none()
    if row is None:
        raise UnknownRequest
    return read(row)


def identifier(name: str) -> bytes:
    """Read the id of a request as written. Raises `UnknownRequest`."""
    try:
        found = bytes.fromhex(name)
    except ValueError:
        found = b""
    if len(found) != ID_BYTES or found.hex() != name:
        raise UnknownRequest
    return found


def listed(conn: Connection, wanted: Wanted) -> list[Request]:
    """Return rows of the register, at most `wanted.most`: what is still owed first, and of it the one due first."""
    table = _REQUEST.c
    rows = select(_REQUEST).limit(wanted.most)
    rows = (
        rows.where(table.id > wanted.after).order_by(table.id)
        if wanted.after
        else rows.order_by(_ANSWERED, table.due_at, table.id)
    )
    if wanted.beyond is not None:
        rows = rows.where(tuple_(_ANSWERED, table.due_at, table.id) > wanted.beyond)
    for column, value in ((table.brand, wanted.brand), (table.subject_id, wanted.subject)):
        rows = rows if value is None else rows.where(column == value)
    if wanted.rights:
        rows = rows.where(table.kind.in_(sorted(wanted.rights)))
    if wanted.states:
        rows = rows.where(table.state.in_(sorted(wanted.states)))
    if wanted.owed_only:
        rows = rows.where(table.answered_at.is_(None))
    if wanted.open_only or wanted.owed_only:
        rows = rows.where(table.state.not_in(sorted(OVER)))
    if wanted.received_from is not None:
        rows = rows.where(table.received_at >= wanted.received_from)
    if wanted.received_until is not None:
        rows = rows.where(table.received_at < wanted.received_until)
    if wanted.due_before is not None:
        rows = rows.where(table.due_at <= wanted.due_before)
    return [read(row) for row in conn.execute(rows)]


def due(conn: Connection, rights: Rights, now: int, before: int) -> tuple[int, int]:
    """Return how many requests are still to be answered that are due before a time (UTC seconds), and how many of them are late already.

    What is paused is due later each day, so those rows are read and counted; of the others the database counts.
    """
    table = _REQUEST.c
    is_open = (table.state.not_in(sorted(OVER)), table.answered_at.is_(None), table.due_at < before)
    late = func.coalesce(func.sum(case((table.due_at < now, 1), else_=0)), 0)
    soon, past = conn.execute(select(func.count(), late).where(*is_open, table.paused_at.is_(None))).one()
    paused = select(_REQUEST).where(*is_open, table.paused_at.is_not(None))
    ends = [end for row in conn.execute(paused) if (end := read(row).due(rights, now)) < before]
    return int(soon) + len(ends), int(past) + sum(end < now for end in ends)


def steps(conn: Connection, request_id: bytes) -> list[Step]:
    """Return every step of a request, in order."""
    rows = conn.execute(select(_STEP).where(_STEP.c.request_id == request_id).order_by(_STEP.c.number)).all()
    signed = signatures.signers(conn, REQUESTS, [step(request_id, row.number, ()).id for row in rows])
    return [
        Step(
            row.number,
            Move(row.move),
            State(row.state),
            row.actor_kind,
            row.actor_id,
            tuple(row.said.split()),
            row.move in signed.get(step(request_id, row.number, ()).id, {}),
            row.at,
        )
        for row in rows
    ]


def step(request_id: bytes, number: int, said: Sequence[str]) -> Thing:
    """Name a step for a signature: by its request and number, so that it is good for one, and by all it says."""
    return Thing(REQUESTS, f"{request_id.hex()}.{number}", digest(*(each.encode() for each in said)))


def read(row: Any) -> Request:
    """Read a row of the table."""
    return Request(
        id=row.id,
        subject=row.subject_id,
        brand=row.brand,
        right=Right(row.kind),
        jurisdiction=row.jurisdiction,
        names=tuple(row.names.split()),
        source=Source(row.source),
        received_by=row.received_by,
        requester=Requester(row.requester),
        mandate_hash=row.mandate_hash,
        language=row.language,
        assurance=Assurance(row.assurance),
        state=State(row.state),
        held_from=row.held_from,
        outcome=Outcome(row.outcome),
        ground=Ground(row.ground) if row.ground else None,
        kept=tuple(row.kept.split()),
        clock=Clock(row.received_at, row.extended, row.paused_days, row.paused_at),
        due_at=row.due_at,
        answered_at=row.answered_at,
        closed_at=row.closed_at,
        duplicate_of=row.duplicate_of,
        erasures=tuple(map(bytes.fromhex, row.erasures.split())),
        version=row.version,
        has_content=row.content is not None,
    )
