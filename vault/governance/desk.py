"""The text of an act that an officer signs at a desk of their own, before they hand the signature in."""

from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from vault import budgetraises, joins, systems
from vault.errors import UnknownProposal, UnknownSystem
from vault.governance import enabling, proposals, signatures
from vault.governance.cases import CASE, Step
from vault.governance.signatures import Matter, Thing
from vault.unit import Vault


class Elsewhere(StrEnum):
    """Acts on what there is already. What an officer begins is named first: `vault.governance.beginning`."""

    JOIN_APPROVE = "join.approve"
    JOIN_WITHDRAW = "join.withdraw"
    RAISE_APPROVE = "raise.approve"
    RAISE_WITHDRAW = "raise.withdraw"
    CASE_SHOW = "case.show"
    CASE_APPROVE = "case.approve"
    CASE_REFUSE = "case.refuse"
    CASE_LOOK = "case.look"
    CASE_JUSTIFIED = "case.justified"
    CASE_UNJUSTIFIED = "case.unjustified"
    SYSTEM_ENABLE = "system.enable"


_BEGINS: Final[dict[str, tuple[Matter, str]]] = {
    "join": (joins.JOINS.matter, proposals.Part.PROPOSE),
    "raise": (budgetraises.RAISES.matter, proposals.Part.PROPOSE),
    "case": (CASE, Step.ASK),
}


def text(vault: Vault, conn: Connection, act: Elsewhere, on: str, officer_id: str) -> bytes:
    """Return what an officer signs next for an act on a thing. Raises `UnknownProposal`, `UnknownSystem`."""
    name, _, part = act.partition(".")
    return next_text(vault, conn, _thing(conn, name, on), part, officer_id)


def next_text(vault: Vault, conn: Connection, thing: Thing, part: str, officer_id: str) -> bytes:
    """Return what an officer signs next for a part of a thing."""
    return signatures.next_text(conn, vault.deployment, thing, part, officer_id)


def _thing(conn: Connection, name: str, on: str) -> Thing:
    if name == enabling.SYSTEM.name:
        system = systems.get(conn, on)
        if system is None:
            raise UnknownSystem
        return enabling.thing_of(system)
    matter, begins = _BEGINS[name]
    if begins not in signatures.signers(conn, matter, [on]).get(on, {}):
        raise UnknownProposal
    return signatures.said(conn, matter, on, begins)
