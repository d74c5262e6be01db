"""Joins: what references of one brand are as references of another, told once, for those named, by two officers.

Nothing else in the vault relates two brands' references: keys are per brand, and no caller can ask. One officer names
the references and a reason, another approves and is given the answer, in the same unit of work that records it: an
entry for the join, and one for each person found, under that person's own log key, so that it shows in what they are
told of themselves. Who is erased, restricted or a stranger to either brand is left out, and which of these is not said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update
from sqlmodel import col

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import facts, references
from vault.errors import IntegrityFailure, InvalidRegistration, NotAllowed, UnknownProposal
from vault.officers import OfficerRecord, Role
from vault.store.tables import BrandJoin
from vault.systems import is_brand
from vault.unit import UnitOfWork

MOST_NAMED: Final = 500
PROPOSAL_SECONDS: Final = 7 * 86_400  # a proposal nobody approved is then void
_ID_BYTES: Final = 8
_LABEL: Final = "join/named"
_MAY_PROPOSE: Final = frozenset({Role.COMPLIANCE, Role.APPROVER})
_MAY_APPROVE: Final = frozenset({Role.COMPLIANCE, Role.APPROVER})
_TABLE: Final = BrandJoin.__table__  # type: ignore[attr-defined]


class JoinReason(StrEnum):
    """Why two brands' references are related."""

    LEGAL_CLAIM = "legal_claim"
    AUTHORITY_ORDER = "authority_order"
    SUBJECT_REQUEST = "subject_request"  # the person asked to be one client of both
    FRAUD_INQUIRY = "fraud_inquiry"
    MERGER = "merger"


class JoinState(StrEnum):
    """How far a join has come."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Join:
    """A join as listed: no reference."""

    id: str
    brand: str
    other: str
    reason: JoinReason
    count: int
    state: JoinState
    proposed_by: str
    proposed_at: int
    approved_by: str | None


def propose(
    uow: UnitOfWork, brand: str, other: str, named: Sequence[str], reason: JoinReason, by: OfficerRecord
) -> Join:
    """Ask for a join of these references of `brand`; record `join.proposed`. Tells nothing of who they are.

    Raises `NotAllowed`, or `InvalidRegistration` for brands or references that are none.
    """
    if by.role not in _MAY_PROPOSE:
        raise NotAllowed
    if brand == other or not (is_brand(brand) and is_brand(other)):
        raise InvalidRegistration("brands: two different ones")
    if not 1 <= len(set(named)) <= MOST_NAMED or any(references.decode(each) is None for each in named):
        raise InvalidRegistration("references: 1 to 500, spelt as they are given out")
    identifier = uow.vault.entropy.bytes(_ID_BYTES)
    listed_ = " ".join(sorted(set(named))).encode()
    row: dict[str, Any] = {
        "id": identifier,
        "brand": brand,
        "other": other,
        "reason": reason.value,
        "named": uow.vault.keys.seal(_LABEL, [(identifier, listed_)])[0],
        "count": len(set(named)),
        "state": JoinState.PROPOSED.value,
        "proposed_by": by.id,
        "proposed_at": uow.now,
        "approved_by": None,
        "approved_at": None,
    }
    uow.conn.execute(insert(_TABLE), row)
    _record(uow, Act.JOIN_PROPOSED, by, row, len(set(named)))
    return _join(row)


def approve(uow: UnitOfWork, identifier: str, by: OfficerRecord) -> tuple[Join, dict[str, str]]:
    """Approve a join and return it, once: reference of the brand -> reference of the other, for those found.

    Records `join.approved` and, for each person found, `reference.joined`. Raises `UnknownProposal` for one that is not
    waiting, `NotAllowed` for who asked for it, and `IntegrityFailure` if it was altered. The caller must commit before
    it shows the answer.
    """
    row = _waiting(uow, identifier)
    if by.role not in _MAY_APPROVE or by.id == row["proposed_by"]:
        raise NotAllowed
    (stored,) = uow.vault.keys.open(_LABEL, [(row["id"], row["named"])])
    if stored is None:
        raise IntegrityFailure
    named = stored.decode().split()
    brand, other = row["brand"], row["other"]
    subjects = references.resolve(uow, brand, named)
    found = [(each, subject) for each, subject in zip(named, subjects, strict=True) if subject is not None]
    here = facts.load(uow, brand, [subject for _, subject in found])
    open_ = [
        (each, known)
        for (each, _), known in zip(found, here, strict=True)
        if known is not None and known.facts.known_to_brand and not (known.facts.erased or known.facts.restricted)
    ]
    theirs = references.of(uow, other, [known.subject_id for _, known in open_])
    joined = [(each, known, text) for (each, known), text in zip(open_, theirs, strict=True) if text is not None]
    keys = facts.log_keys(uow.vault.keys, [known for _, known, _ in joined])
    for key in keys:
        uow.record(Entry(Act.REFERENCE_JOINED, Outcome.ALLOW, _actor(by), pol=_said(row)), log_key=key)
    changes = {"state": JoinState.APPROVED.value, "approved_by": by.id, "approved_at": uow.now}
    uow.conn.execute(update(_TABLE).where(_TABLE.c.id == row["id"]).values(**changes))
    _record(uow, Act.JOIN_APPROVED, by, row, len(joined))
    return _join(row | changes), {each: text for each, _, text in joined}


def withdraw(uow: UnitOfWork, identifier: str, by: OfficerRecord) -> Join:
    """Take a proposal back, which any officer may; record `join.withdrawn`. Raises `UnknownProposal`."""
    row = _waiting(uow, identifier)
    changes = {"state": JoinState.WITHDRAWN.value}
    uow.conn.execute(update(_TABLE).where(_TABLE.c.id == row["id"]).values(**changes))
    _record(uow, Act.JOIN_WITHDRAWN, by, row, row["count"])
    return _join(row | changes)


def listed(conn: Connection) -> list[Join]:
    """Return every join, newest first."""
    rows = conn.execute(select(_TABLE).order_by(col(BrandJoin.proposed_at).desc(), col(BrandJoin.id))).mappings()
    return [_join(dict(row)) for row in rows]


def _waiting(uow: UnitOfWork, identifier: str) -> dict[str, Any]:
    try:
        key = bytes.fromhex(identifier)
    except ValueError:
        raise UnknownProposal from None
    row = uow.conn.execute(select(_TABLE).where(_TABLE.c.id == key).with_for_update()).mappings().one_or_none()
    if row is None or row["state"] != JoinState.PROPOSED or row["proposed_at"] + PROPOSAL_SECONDS <= uow.now:
        raise UnknownProposal
    return dict(row)


def _record(uow: UnitOfWork, act: Act, by: OfficerRecord, row: dict[str, Any], count: int) -> None:
    uow.record(Entry(act, Outcome.ALLOW, _actor(by), pol=_said(row), n=count))


def _said(row: dict[str, Any]) -> tuple[str, ...]:
    return (f"join:{row['id'].hex()}", f"brand:{row['brand']}", f"other:{row['other']}", f"reason:{row['reason']}")


def _actor(by: OfficerRecord) -> Actor:
    return Actor(ActorKind.OFFICER, by.id)


def _join(row: dict[str, Any]) -> Join:
    return Join(
        row["id"].hex(),
        row["brand"],
        row["other"],
        JoinReason(row["reason"]),
        row["count"],
        JoinState(row["state"]),
        row["proposed_by"],
        row["proposed_at"],
        row["approved_by"],
    )
