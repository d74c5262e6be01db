"""Break-glass cases: what an officer asks to see of one person in an emergency, who vouched for it, and what came of it.

    asked --a second officer approves--> open --minutes later--> over --another officer reviews--> reviewed
    asked --a second officer refuses--> refused
    asked --a day--> expired

Each step is signed by the officer who takes it, over the case's number and the salted hash of all it says; nobody decides
on their own. Reference and reason are sealed under a leaf of their own: the reason may say more of the person than the
fields asked for. They go `KEPT_SECONDS` after the case was closed, and with the person.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.catalogue import Catalogue
from policies.levels import Level
from policies.model import Wanted
from vault import leftleaves, ownleaf
from vault.errors import CaseClosed, IntegrityFailure, InvalidCase, UnknownCase
from vault.governance import signatures
from vault.governance.beginning import Begun
from vault.governance.proposals import digest
from vault.governance.signatures import Matter, Thing
from vault.keys.message import bind
from vault.keys.service import Slot
from vault.officers import Role
from vault.ownleaf import Sealed
from vault.store.keysets import padded
from vault.store.tables import BreakGlassCase
from vault.unit import UnitOfWork, Vault

LONGEST: Final = 60  # minutes
USUAL: Final = 15
SHORTEST_REASON: Final = 20  # characters: enough to say why, for whoever reviews it
LONGEST_REASON: Final = 2_000
MOST_FIELDS: Final = 64
WAITING_SECONDS: Final = 86_400  # an emergency that nobody decided on for a day is none
REVIEW_SECONDS: Final = 72 * 3600  # after it is over; then a review is overdue
KEPT_SECONDS: Final = 30 * 86_400  # of reference and reason, once closed: a review may itself be asked about

_LABEL: Final = b"ecrin/break-glass/v1"
_TABLE: Final = BreakGlassCase.__table__  # type: ignore[attr-defined]


class Step(StrEnum):
    """What an officer signs. A review is signed as what it found."""

    ASK = "ask"
    SHOW = "show"
    APPROVE = "approve"
    REFUSE = "refuse"
    LOOK = "look"
    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"


class State(StrEnum):
    """How far a case has come, as stored; whether it is over, the clock says."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"
    REVIEWED = "reviewed"
    EXPIRED = "expired"


class Finding(StrEnum):
    """What a review found."""

    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"


_DECIDING: Final = frozenset({Role.APPROVER, Role.COMPLIANCE})
_REVIEWING: Final = _DECIDING | {Role.AUDITOR}
_ACTING: Final = _DECIDING | {Role.OPERATOR}
_ASKED: Final = frozenset({Step.ASK})

CASE: Final = Matter(
    "case",
    {
        Step.ASK: _ACTING, Step.SHOW: _REVIEWING, Step.APPROVE: _DECIDING, Step.REFUSE: _DECIDING, Step.LOOK: _ACTING,
        Step.JUSTIFIED: _REVIEWING, Step.UNJUSTIFIED: _REVIEWING,
    },
    {Step.APPROVE: _ASKED, Step.REFUSE: _ASKED, Step.JUSTIFIED: _ASKED, Step.UNJUSTIFIED: _ASKED},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: fields of one subject of `brand`, for the officer `bearer`, `minutes` from the approval on."""

    brand: str
    reference: str = field(repr=False)
    wanted: tuple[Wanted, ...]
    bearer: str
    minutes: int
    reason: str = field(repr=False)

    def check(self, catalogue: Catalogue) -> None:
        """Raise `InvalidCase`, which names the part at fault, or `UnknownField`."""
        if not 1 <= self.minutes <= LONGEST:
            raise InvalidCase(f"minutes: 1 to {LONGEST}")
        if not SHORTEST_REASON <= len(self.reason.strip()) <= LONGEST_REASON:
            raise InvalidCase(f"reason: {SHORTEST_REASON} to {LONGEST_REASON} characters")
        if not 1 <= len(self.wanted) <= MOST_FIELDS:
            raise InvalidCase(f"fields: 1 to {MOST_FIELDS}")
        for each in self.wanted:
            catalogue.field(each.field)

    def stored_fields(self) -> str:
        """Return the fields as a case stores them."""
        return orjson.dumps([[each.field, each.level, each.predicate] for each in self.wanted]).decode()

    def says(self, salt: bytes) -> bytes:
        """Return the hash over everything asked, 32 bytes, that every signature under the case covers.

        Why salted: it outlives what it hides, and nobody shall try references and reasons on it.
        """
        parts = (self.brand, self.reference, self.stored_fields(), self.bearer, str(self.minutes), self.reason)
        return digest(salt, *(each.encode() for each in parts))


@dataclass(frozen=True, slots=True)
class Case:
    """A case as stored, without reference and reason. `steps` maps each step taken to its officer."""

    id: bytes
    state: State
    brand: str
    wanted: tuple[Wanted, ...]
    bearer: str
    minutes: int
    asked_at: int
    expires_at: int | None
    disclosures: int
    finding: Finding | None
    steps: Mapping[str, str]
    sealed: Sealed | None = field(repr=False)

    @property
    def name(self) -> str:
        """Return the id as people and the log write it."""
        return self.id.hex()

    @property
    def reviewed_by(self) -> str:
        """Return who reviewed it; empty while nobody has."""
        return self.steps.get(Step.JUSTIFIED) or self.steps.get(Step.UNJUSTIFIED, "")

    def review_due_at(self) -> int | None:
        """Return when its review is due, in UTC seconds; None for what needs none: not approved, or reviewed."""
        return self.expires_at + REVIEW_SECONDS if self.state is State.APPROVED and self.expires_at else None


def get(conn: Connection, case_id: bytes) -> Case:
    """Return one case. Raises `UnknownCase`."""
    row = conn.execute(select(_TABLE).where(_TABLE.c.id == case_id)).one_or_none()
    if row is None:
        raise UnknownCase
    return _case(row, signatures.signers(conn, CASE, [case_id.hex()]))


def listed(conn: Connection) -> list[Case]:
    """Return all cases, the newest first."""
    rows = conn.execute(select(_TABLE).order_by(_TABLE.c.asked_at.desc(), _TABLE.c.id)).all()
    steps = signatures.signers(conn, CASE)
    return [_case(row, steps) for row in rows]


def overdue(conn: Connection, now: int) -> list[Case]:
    """Return the cases whose review is overdue."""
    return [each for each in listed(conn) if (due := each.review_due_at()) is not None and due <= now]


def seal(uow: UnitOfWork, case: Begun, asked: Asked) -> tuple[dict[str, Any], Thing]:
    """Seal what of a case nobody may read in the database. Returns its columns, and the thing that is signed."""
    plain = orjson.dumps([asked.reference, asked.reason, case.salt.hex()])
    (sealed,) = ownleaf.seal(uow, [(_context(uow.vault, case.id), plain)])
    columns = {"sealed": sealed.blob, "slot": sealed.slot.number, "generation": sealed.slot.generation}
    return columns, thing_of(case, asked)


def thing_of(case: Begun, asked: Asked) -> Thing:
    """Name a case for its first signature."""
    return Thing(CASE, case.id.hex(), asked.says(case.salt))


def opened(vault: Vault, conn: Connection, case: Case) -> Asked:
    """Open a case and check that it says what was signed. Raises `CaseClosed` when it is gone, and `IntegrityFailure`."""
    plain = None if case.sealed is None else ownleaf.opened(vault, _context(vault, case.id), case.sealed)
    if plain is None:
        raise CaseClosed("what the case said is gone")
    reference, reason, salt = orjson.loads(plain)
    asked = Asked(case.brand, reference, case.wanted, case.bearer, case.minutes, reason)
    if asked.says(bytes.fromhex(salt)) != signatures.said(conn, CASE, case.name, Step.ASK).says:
        raise IntegrityFailure
    return asked


def check_signatures(vault: Vault, conn: Connection, case: Case) -> None:
    """Raise `NotSigned` unless two different officers asked and approved, with keys that are theirs."""
    thing = signatures.said(conn, CASE, case.name, Step.ASK)
    signatures.check(conn, vault.deployment, thing, {Step.ASK, Step.APPROVE})


def forget_people(uow: UnitOfWork, subjects: Collection[bytes]) -> None:
    """Drop reference and reason of every case about these subjects: they are being erased."""
    if subjects:
        about = _TABLE.c.subject_id.in_(bindparam("subjects", expanding=True))
        _drop(
            uow,
            [
                row.id
                for row in uow.conn.execute(select(_TABLE.c.id).where(about), {"subjects": padded(sorted(subjects))})
            ],
        )


def expire(uow: UnitOfWork) -> int:
    """Close what nobody decided on in time, drop what was closed long ago. Returns how many cases that concerned."""
    waiting = (_TABLE.c.state == State.ASKED.value, _TABLE.c.asked_at <= uow.now - WAITING_SECONDS)
    due = [row.id for row in uow.conn.execute(select(_TABLE.c.id).where(*waiting).with_for_update(skip_locked=True))]
    for each in due:
        closing = update(_TABLE).where(_TABLE.c.id == each)
        uow.conn.execute(closing.values(state=State.EXPIRED.value, closed_at=uow.now))
        actor = Actor(ActorKind.VAULT, uow.vault.deployment)
        uow.record(Entry(Act.BREAKGLASS_EXPIRED, Outcome.ALLOW, actor, pol=(f"case:{each.hex()}",)))
    over = (_TABLE.c.closed_at <= uow.now - KEPT_SECONDS, _TABLE.c.sealed.is_not(None))
    ids = [row.id for row in uow.conn.execute(select(_TABLE.c.id).where(*over))]
    _drop(uow, ids)
    return len(due) + len(ids)


def _drop(uow: UnitOfWork, ids: Collection[bytes]) -> None:
    which = {"ids": padded(sorted(ids))}
    held = (_TABLE.c.id.in_(bindparam("ids", expanding=True)), _TABLE.c.sealed.is_not(None))
    # Locked: a re-keying in between would leave the leaf before us, and we the wrong one.
    leaves = select(_TABLE.c.slot, _TABLE.c.generation).where(*held).with_for_update()
    rows = uow.conn.execute(leaves, which) if ids else ()
    leftleaves.leave(uow, [Slot(row.slot, row.generation) for row in rows])
    if ids:
        gone = {"sealed": None, "slot": None, "generation": None, "subject_id": None}
        uow.conn.execute(update(_TABLE).where(*held).values(**gone), which)


def _context(vault: Vault, case_id: bytes) -> bytes:
    # Bound to the case: a row copied beside another one opens for nobody.
    return bind(_LABEL, vault.deployment.encode(), case_id)


def _case(row: Any, steps: Mapping[str, Mapping[str, str]]) -> Case:
    wanted = tuple(Wanted(name, Level(level), predicate) for name, level, predicate in orjson.loads(row.fields))
    finding = Finding(row.finding) if row.finding else None
    sealed = None if row.sealed is None else Sealed(row.sealed, Slot(row.slot, row.generation))
    return Case(
        row.id, State(row.state), row.brand, wanted, row.bearer, row.minutes, row.asked_at, row.expires_at,
        row.disclosures, finding, steps.get(row.id.hex(), {}), sealed,
    )  # fmt: skip
