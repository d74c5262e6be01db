"""Joins: what references of one brand are as references of another, told once, for those named, by two officers.

Nothing else in the vault relates two brands' references: keys are per brand, and no caller can ask. One officer names
the references and a reason, another approves and is given the answer, in the same unit of work that records it: an
entry for the join, and one for each person found, under that person's own log key, so that it shows in what they are
told of themselves. Who is erased, restricted or a stranger to either brand is left out, and which of these is not said.

Both sign, over the hash of all that is asked, salted. What was named is sealed, and gone when the join is told, taken
back or void after a week, and when anybody named is being erased, which makes the join void.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, select
from sqlmodel import col

from audit.entry import Act, Entry, Outcome
from vault import facts, references
from vault.errors import IntegrityFailure, InvalidRegistration
from vault.governance import proposals, signatures
from vault.governance.proposals import ID_BYTES, Kind, State, digest
from vault.governance.signatures import Sign, actor
from vault.officers import Role
from vault.store.tables import BrandJoin
from vault.systems import is_brand
from vault.unit import UnitOfWork, Vault

MOST_NAMED: Final = 500
_SALT: Final = 32
_LABEL: Final = "join/named"
_TABLE: Final = BrandJoin.__table__  # type: ignore[attr-defined]

JOINS: Final = Kind(
    proposals.matter("join", {Role.COMPLIANCE, Role.APPROVER}), _TABLE, Act.JOIN_EXPIRED, (("named", b""),)
)


class JoinReason(StrEnum):
    """Why two brands' references are related."""

    LEGAL_CLAIM = "legal_claim"
    AUTHORITY_ORDER = "authority_order"
    SUBJECT_REQUEST = "subject_request"  # the person asked to be one client of both
    FRAUD_INQUIRY = "fraud_inquiry"
    MERGER = "merger"


@dataclass(frozen=True, slots=True)
class Join:
    """A join as listed: no reference."""

    id: str
    brand: str
    other: str
    reason: JoinReason
    count: int
    state: State
    proposed_by: str
    proposed_at: int
    approved_by: str | None


def propose(
    vault: Vault, brand: str, other: str, named: Sequence[str], reason: JoinReason, officer_id: str, sign: Sign
) -> Join:
    """Ask for a join of these references of `brand`; record `join.proposed`. Tells nothing of who they are.

    Raises `UnknownOfficer`, `NotSigned`, or `InvalidRegistration` for brands or references that are none.
    """
    # Why safe: no secret; 64 random bits do not meet by chance, and the primary key would say so.
    identifier = vault.entropy.bytes(ID_BYTES)
    with (
        signatures.denials(vault, Act.JOIN_PROPOSED, officer_id, (f"join:{identifier.hex()}",)),
        vault.unit() as uow,
    ):
        if brand == other or not (is_brand(brand) and is_brand(other)):
            raise InvalidRegistration("brands: two different ones")
        if not 1 <= len(set(named)) <= MOST_NAMED or any(references.decode(each) is None for each in named):
            raise InvalidRegistration("references: 1 to 500, spelt as they are given out")
        # Why safe: the salt goes with what it hides, so that the hash, which stays, tells nobody who was named.
        plain = vault.entropy.bytes(_SALT) + " ".join(sorted(set(named))).encode()
        content: dict[str, Any] = {"brand": brand, "other": other, "reason": reason.value, "count": len(set(named))}
        content["named"] = vault.keys.seal(_LABEL, [(identifier, plain)])[0]
        row, signed = proposals.propose(uow, JOINS, identifier, content, _says(content, plain), officer_id, sign)
        _record(uow, Act.JOIN_PROPOSED, officer_id, row, signed, row["count"])
        uow.commit()
    return _join(row)


def approve(vault: Vault, identifier: str, officer_id: str, sign: Sign) -> tuple[Join, dict[str, str]]:
    """Approve a join and return it, once: reference of the brand -> reference of the other, for those found.

    Records `join.approved` and, for each person found, `reference.joined`. Raises `UnknownProposal` for one that is not
    waiting, `NotSigned` for who asked for it, and `IntegrityFailure` if it was altered.
    """
    with (
        signatures.denials(vault, Act.JOIN_APPROVED, officer_id, proposals.said_of("join", identifier)),
        vault.unit() as uow,
    ):
        row = proposals.waiting(uow, JOINS, identifier)
        plain = _opened(uow, row)
        made, signed = proposals.approve(uow, JOINS, row, _says(row, plain), officer_id, sign)
        told = _told(uow, row, _named(plain), officer_id)
        _record(uow, Act.JOIN_APPROVED, officer_id, row, signed, len(told))
        uow.commit()
    return _join(made), told


def withdraw(vault: Vault, identifier: str, officer_id: str, sign: Sign) -> Join:
    """Take a proposal back, which any officer may; record `join.withdrawn`. Raises as `approve`."""
    with (
        signatures.denials(vault, Act.JOIN_WITHDRAWN, officer_id, proposals.said_of("join", identifier)),
        vault.unit() as uow,
    ):
        row = proposals.waiting(uow, JOINS, identifier)
        made, signed = proposals.withdraw(uow, JOINS, row, officer_id, sign)
        _record(uow, Act.JOIN_WITHDRAWN, officer_id, row, signed, row["count"])
        uow.commit()
    return _join(made)


def forget_people(uow: UnitOfWork, subjects: Collection[bytes]) -> None:
    """Make void every join that names one of these subjects: they are being erased."""
    if not subjects:
        return
    asked = _TABLE.c.state == State.PROPOSED.value
    for row in uow.conn.execute(select(_TABLE).where(asked).order_by(_TABLE.c.id).with_for_update()).mappings().all():
        (plain,) = uow.vault.keys.open(_LABEL, [(row["id"], row["named"])])
        # One that does not open was altered and can be approved by nobody.
        named = [] if plain is None else references.resolve(uow, row["brand"], _named(plain))
        if plain is None or set(named) & set(subjects):
            proposals.void(uow, JOINS, row["id"])


def listed(conn: Connection) -> list[Join]:
    """Return every join, newest first."""
    rows = conn.execute(select(_TABLE).order_by(col(BrandJoin.proposed_at).desc(), col(BrandJoin.id))).mappings()
    return [_join(dict(row)) for row in rows]


def _told(uow: UnitOfWork, row: dict[str, Any], named: list[str], officer_id: str) -> dict[str, str]:
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
    for key in facts.log_keys(uow.vault.keys, [known for _, known, _ in joined]):
        uow.record(Entry(Act.REFERENCE_JOINED, Outcome.ALLOW, actor(officer_id), pol=_said(row)), log_key=key)
    return {each: text for each, _, text in joined}


def _opened(uow: UnitOfWork, row: dict[str, Any]) -> bytes:
    (plain,) = uow.vault.keys.open(_LABEL, [(row["id"], row["named"])])
    if plain is None:
        raise IntegrityFailure
    return plain


def _named(plain: bytes) -> list[str]:
    return plain[_SALT:].decode().split()


def _says(row: dict[str, Any], plain: bytes) -> bytes:
    return digest(*(row[each].encode() for each in ("brand", "other", "reason")), plain)


def _record(
    uow: UnitOfWork, act: Act, officer_id: str, row: dict[str, Any], signed: tuple[str, ...], count: int
) -> None:
    uow.record(Entry(act, Outcome.ALLOW, actor(officer_id), pol=(*_said(row), *signed), n=count))


def _said(row: dict[str, Any]) -> tuple[str, ...]:
    return (f"join:{row['id'].hex()}", f"brand:{row['brand']}", f"other:{row['other']}", f"reason:{row['reason']}")


def _join(row: dict[str, Any]) -> Join:
    return Join(
        row["id"].hex(),
        row["brand"],
        row["other"],
        JoinReason(row["reason"]),
        row["count"],
        State(row["state"]),
        row["proposed_by"],
        row["proposed_at"],
        row["approved_by"],
    )
