"""The first policy version: how a new deployment comes to a signed bundle before it has officers of its own.

Two founding officers are added whose keys were drawn a moment ago, and both really sign. On one host, in one process,
that is no second pair of eyes, and nothing says so: their names begin with `founder-`, the log shows them created and
signing, and `ecrin doctor` tells until officers of the house have signed a version of their own: as a fact while there
is nobody who could, as a failure from then on (docs/decisions/0032-signed-bundles.md). With that version the founders
are disabled; until then they sign policy versions and nothing else.
"""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection

from audit.entry import Actor, ActorKind
from vault import officers
from vault.governance import officerkeys, versions
from vault.officers import Role
from vault.unit import Vault

AUTHOR, APPROVER = officers.FOUNDERS
ROLES: Final[Mapping[str, Role]] = {AUTHOR: Role.COMPLIANCE, APPROVER: Role.APPROVER}

_FOUNDING = Actor(ActorKind.VAULT, "founding")


def is_overdue(conn: Connection, version: versions.Version) -> bool:
    """Whether a version rests on a founder although the house has an author and an approver with keys by now."""
    return versions.is_founding(version) and set(ROLES.values()) <= officerkeys.roles_of_the_house(conn)


def is_unfounded(vault: Vault) -> bool:
    """Whether no version is in force yet."""
    with vault.reading() as conn:
        return versions.active_number(conn) is None


def found(
    vault: Vault, files: Mapping[str, bytes], name: str, keys: Mapping[str, Ed25519PrivateKey]
) -> versions.Version:
    """Put a bundle in force in a deployment that has none, signed with the founders' `keys`.

    Safe to repeat after a crash with the same keys. Raises `InvalidBundle`.
    """
    with vault.reading() as conn:
        known = {each.id for each in officers.listed(conn)}
    versions.checked(name, files, None)
    with vault.unit() as uow:
        for officer_id in [each for each in ROLES if each not in known]:
            # Nobody knows this password: a founder signs, and never logs in.
            officers.add(uow, officer_id, ROLES[officer_id], vault.entropy.bytes(32).hex(), _FOUNDING)
            public = keys[officer_id].public_key()
            der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            officerkeys.register(uow, officer_id, der, _FOUNDING)
        uow.commit()
    proposed = versions.propose(vault, files, name, AUTHOR, keys[AUTHOR].sign)
    versions.approve(vault, proposed.number, APPROVER, keys[APPROVER].sign)
    return versions.activate(vault, proposed.number, _FOUNDING)
