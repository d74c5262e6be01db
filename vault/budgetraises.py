"""Raises of budgets: one officer proposes, another approves, and the raise ends by itself.

Nothing else makes a budget larger once a system is registered. A raise is in force from the approval on and for the
time proposed; the system's row carries it, so that no look costs a question more.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select
from sqlmodel import col

from audit.entry import Act, Entry, Outcome
from vault import systems
from vault.budgetlimits import Raise, quotas_of
from vault.errors import Conflict, InvalidRegistration, UnknownProposal, UnknownSystem
from vault.governance import proposals, signatures
from vault.governance.beginning import Begun
from vault.governance.proposals import ID_BYTES, Kind, Part, State, digest
from vault.governance.signatures import Sign, Thing, actor
from vault.officers import Role
from vault.store.tables import BudgetRaise
from vault.systems import SystemRecord
from vault.unit import UnitOfWork, Vault

LONGEST: Final = 7 * 86_400  # seconds: what is needed for longer is no raise but another registration

_TABLE: Final = BudgetRaise.__table__  # type: ignore[attr-defined]

RAISES: Final = Kind(
    proposals.matter("raise", {Role.OPERATOR, Role.COMPLIANCE, Role.APPROVER}), _TABLE, Act.BUDGET_EXPIRED
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A raise as listed. `until_at` is None until it is approved."""

    id: str
    system_id: str
    limits: tuple[str, ...]
    seconds: int
    state: State
    proposed_by: str
    proposed_at: int
    approved_by: str | None
    until_at: int | None


def propose(
    vault: Vault,
    system_id: str,
    limits: tuple[str, ...],
    seconds: int,
    officer_id: str,
    sign: Sign,
    begun: Begun | None = None,
) -> Proposal:
    """Propose higher limits for `seconds`; record `budget.proposed`. `begun` names it where its text was signed elsewhere.

    Raises `UnknownSystem`, `UnknownOfficer`, `NotSigned`, `Conflict` for what was proposed already, or
    `InvalidRegistration` for a limit that is misspelt, would not be higher or is on nothing that is limited.
    """
    # Why safe: no secret; 64 random bits do not meet by chance, and the primary key would say so.
    identifier = vault.entropy.bytes(ID_BYTES) if begun is None else begun.id[:ID_BYTES]
    with (
        signatures.denials(vault, Act.BUDGET_PROPOSED, officer_id, (f"raise:{identifier.hex()}",)),
        vault.unit() as uow,
    ):
        content = _content(systems.locked(uow, system_id), limits, seconds)
        if uow.conn.scalar(select(_TABLE.c.id).where(_TABLE.c.id == identifier)) is not None:
            raise Conflict("budget_raise")
        row, signed = proposals.propose(
            uow, RAISES, identifier, content | {"until_at": None}, _says(content), officer_id, sign
        )
        _record(uow, Act.BUDGET_PROPOSED, officer_id, row, signed)
        uow.commit()
    return _proposal(row)


def text(
    vault: Vault,
    conn: Connection,
    system_id: str,
    limits: tuple[str, ...],
    seconds: int,
    officer_id: str,
    begun: Begun,
) -> bytes:
    """Return what an officer signs to propose a raise. Raises as `propose` of one that could not be proposed."""
    system = systems.get(conn, system_id)
    if system is None:
        raise UnknownSystem
    thing = Thing(RAISES.matter, begun.id[:ID_BYTES].hex(), _says(_content(system, limits, seconds)))
    return signatures.next_text(conn, vault.deployment, thing, Part.PROPOSE, officer_id)


def approve(vault: Vault, identifier: str, officer_id: str, sign: Sign) -> Proposal:
    """Put a raise in force; record `budget.raised`.

    Raises `UnknownProposal`, `UnknownOfficer`, `NotSigned` also for the proposer, `IntegrityFailure` if it was altered.
    """
    with (
        signatures.denials(vault, Act.BUDGET_RAISED, officer_id, proposals.said_of("raise", identifier)),
        vault.unit() as uow,
    ):
        row = proposals.waiting(uow, RAISES, identifier)
        system = systems.locked(uow, row["system_id"])
        until = uow.now + row["seconds"]
        raised = Raise(row["id"].hex(), tuple(row["limits"].split()), until)
        systems.change_budgets(uow, system.id, system.budgets.raised(raised, uow.now))
        made, signed = proposals.approve(uow, RAISES, row, _says(row), officer_id, sign, until_at=until)
        _record(uow, Act.BUDGET_RAISED, officer_id, row, signed)
        uow.commit()
    return _proposal(made)


def withdraw(vault: Vault, identifier: str, officer_id: str, sign: Sign) -> Proposal:
    """Take back a proposal or end a raise early, which any officer may; record `budget.withdrawn`. Raises as `approve`."""
    with (
        signatures.denials(vault, Act.BUDGET_WITHDRAWN, officer_id, proposals.said_of("raise", identifier)),
        vault.unit() as uow,
    ):
        row = proposals.locked(uow, RAISES, identifier)
        if row["state"] not in {State.PROPOSED, State.APPROVED}:
            raise UnknownProposal
        system = systems.locked(uow, row["system_id"])
        systems.change_budgets(uow, system.id, system.budgets.without(row["id"].hex()))
        made, signed = proposals.withdraw(uow, RAISES, row, officer_id, sign)
        _record(uow, Act.BUDGET_WITHDRAWN, officer_id, row, signed)
        uow.commit()
    return _proposal(made)


def listed(conn: Connection) -> list[Proposal]:
    """Return every proposal and raise, newest first."""
    rows = conn.execute(select(_TABLE).order_by(col(BudgetRaise.proposed_at).desc(), col(BudgetRaise.id))).mappings()
    return [_proposal(dict(row)) for row in rows]


def _content(system: SystemRecord, limits: tuple[str, ...], seconds: int) -> dict[str, Any]:
    """Return the columns of a raise. Raises `InvalidRegistration`."""
    standing = quotas_of(system.budgets.spelt)
    wanted = quotas_of(limits)
    if not wanted or any(quota <= standing.get(where, quota) for where, quota in wanted.items()):
        raise InvalidRegistration("budget: a raise is of limits that stand, and higher")
    if not 0 < seconds <= LONGEST:
        raise InvalidRegistration("budget: for up to seven days")
    return {"system_id": system.id, "limits": " ".join(sorted(limits)), "seconds": seconds}


def _says(row: dict[str, Any]) -> bytes:
    return digest(row["system_id"].encode(), row["limits"].encode(), str(row["seconds"]).encode())


def _record(uow: UnitOfWork, act: Act, officer_id: str, row: dict[str, Any], signed: tuple[str, ...]) -> None:
    # Quotas are spelt with `=`, which the log's alphabet lacks: a purpose by itself is told by its key alone.
    named = [f"budget:{each.replace('purpose=', '')}" for each in row["limits"].split()]
    pol = (f"system:{row['system_id']}", f"raise:{row['id'].hex()}", *named, *signed)
    uow.record(Entry(act, Outcome.ALLOW, actor(officer_id), pol=pol))


def _proposal(row: dict[str, Any]) -> Proposal:
    return Proposal(
        row["id"].hex(),
        row["system_id"],
        tuple(row["limits"].split()),
        row["seconds"],
        State(row["state"]),
        row["proposed_by"],
        row["proposed_at"],
        row["approved_by"],
        row["until_at"],
    )
