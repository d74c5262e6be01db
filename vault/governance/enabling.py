"""Letting a system act again that was disabled or frozen: on one officer's signature, good for that one time."""

from typing import Final

from audit.entry import Act
from vault import systems
from vault.governance import signatures
from vault.governance.proposals import digest
from vault.governance.signatures import Matter, Sign, Thing, actor
from vault.officers import Role
from vault.systems import SystemRecord
from vault.unit import Vault

ENABLE: Final = "enable"
SYSTEM: Final = Matter("system", {ENABLE: frozenset({Role.COMPLIANCE, Role.APPROVER})})


def thing_of(system: SystemRecord) -> Thing:
    """Name a system as it stands for a signature: who disables it steps its epoch, and the next word is another one."""
    return Thing(SYSTEM, system.id, digest(system.id.encode(), str(system.epoch).encode()))


def enable(vault: Vault, system_id: str, officer_id: str, sign: Sign) -> SystemRecord:
    """Let a system act again, with new tokens; record `system.changed`.

    Raises `UnknownSystem`, `UnknownOfficer`, `NotSigned`.
    """
    with signatures.denials(vault, Act.SYSTEM_CHANGED, officer_id, ("change:enabled",)), vault.unit() as uow:
        system = systems.locked(uow, system_id)
        signed = signatures.add(uow, thing_of(system), ENABLE, officer_id, sign)
        enabled = systems.enable(uow, system.id, actor(officer_id), signed)
        uow.commit()
    return enabled
