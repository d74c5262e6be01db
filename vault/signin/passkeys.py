"""Officers' passkeys as stored: what a WebAuthn ceremony (`api.console.ceremony`) has verified, and what the next needs."""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, delete, func, select, update
from sqlmodel import col

from audit.entry import Act, Entry, Outcome
from vault.errors import InvalidRegistration, UnknownCredential
from vault.signin import news
from vault.signin.news import News
from vault.signin.sessions import actor
from vault.store.bulk import insert_rows
from vault.store.tables import Officer, OfficerCode, OfficerPasskey
from vault.unit import UnitOfWork

MOST: Final = 10  # of one officer
LONGEST_LABEL: Final = 64


class LastWayIn(InvalidRegistration):
    """The officer would be left with no way in."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey. `sign_count` is what its device counted when it was last used; `public_key` a COSE_Key."""

    credential_id: bytes = field(repr=False)
    officer_id: str
    public_key: bytes = field(repr=False)
    sign_count: int
    label: str
    added_at: int
    used_at: int | None


def add(uow: UnitOfWork, officer_id: str, credential_id: bytes, public_key: bytes, sign_count: int, label: str) -> None:
    """Keep a passkey that was just made; record `officer.credential_added`. Raises `Conflict` for one that is known."""
    _alone(uow, officer_id)
    if len(of(uow.conn, officer_id)) >= MOST:
        raise InvalidRegistration("passkeys: ten at most")
    name = " ".join(label.split())[:LONGEST_LABEL]
    row: dict[str, object] = {"credential_id": credential_id, "officer_id": officer_id, "public_key": public_key}
    row |= {"sign_count": sign_count, "label": name, "added_at": uow.now, "used_at": None}
    insert_rows(uow.conn, OfficerPasskey, [row])
    news.note(uow, officer_id, News.PASSKEY_ADDED)
    said = (f"officer:{officer_id}", "credential:passkey")
    uow.record(Entry(Act.OFFICER_CREDENTIAL_ADDED, Outcome.ALLOW, actor(officer_id), pol=said))


def of(conn: Connection, officer_id: str) -> list[Passkey]:
    """Return an officer's passkeys, the oldest first."""
    rows = conn.execute(_ALL.where(col(OfficerPasskey.officer_id) == officer_id).order_by(col(OfficerPasskey.added_at)))
    return [Passkey(*row) for row in rows]


def counted(conn: Connection) -> dict[str, int]:
    """Return how many passkeys each officer has who has any."""
    mine = col(OfficerPasskey.officer_id)
    return {str(who): int(count) for who, count in conn.execute(select(mine, func.count()).group_by(mine))}


def get(conn: Connection, credential_id: bytes) -> Passkey | None:
    """Return a passkey by its credential id."""
    row = conn.execute(_ALL.where(col(OfficerPasskey.credential_id) == credential_id)).one_or_none()
    return None if row is None else Passkey(*row)


def used(uow: UnitOfWork, passkey: Passkey, sign_count: int) -> None:
    """Note that a passkey was used, and what its device counts now."""
    uow.conn.execute(
        update(OfficerPasskey)
        .where(col(OfficerPasskey.credential_id) == passkey.credential_id)
        .values(sign_count=sign_count, used_at=uow.now)
    )


def remove(uow: UnitOfWork, officer_id: str, credential_id: bytes, *, alone: bool = False) -> None:
    """Forget one of an officer's own; record `officer.credential_removed`.

    Raises `UnknownCredential`, and `LastWayIn` where nothing would be left to sign in with: `alone`, where a
    password and a code are no way in.
    """
    _alone(uow, officer_id)
    coded = uow.conn.scalar(select(col(OfficerCode.officer_id)).where(col(OfficerCode.officer_id) == officer_id))
    if (alone or coded is None) and [each.credential_id for each in of(uow.conn, officer_id)] == [credential_id]:
        raise LastWayIn
    mine = (col(OfficerPasskey.credential_id) == credential_id) & (col(OfficerPasskey.officer_id) == officer_id)
    if uow.conn.execute(delete(OfficerPasskey).where(mine)).rowcount != 1:
        raise UnknownCredential
    news.note(uow, officer_id, News.PASSKEY_REMOVED)
    said = (f"officer:{officer_id}", "credential:passkey")
    uow.record(Entry(Act.OFFICER_CREDENTIAL_REMOVED, Outcome.ALLOW, actor(officer_id), pol=said))


def _alone(uow: UnitOfWork, officer_id: str) -> None:
    # What is counted here must still hold when it is written: two passkeys taken away at once would leave none. SQLite's
    # units write one after the other anyway.
    uow.conn.execute(select(col(Officer.id)).where(col(Officer.id) == officer_id).with_for_update())


_ALL: Final = select(
    col(OfficerPasskey.credential_id), col(OfficerPasskey.officer_id), col(OfficerPasskey.public_key),
    col(OfficerPasskey.sign_count), col(OfficerPasskey.label), col(OfficerPasskey.added_at), col(OfficerPasskey.used_at),
)  # fmt: skip
