"""Raises of budgets: one officer proposes, another approves, and the raise ends by itself.

Nothing else makes a budget larger once a system is registered. A raise is in force from the approval on and for the
time proposed; the system's row carries it, so that no look costs a question more.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update
from sqlmodel import col

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import systems
from vault.budgetlimits import Raise, quotas_of
from vault.errors import InvalidRegistration, NotAllowed, UnknownProposal
from vault.officers import OfficerRecord, Role
from vault.store.tables import BudgetRaise
from vault.unit import UnitOfWork

ID_BYTES: Final = 8
LONGEST: Final = 7 * 86_400  # seconds: what is needed for longer is no raise but another registration
PROPOSAL_SECONDS: Final = 7 * 86_400  # a proposal nobody approved is then void

_MAY_PROPOSE: Final = frozenset({Role.OPERATOR, Role.COMPLIANCE, Role.APPROVER})
_MAY_APPROVE: Final = frozenset({Role.COMPLIANCE, Role.APPROVER})
_TABLE: Final = BudgetRaise.__table__  # type: ignore[attr-defined]


class RaiseState(StrEnum):
    """How far a raise has come."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A raise as listed. `until_at` is None until it is approved."""

    id: str
    system_id: str
    limits: tuple[str, ...]
    seconds: int
    state: RaiseState
    proposed_by: str
    proposed_at: int
    approved_by: str | None
    until_at: int | None


def propose(uow: UnitOfWork, system_id: str, limits: tuple[str, ...], seconds: int, by: OfficerRecord) -> Proposal:
    """Propose higher limits for `seconds`; record `budget.proposed`.

    Raises `UnknownSystem`, `NotAllowed`, or `InvalidRegistration` for a limit that is misspelt, would not be higher or
    is on nothing that is limited.
    """
    if by.role not in _MAY_PROPOSE:
        raise NotAllowed
    system = systems.locked(uow, system_id)
    standing = quotas_of(system.budgets.spelt)
    wanted = quotas_of(limits)
    if not wanted or any(quota <= standing.get(where, quota) for where, quota in wanted.items()):
        raise InvalidRegistration("budget: a raise is of limits that stand, and higher")
    if not 0 < seconds <= LONGEST:
        raise InvalidRegistration("budget: for up to seven days")
    # Why safe: no secret; 64 random bits do not meet by chance, and the primary key would say so.
    identifier = uow.vault.entropy.bytes(ID_BYTES)
    row: dict[str, Any] = {
        "id": identifier,
        "system_id": system_id,
        "limits": " ".join(sorted(limits)),
        "seconds": seconds,
        "state": RaiseState.PROPOSED.value,
        "proposed_by": by.id,
        "proposed_at": uow.now,
        "approved_by": None,
        "approved_at": None,
        "until_at": None,
    }
    uow.conn.execute(insert(_TABLE), row)
    _record(uow, Act.BUDGET_PROPOSED, by, system_id, identifier, limits)
    return _proposal(row)


def approve(uow: UnitOfWork, identifier: str, by: OfficerRecord) -> Proposal:
    """Put a raise in force; record `budget.raised`. Raises `UnknownProposal`, or `NotAllowed` for the proposer."""
    row = _locked(uow, identifier)
    if row["state"] != RaiseState.PROPOSED or row["proposed_at"] + PROPOSAL_SECONDS <= uow.now:
        raise UnknownProposal
    if by.role not in _MAY_APPROVE or by.id == row["proposed_by"]:
        raise NotAllowed
    system = systems.locked(uow, row["system_id"])
    limits = tuple(row["limits"].split())
    until = uow.now + row["seconds"]
    systems.change_budgets(uow, system.id, system.budgets.raised(Raise(identifier, limits, until), uow.now))
    changes = {
        "state": RaiseState.APPROVED.value,
        "approved_by": by.id,
        "approved_at": uow.now,
        "until_at": until,
    }
    uow.conn.execute(update(_TABLE).where(_TABLE.c.id == row["id"]).values(**changes))
    _record(uow, Act.BUDGET_RAISED, by, system.id, row["id"], limits)
    return _proposal(row | changes)


def withdraw(uow: UnitOfWork, identifier: str, by: OfficerRecord) -> Proposal:
    """Take back a proposal or end a raise early, which any officer may; record `budget.withdrawn`."""
    row = _locked(uow, identifier)
    if row["state"] == RaiseState.WITHDRAWN:
        raise UnknownProposal
    system = systems.locked(uow, row["system_id"])
    systems.change_budgets(uow, system.id, system.budgets.without(identifier))
    changes = {"state": RaiseState.WITHDRAWN.value}
    uow.conn.execute(update(_TABLE).where(_TABLE.c.id == row["id"]).values(**changes))
    _record(uow, Act.BUDGET_WITHDRAWN, by, system.id, row["id"], tuple(row["limits"].split()))
    return _proposal(row | changes)


def listed(conn: Connection) -> list[Proposal]:
    """Return every proposal and raise, newest first."""
    rows = conn.execute(select(_TABLE).order_by(col(BudgetRaise.proposed_at).desc(), col(BudgetRaise.id))).mappings()
    return [_proposal(dict(row)) for row in rows]


def _locked(uow: UnitOfWork, identifier: str) -> dict[str, Any]:
    try:
        key = bytes.fromhex(identifier)
    except ValueError:
        raise UnknownProposal from None
    row = uow.conn.execute(select(_TABLE).where(_TABLE.c.id == key).with_for_update()).mappings().one_or_none()
    if row is None:
        raise UnknownProposal
    return dict(row)


def _record(
    uow: UnitOfWork, act: Act, by: OfficerRecord, system_id: str, identifier: bytes, limits: tuple[str, ...]
) -> None:
    # Quotas are spelt with `=`, which the log's alphabet lacks: a purpose by itself is told by its key alone.
    named = [f"budget:{each.replace('purpose=', '')}" for each in limits]
    pol = (f"system:{system_id}", f"raise:{identifier.hex()}", *named)
    uow.record(Entry(act, Outcome.ALLOW, Actor(ActorKind.OFFICER, by.id), pol=pol))


def _proposal(row: dict[str, Any]) -> Proposal:
    return Proposal(
        row["id"].hex(),
        row["system_id"],
        tuple(row["limits"].split()),
        row["seconds"],
        RaiseState(row["state"]),
        row["proposed_by"],
        row["proposed_at"],
        row["approved_by"],
        row["until_at"],
    )
