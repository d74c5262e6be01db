"""Set-up codes: how an officer comes to a first passkey. Made by an operator, handed over in person, good once.

A code is 128 random bits in Base32, so that it can be read out or typed. It is stored as a hash, for a day.
"""

from base64 import b32encode
from hashlib import sha256
from typing import Final

from sqlalchemy import delete, select
from sqlmodel import col

from audit.entry import Act, Actor, Entry, Outcome
from vault import officers
from vault.errors import UnknownCredential, UnknownOfficer
from vault.officers import OfficerStatus
from vault.signin import news
from vault.signin.news import News
from vault.store.bulk import insert_rows
from vault.store.tables import OfficerInvitation
from vault.unit import UnitOfWork

SECONDS: Final = 86_400

_BYTES: Final = 16
_GROUP: Final = 5


def invite(uow: UnitOfWork, officer_id: str, by: Actor) -> str:
    """Return a set-up code for an officer, in place of any before; record `officer.invited`. Raises `UnknownOfficer`."""
    officer = officers.get(uow.conn, officer_id)
    if officer is None or officer.status is not OfficerStatus.ACTIVE or officer_id in officers.FOUNDERS:
        raise UnknownOfficer
    uow.conn.execute(delete(OfficerInvitation).where(col(OfficerInvitation.officer_id) == officer_id))
    # Why safe: 128 random bits are not guessed, and need no salt.
    text = b32encode(uow.vault.entropy.bytes(_BYTES)).decode("ascii").rstrip("=")
    row = {"token_hash": _hash(text), "officer_id": officer_id, "expires_at": uow.now + SECONDS}
    insert_rows(uow.conn, OfficerInvitation, [row])
    news.note(uow, officer_id, News.INVITED)
    uow.record(Entry(Act.OFFICER_INVITED, Outcome.ALLOW, by, pol=(f"officer:{officer_id}",)))
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def accept(uow: UnitOfWork, code: str) -> str:
    """Use a set-up code up and return whose it is. Raises `UnknownCredential`."""
    mine = col(OfficerInvitation.token_hash) == _hash("".join(code.split()).replace("-", "").upper())
    row = uow.conn.execute(
        select(col(OfficerInvitation.officer_id), col(OfficerInvitation.expires_at)).where(mine)
    ).one_or_none()
    used = uow.conn.execute(delete(OfficerInvitation).where(mine)).rowcount
    if row is None or used != 1 or uow.now >= row.expires_at:
        raise UnknownCredential
    officer = officers.get(uow.conn, str(row.officer_id))
    if officer is None or officer.status is not OfficerStatus.ACTIVE:  # since it was made
        raise UnknownCredential
    return str(row.officer_id)


def _hash(text: str) -> bytes:
    return sha256(text.encode("utf-8", "replace")).digest()
