"""Four eyes: what one officer proposes under a signature and another puts in force under theirs, or nobody does.

    proposed --another officer's signature--> approved
    proposed, or what is in force --any officer's signature--> withdrawn
    proposed --a week--> expired

Joins of references and raises of budgets go this way. Policy versions and break-glass cases have more states than these,
and share what is signed, who may, and that nobody approves their own (`vault.governance.signatures`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Table, insert, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault.errors import IntegrityFailure, UnknownProposal
from vault.governance import signatures
from vault.governance.signatures import Matter, Sign, Thing
from vault.keys.message import bind
from vault.officers import Role
from vault.unit import UnitOfWork

ID_BYTES: Final = 8
WAITING_SECONDS: Final = 7 * 86_400  # a proposal nobody approved is then void


class Part(StrEnum):
    """What an officer signs."""

    PROPOSE = "propose"
    APPROVE = "approve"
    WITHDRAW = "withdraw"


class State(StrEnum):
    """How far a proposal has come."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of proposal: its matter, its table, the act of running out, and what else goes from a row that is over."""

    matter: Matter
    table: Table
    expired: Act
    emptied: tuple[tuple[str, object], ...] = ()


def matter(name: str, propose: Collection[Role]) -> Matter:
    """Name a matter: these roles propose, `compliance` or `approver` approves, anybody takes back."""
    may: dict[str, frozenset[Role]] = {
        Part.PROPOSE: frozenset(propose),
        Part.APPROVE: frozenset({Role.COMPLIANCE, Role.APPROVER}),
        Part.WITHDRAW: frozenset(Role),
    }
    return Matter(name, may, {Part.APPROVE: frozenset({Part.PROPOSE})})


def digest(*parts: bytes) -> bytes:
    """Return SHA-256 over parts, each behind its length: what a signature covers of what a proposal says."""
    return sha256(bind(*(sha256(each).digest() for each in parts))).digest()


def said_of(name: str, identifier: str) -> tuple[str, ...]:
    """Name a proposal as the log's entries do, however the caller spelt it; not at all what can be none."""
    try:
        return (f"{name}:{bytes.fromhex(identifier)[:ID_BYTES].hex()}",)
    except ValueError:
        return ()


def propose(
    uow: UnitOfWork, kind: Kind, identifier: bytes, content: dict[str, Any], says: bytes, officer_id: str, sign: Sign
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Store a proposal under its author's signature. Returns the row, and what an entry says of the signature."""
    row = content | {
        "id": identifier, "state": State.PROPOSED.value, "proposed_by": officer_id, "proposed_at": uow.now,
        "approved_by": None, "approved_at": None,
    }  # fmt: skip
    uow.conn.execute(insert(kind.table), row)
    return row, signatures.add(uow, Thing(kind.matter, identifier.hex(), says), Part.PROPOSE, officer_id, sign)


def waiting(uow: UnitOfWork, kind: Kind, identifier: str) -> dict[str, Any]:
    """Lock a proposal that can be approved still. Raises `UnknownProposal`."""
    row = locked(uow, kind, identifier)
    if row["state"] != State.PROPOSED or row["proposed_at"] + WAITING_SECONDS <= uow.now:
        raise UnknownProposal
    return row


def locked(uow: UnitOfWork, kind: Kind, identifier: str) -> dict[str, Any]:
    """Lock a proposal, whatever its state. Raises `UnknownProposal`."""
    try:
        key = bytes.fromhex(identifier)
    except ValueError:
        raise UnknownProposal from None
    row = uow.conn.execute(select(kind.table).where(kind.table.c.id == key).with_for_update()).mappings().one_or_none()
    if row is None:
        raise UnknownProposal
    return dict(row)


def approve(
    uow: UnitOfWork, kind: Kind, row: dict[str, Any], says: bytes, officer_id: str, sign: Sign, **changes: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Put a locked proposal in force under another officer's signature, if its author signed just what it says now.

    Raises `NotSigned`, `UnknownOfficer`, and `IntegrityFailure` for what was altered. Returns as `propose`.
    """
    thing = signatures.said(uow.conn, kind.matter, row["id"].hex(), Part.PROPOSE)
    if thing.says != says:
        raise IntegrityFailure
    signed = signatures.add(uow, thing, Part.APPROVE, officer_id, sign)
    signatures.check(uow.conn, uow.vault.deployment, thing, {Part.PROPOSE, Part.APPROVE})
    changes |= {"state": State.APPROVED.value, "approved_by": officer_id, "approved_at": uow.now}
    return _move(uow, kind, row, changes), signed


def withdraw(
    uow: UnitOfWork, kind: Kind, row: dict[str, Any], officer_id: str, sign: Sign
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Take a locked proposal back, or end what is in force. Raises `NotSigned`, `UnknownOfficer`. Returns as `propose`."""
    thing = signatures.said(uow.conn, kind.matter, row["id"].hex(), Part.PROPOSE)
    signed = signatures.add(uow, thing, Part.WITHDRAW, officer_id, sign)
    return _move(uow, kind, row, {"state": State.WITHDRAWN.value}), signed


def void(uow: UnitOfWork, kind: Kind, identifier: bytes) -> None:
    """Make a proposal void that must not be approved any more."""
    _move(uow, kind, {"id": identifier}, {"state": State.EXPIRED.value})


def expire(uow: UnitOfWork, kind: Kind) -> int:
    """Make void what nobody approved in time, with an entry for each. Returns how many there were."""
    table = kind.table
    old = (table.c.state == State.PROPOSED.value, table.c.proposed_at <= uow.now - WAITING_SECONDS)
    # Whoever is deciding on one at this moment has its row, and finds it too late.
    due = list(uow.conn.scalars(select(table.c.id).where(*old).order_by(table.c.id).with_for_update(skip_locked=True)))
    for identifier in due:
        void(uow, kind, identifier)
        said = (f"{kind.matter.name}:{identifier.hex()}",)
        uow.record(Entry(kind.expired, Outcome.ALLOW, Actor(ActorKind.VAULT, uow.vault.deployment), pol=said))
    return len(due)


def _move(uow: UnitOfWork, kind: Kind, row: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    changes = changes | dict(kind.emptied)
    uow.conn.execute(update(kind.table).where(kind.table.c.id == row["id"]).values(**changes))
    return row | changes
