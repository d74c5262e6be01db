"""Officers: the people who log in. Passwords are kept as Argon2id hashes (RFC 9106, second recommended choice)."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, select, update
from sqlmodel import col

from audit.entry import Act, Actor, Entry, Outcome
from vault.errors import InvalidRegistration, UnknownOfficer
from vault.signin import news, passwords
from vault.store.bulk import insert_rows
from vault.store.tables import Officer
from vault.unit import UnitOfWork

FOUNDERS: Final = ("founder-author", "founder-approver")
"""Who signs a deployment's first version: one process holds both keys, so that nothing else rests on them."""

_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")
_HASHER: Final = PasswordHasher()


class Role(StrEnum):
    """What an officer may do."""

    COMPLIANCE = "compliance"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    APPROVER = "approver"


class OfficerStatus(StrEnum):
    """Whether an officer may log in."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class OfficerRecord:
    """An officer as listed: no password hash."""

    id: str
    role: Role
    status: OfficerStatus
    created_at: int


def is_id(text: str) -> bool:
    """Whether a text has the form of an officer's id."""
    return _ID.fullmatch(text) is not None


def add(uow: UnitOfWork, officer_id: str, role: Role, password: str, by: Actor) -> OfficerRecord:
    """Add an officer and record `officer.created`. Raises `InvalidRegistration`, or `Conflict` if the id is taken.

    Of a password that is not to be taken `UnfitPassword` says why.
    """
    if not is_id(officer_id):
        raise InvalidRegistration("id")
    row = {
        "id": officer_id,
        "role": role.value,
        "status": OfficerStatus.ACTIVE.value,
        "password_hash": _hash(uow, officer_id, password),
        "created_at": uow.now,
    }
    insert_rows(uow.conn, Officer, [row])
    news.begin(uow, officer_id)
    uow.record(Entry(Act.OFFICER_CREATED, Outcome.ALLOW, by, pol=(f"officer:{officer_id}", f"role:{role}")))
    return OfficerRecord(officer_id, role, OfficerStatus.ACTIVE, uow.now)


def change_password(uow: UnitOfWork, officer_id: str, password: str) -> None:
    """Give an officer another password; the caller records why. Raises `UnfitPassword`."""
    hashed = _hash(uow, officer_id, password)
    uow.conn.execute(update(Officer).where(col(Officer.id) == officer_id).values(password_hash=hashed))


def listed(conn: Connection, skip: int = 0, most: int | None = None) -> list[OfficerRecord]:
    """Return officers, by id: all, or up to `most` behind the first `skip`."""
    columns = (col(Officer.id), col(Officer.role), col(Officer.status), col(Officer.created_at))
    rows = conn.execute(select(*columns).order_by(col(Officer.id)).offset(skip).limit(most))
    return [OfficerRecord(row.id, Role(row.role), OfficerStatus(row.status), row.created_at) for row in rows]


def get(conn: Connection, officer_id: str) -> OfficerRecord | None:
    """Return an officer by id, whatever the status."""
    columns = (col(Officer.id), col(Officer.role), col(Officer.status), col(Officer.created_at))
    row = conn.execute(select(*columns).where(col(Officer.id) == officer_id)).one_or_none()
    return None if row is None else OfficerRecord(row.id, Role(row.role), OfficerStatus(row.status), row.created_at)


def disable(uow: UnitOfWork, officer_id: str, by: Actor) -> OfficerRecord:
    """Forbid an officer to act; record `officer.disabled`. What they signed before stands. Raises `UnknownOfficer`."""
    found = get(uow.conn, officer_id)
    if found is None:
        raise UnknownOfficer
    uow.conn.execute(update(Officer).where(col(Officer.id) == officer_id).values(status=OfficerStatus.DISABLED.value))
    uow.record(Entry(Act.OFFICER_DISABLED, Outcome.ALLOW, by, pol=(f"officer:{officer_id}",)))
    return replace(found, status=OfficerStatus.DISABLED)


def active_founders(conn: Connection) -> list[str]:
    """Return the founding officers who may still sign."""
    return [each.id for each in listed(conn) if each.id in FOUNDERS and each.status is OfficerStatus.ACTIVE]


def password_fits(conn: Connection, officer_id: str, password: str) -> bool:
    """Tell whether an active officer has this password. An unknown id costs as much time as a wrong password."""
    row = conn.execute(
        select(col(Officer.password_hash), col(Officer.status)).where(col(Officer.id) == officer_id)
    ).one_or_none()
    try:
        _HASHER.verify(_nobody() if row is None else row.password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
    return row is not None and row.status == OfficerStatus.ACTIVE


def _hash(uow: UnitOfWork, officer_id: str, password: str) -> str:
    # Here, as every password passes here: of `officer add`, of a set-up, of a change.
    passwords.check(password, passwords.words_of(officer_id, uow.vault.deployment, uow.vault.bundle))
    return _HASHER.hash(password, salt=uow.vault.entropy.bytes(16))


@cache
def _nobody() -> str:
    # Verified in place of an officer that does not exist; the same cost, and a password nobody can type.
    return _HASHER.hash("\x00" * 32, salt=bytes(16))
