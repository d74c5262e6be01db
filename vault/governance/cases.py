"""Break-glass cases: what an officer asks to see of one person in an emergency, who vouched for it, and what came of it.

    asked --a second officer approves--> open --minutes later--> over --another officer reviews--> reviewed
    asked --a second officer refuses--> refused

Each step is signed by the officer who takes it, over the case's number and the hash of all it says; nobody decides on
their own. Reference and reason are sealed: the reason may say more of the person than the fields asked for. Nothing in
a case leads to a person who was erased, because a reference then leads nowhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import orjson
from sqlalchemy import Connection, select
from sqlmodel import col

from policies.catalogue import Catalogue
from policies.levels import Level
from policies.model import Wanted
from vault.errors import IntegrityFailure, InvalidCase, NotSigned, UnknownCase
from vault.governance import officerkeys
from vault.keys.service import KeyService
from vault.store.tables import BreakGlassCase
from vault.unit import Vault

LONGEST: Final = 60  # minutes
USUAL: Final = 15
SHORTEST_REASON: Final = 20  # characters: enough to say why, for whoever reviews it
LONGEST_REASON: Final = 2_000
MOST_FIELDS: Final = 64
REVIEW_SECONDS: Final = 72 * 3600  # after it was asked, decided or over; then a review is overdue

_LABEL: Final = "governance/case"


class Step(StrEnum):
    """What an officer signs."""

    ASK = "ask"
    APPROVE = "approve"
    REFUSE = "refuse"
    DISCLOSE = "disclose"
    REVIEW = "review"


class State(StrEnum):
    """How far a case has come, as stored; whether it is over, the clock says."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"
    REVIEWED = "reviewed"


class Finding(StrEnum):
    """What a review found."""

    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"


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

    def digest(self) -> bytes:
        """Return SHA-256 over everything asked, 32 bytes: what every signature under the case covers."""
        parts = (self.brand, self.reference, self.stored_fields(), self.bearer, str(self.minutes), self.reason)
        return sha256(b"".join(len(each.encode()).to_bytes(4, "big") + each.encode() for each in parts)).digest()


@dataclass(frozen=True, slots=True)
class Case:
    """A case as stored, without reference and reason. `steps` maps each step taken to its officer."""

    id: bytes
    state: State
    brand: str
    wanted: tuple[Wanted, ...]
    bearer: str
    minutes: int
    digest: bytes
    asked_at: int
    expires_at: int | None
    disclosures: int
    finding: Finding | None
    steps: Mapping[Step, str]

    @property
    def name(self) -> str:
        """Return the id as people and the log write it."""
        return self.id.hex()

    def review_due_at(self) -> int | None:
        """Return when its review is due, in UTC seconds; None for what needs none: refused, reviewed, still only asked."""
        return self.expires_at + REVIEW_SECONDS if self.state is State.APPROVED and self.expires_at else None


def message(deployment: str, case_id: bytes, digest: bytes, step: Step, said: str = "") -> bytes:
    """Return the text that an officer signs, ASCII (docs/formats.md). `said` is the finding of a review."""
    text = (
        f"ecrin-break-glass v1\ndeployment: {deployment}\ncase: {case_id.hex()}\nstep: {step}\nasked: {digest.hex()}\n"
    )
    return (text + (f"finding: {said}\n" if said else "")).encode("ascii")


def get(conn: Connection, case_id: bytes) -> Case:
    """Return one case. Raises `UnknownCase`."""
    row = conn.execute(select(BreakGlassCase.__table__).where(col(BreakGlassCase.id) == case_id)).one_or_none()  # type: ignore[attr-defined]
    if row is None:
        raise UnknownCase
    return _case(row)


def listed(conn: Connection) -> list[Case]:
    """Return all cases, the newest first."""
    rows = conn.execute(
        select(BreakGlassCase.__table__).order_by(col(BreakGlassCase.asked_at).desc(), col(BreakGlassCase.id))  # type: ignore[attr-defined]
    )
    return [_case(row) for row in rows]


def overdue(conn: Connection, now: int) -> list[Case]:
    """Return the cases whose review is overdue."""
    return [each for each in listed(conn) if (due := each.review_due_at()) is not None and due <= now]


def seal(keys: KeyService, case_id: bytes, asked: Asked) -> bytes:
    """Seal what of a case nobody may read in the database: reference and reason."""
    return keys.seal(_LABEL, [(case_id, orjson.dumps([asked.reference, asked.reason]))])[0]


def opened(vault: Vault, conn: Connection, case: Case) -> Asked:
    """Open a case and check that it says what was signed. Raises `IntegrityFailure`."""
    sealed = conn.scalar(select(col(BreakGlassCase.sealed)).where(col(BreakGlassCase.id) == case.id))
    plain = vault.keys.open(_LABEL, [(case.id, bytes(sealed or b""))])[0]
    if plain is None:
        raise IntegrityFailure
    reference, reason = orjson.loads(plain)
    asked = Asked(case.brand, reference, case.wanted, case.bearer, case.minutes, reason)
    if asked.digest() != case.digest:
        raise IntegrityFailure
    return asked


def check_signatures(vault: Vault, conn: Connection, case: Case) -> None:
    """Raise `NotSigned` unless two different officers asked and approved, with keys that are theirs."""
    row = conn.execute(select(BreakGlassCase.__table__).where(col(BreakGlassCase.id) == case.id)).one()  # type: ignore[attr-defined]
    signed = orjson.loads(row.signatures)
    if case.steps.get(Step.ASK) == case.steps.get(Step.APPROVE):
        raise NotSigned("nobody approves their own")
    for step in (Step.ASK, Step.APPROVE):
        officer_id, fingerprint, signature = signed.get(step, ("", "", ""))
        key = officerkeys.key_of(conn, officer_id, fingerprint)
        text = message(vault.deployment, case.id, case.digest, step)
        officerkeys.verify(key, text, bytes.fromhex(signature))


def _case(row: Any) -> Case:
    wanted = tuple(Wanted(name, Level(level), predicate) for name, level, predicate in orjson.loads(row.fields))
    steps = {Step(step): officer_id for step, (officer_id, _, _) in orjson.loads(row.signatures).items()}
    finding = Finding(row.finding) if row.finding else None
    return Case(
        row.id, State(row.state), row.brand, wanted, row.bearer, row.minutes, row.digest, row.asked_at, row.expires_at,
        row.disclosures, finding, steps,
    )  # fmt: skip
