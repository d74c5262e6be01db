"""Officers' signatures under a policy version: what is signed, by whom as what, and whether it stands."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select
from sqlmodel import col

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault.errors import NotSigned
from vault.governance import officerkeys
from vault.officers import Role
from vault.store.bulk import insert_rows
from vault.store.tables import PolicySignature
from vault.unit import UnitOfWork

Sign = Callable[[bytes], bytes]
"""Makes a signature over a text: with a key at hand, or by handing over one made elsewhere."""


class Part(StrEnum):
    """As what an officer signs."""

    AUTHOR = "author"
    APPROVER = "approver"
    REFUSAL = "refusal"


_ROLE: Final[Mapping[Part, Role]] = {
    Part.AUTHOR: Role.COMPLIANCE, Part.APPROVER: Role.APPROVER, Part.REFUSAL: Role.APPROVER,
}  # fmt: skip


def message(deployment: str, number: int, digest: bytes, part: Part) -> bytes:
    """Return the text that an officer signs, as bytes: five lines of ASCII (docs/formats.md)."""
    return (
        f"ecrin-policy-signature v1\ndeployment: {deployment}\nversion: {number}\npart: {part}\nbundle: {digest.hex()}\n"
    ).encode("ascii")


def add(uow: UnitOfWork, number: int, digest: bytes, part: Part, officer_id: str, sign: Sign) -> None:
    """Check and keep an officer's signature; record `policy.signed`.

    Raises `UnknownOfficer`, or `NotSigned`: another text, the wrong role, or the officer who signed the other part.
    """
    other = uow.conn.scalar(select(col(PolicySignature.officer_id)).where(col(PolicySignature.number) == number))
    if other == officer_id:
        raise NotSigned("nobody approves their own")
    signer = signatory(uow.conn, officer_id, part)
    text = message(uow.vault.deployment, number, digest, part)
    signature = sign(text)
    signer.check(text, signature)
    row = {"number": number, "role": part.value, "officer_id": officer_id, "fingerprint": signer.fingerprint}
    insert_rows(uow.conn, PolicySignature, [row | {"signature": signature, "signed_at": uow.now}])
    said = (*said_of(number, digest), f"part:{part}", f"key:{signer.fingerprint}")
    uow.record(Entry(Act.POLICY_SIGNED, Outcome.ALLOW, actor(officer_id), pol=said))


def signatory(conn: Connection, officer_id: str, part: Part) -> officerkeys.Signatory:
    """Return an officer who may sign as `part`. Raises `UnknownOfficer`, or `NotSigned` for another role."""
    signer = officerkeys.signatory(conn, officer_id)
    if signer.role is not _ROLE[part]:
        raise NotSigned(f"to sign as {part} takes the role {_ROLE[part]}")
    return signer


def check(conn: Connection, deployment: str, number: int, digest: bytes) -> None:
    """Raise `NotSigned` unless two different officers signed this version, as author and as approver."""
    rows = conn.execute(
        select(
            col(PolicySignature.role),
            col(PolicySignature.officer_id),
            col(PolicySignature.fingerprint),
            col(PolicySignature.signature),
        ).where(col(PolicySignature.number) == number)
    ).all()
    if {row.role for row in rows} != {Part.AUTHOR, Part.APPROVER}:
        raise NotSigned("a version needs the signatures of an author and of an approver")
    if len({row.officer_id for row in rows}) != 2 or len({row.fingerprint for row in rows}) != 2:  # noqa: PLR2004
        raise NotSigned("nobody approves their own")
    for row in rows:
        key = officerkeys.key_of(conn, row.officer_id, row.fingerprint)
        officerkeys.verify(key, message(deployment, number, digest, Part(row.role)), row.signature)


def said_of(number: int, digest: bytes) -> tuple[str, ...]:
    """Name a version as the log's entries do."""
    return f"bundle:{digest.hex()}", f"version:{number}"


def actor(officer_id: str) -> Actor:
    """Name an officer as the log's entries do."""
    return Actor(ActorKind.OFFICER, officer_id)
