"""Sessions of the officers' console: opaque, kept as hashes, replaced whenever what they may do changes.

    door --sign-in--> open --step-up--> open, for a while with more
    door --set-up code--> enrolling --first credential--> open

Each arrow ends one session and begins another under a new token, so that a token somebody planted or saw before is worth
nothing after (session fixation). The token is 256 random bits and is never stored; what forms carry against forgery and
what a passkey signs are derived from it, so nothing of either has to be kept.
"""

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, delete, select, update
from sqlmodel import col

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import officers
from vault.errors import SessionOver
from vault.officers import OfficerRecord, OfficerStatus
from vault.signin import news
from vault.signin.news import News
from vault.store.bulk import insert_rows
from vault.store.tables import OfficerSession
from vault.unit import UnitOfWork, Vault

TOKEN_BYTES: Final = 32
DOOR_SECONDS: Final = 900  # to find one's passkey
ENROLLING_SECONDS: Final = 1800
STEP_UP_SECONDS: Final = 300
MOST: Final = 5  # that one officer has open at once; with one more the one that was unused longest ends
TOUCH_SECONDS: Final = 30  # a session that is used writes no more often than this

_CSRF: Final = b"ecrin/console/form/v1"
_CHALLENGE: Final = b"ecrin/console/challenge/v1"
_ENROLMENT: Final = b"ecrin/console/one-time/v1"
_SECRET_BYTES: Final = 20  # RFC 4226 §4 R6


class Stage(StrEnum):
    """What a session is for."""

    DOOR = "door"
    ENROLLING = "enrolling"
    OPEN = "open"


class Method(StrEnum):
    """How the officer behind a session was known."""

    NONE = "none"
    PASSKEY = "passkey"
    CODE = "code"
    INVITATION = "invitation"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an open session lasts: without a request, and at most. Seconds."""

    idle: int
    longest: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is good now. `officer` is None at the door alone."""

    token: bytes = field(repr=False)
    stage: Stage
    officer: OfficerRecord | None
    method: Method
    stepped_at: int | None
    expires_at: int

    @property
    def csrf(self) -> str:
        """Return what each form of this session carries."""
        return hmac.digest(self.token, _CSRF, "sha256").hex()

    @property
    def challenge(self) -> bytes:
        """Return what a passkey signs in this session, 32 bytes: good once, as whatever is signed ends the session."""
        return hmac.digest(self.token, _CHALLENGE, "sha256")

    @property
    def enrolment(self) -> bytes:
        """Return the secret that an authenticator application is offered in this session, 20 bytes."""
        return hmac.digest(self.token, _ENROLMENT, "sha256")[:_SECRET_BYTES]

    def fits(self, form: str) -> bool:
        """Tell whether a form came from this session's own pages."""
        return hmac.compare_digest(self.csrf.encode(), form.encode())

    def is_raised(self, now: int) -> bool:
        """Whether the officer proved a moment ago to be there."""
        return self.stepped_at is not None and now < self.stepped_at + STEP_UP_SECONDS


@dataclass(frozen=True, slots=True)
class Listed:
    """One open session as its officer and operators see it. `name` tells it from the others and opens nothing."""

    name: str
    officer_id: str
    method: Method
    opened_at: int
    seen_at: int


def begin(uow: UnitOfWork) -> Session:
    """Begin a session of nobody's: it can be used to sign in."""
    return _new(uow, Stage.DOOR, None, Method.NONE, None, uow.now + DOOR_SECONDS)


def find(vault: Vault, token: bytes, limits: Limits) -> Session | None:
    """Return the session of a token while it is good and its officer active; note that it is used."""
    now = vault.clock.now()
    columns = (
        col(OfficerSession.stage), col(OfficerSession.officer_id), col(OfficerSession.method), col(OfficerSession.seen_at),
        col(OfficerSession.stepped_at), col(OfficerSession.expires_at),
    )  # fmt: skip
    mine = col(OfficerSession.token_hash) == _hash(token)
    with vault.reading() as conn:
        row = conn.execute(select(*columns).where(mine)).one_or_none()
        if row is None or now >= row.expires_at or now >= row.seen_at + limits.idle:
            return None
        officer = None if row.officer_id is None else _active(conn, row.officer_id)
    stage = Stage(row.stage)
    if (officer is None) != (stage is Stage.DOOR):
        return None
    if now >= row.seen_at + TOUCH_SECONDS:
        with vault.unit() as uow:
            uow.conn.execute(update(OfficerSession).where(mine).values(seen_at=now))
            uow.commit()
    return Session(token, stage, officer, Method(row.method), row.stepped_at, row.expires_at)


def enrol(uow: UnitOfWork, door: Session, officer_id: str) -> Session:
    """Let an officer who came with a set-up code choose how to sign in. Raises `SessionOver`."""
    _end(uow, door)
    officer = _active(uow.conn, officer_id)
    return _new(uow, Stage.ENROLLING, officer, Method.INVITATION, None, uow.now + ENROLLING_SECONDS)


def sign_in(uow: UnitOfWork, before: Session, officer_id: str, method: Method, limits: Limits) -> Session:
    """Open a session in place of the one at the door; record `auth.succeeded`. Raises `SessionOver`.

    Of more than `MOST` the one that was unused longest ends, as `auth.ended` says.
    """
    _end(uow, before)
    officer = _active(uow.conn, officer_id)
    if officer is None:
        raise SessionOver
    uow.record(Entry(Act.AUTH_SUCCEEDED, Outcome.ALLOW, actor(officer_id), pol=(f"auth.{method}",)))
    news.note(uow, officer_id, News.SIGNED_IN)
    over = [each.name for each in listed(uow.conn, uow.now, limits, officer_id)[MOST - 1 :]]
    if over:
        _drop(uow, officer_id, over, "auth.too_many_sessions", actor(officer_id))
    # Whoever has just signed in has just proved to be there.
    return _new(uow, Stage.OPEN, officer, method, uow.now, uow.now + limits.longest)


def step_up(uow: UnitOfWork, before: Session, method: Method) -> Session:
    """Go on under a new token, for a while with more; record `auth.succeeded`. Raises `SessionOver`."""
    mine = col(OfficerSession.token_hash) == _hash(before.token)
    opened_at = uow.conn.scalar(select(col(OfficerSession.created_at)).where(mine))
    _end(uow, before)
    if before.officer is None or before.stage is not Stage.OPEN:
        raise SessionOver
    said = ("auth.step_up", f"auth.{method}")
    uow.record(Entry(Act.AUTH_SUCCEEDED, Outcome.ALLOW, actor(before.officer.id), pol=said))
    return _new(uow, Stage.OPEN, before.officer, before.method, uow.now, before.expires_at, opened_at)


def renew(uow: UnitOfWork, before: Session) -> Session:
    """Go on as before under a new token: whoever has a copy of the old one is out. Raises `SessionOver`."""
    mine = col(OfficerSession.token_hash) == _hash(before.token)
    opened_at = uow.conn.scalar(select(col(OfficerSession.created_at)).where(mine))
    _end(uow, before)
    return _new(uow, before.stage, before.officer, before.method, before.stepped_at, before.expires_at, opened_at)


def end(uow: UnitOfWork, session: Session) -> None:
    """End a session; record `auth.ended` for an officer's. One that is over already is over."""
    gone = uow.conn.execute(delete(OfficerSession).where(col(OfficerSession.token_hash) == _hash(session.token)))
    if gone.rowcount and session.officer is not None:
        uow.record(Entry(Act.AUTH_ENDED, Outcome.ALLOW, actor(session.officer.id)))


def end_others(uow: UnitOfWork, session: Session) -> int:
    """End every other session of an officer, those without a right among them; record `auth.ended` with their number.

    After a way in went, or changed, whoever used it is out.
    """
    if session.officer is None:
        return 0
    mine = col(OfficerSession.officer_id) == session.officer.id
    gone = uow.conn.execute(delete(OfficerSession).where(mine, col(OfficerSession.token_hash) != _hash(session.token)))
    return _ended(uow, gone.rowcount, actor(session.officer.id), "auth.others", session.officer.id)


def end_named(uow: UnitOfWork, session: Session, name: str) -> int:
    """End one other session of the same officer; record `auth.ended`. Nothing happens for a name that is not one."""
    if session.officer is None or name == _name(_hash(session.token)):
        return 0
    return _drop(uow, session.officer.id, [name], "auth.others", actor(session.officer.id))


def end_all(uow: UnitOfWork, officer_id: str | None, by: Actor) -> int:
    """End every session of an officer, or of all officers, doors and set-ups too; record `auth.ended`."""
    whose = [] if officer_id is None else [col(OfficerSession.officer_id) == officer_id]
    gone = uow.conn.execute(delete(OfficerSession).where(*whose)).rowcount
    return _ended(uow, gone, by, "auth.operator", officer_id or "")


def listed(conn: Connection, now: int, limits: Limits, officer_id: str | None = None) -> list[Listed]:
    """Return the sessions that are open, of one officer or of all, the one used last first."""
    columns = (
        col(OfficerSession.token_hash), col(OfficerSession.officer_id), col(OfficerSession.method),
        col(OfficerSession.created_at), col(OfficerSession.seen_at),
    )  # fmt: skip
    good = [col(OfficerSession.stage) == Stage.OPEN.value, col(OfficerSession.expires_at) > now]
    good += [col(OfficerSession.seen_at) > now - limits.idle]
    whose = [] if officer_id is None else [col(OfficerSession.officer_id) == officer_id]
    found = select(*columns).where(*good, *whose)
    rows = conn.execute(found.order_by(col(OfficerSession.seen_at).desc(), col(OfficerSession.created_at).desc()))
    return [Listed(_name(each), str(who), Method(how), opened, seen) for each, who, how, opened, seen in rows]


def is_named(session: Session, name: str) -> bool:
    """Tell whether a listed session is this one."""
    return name == _name(_hash(session.token))


def actor(officer_id: str) -> Actor:
    """Name an officer in the log."""
    return Actor(ActorKind.OFFICER, officer_id)


def _new(
    uow: UnitOfWork,
    stage: Stage,
    officer: OfficerRecord | None,
    method: Method,
    stepped_at: int | None,
    expires_at: int,
    opened_at: int | None = None,
) -> Session:
    # Why safe: 256 bits from the system's generator are not guessed, and only their hash is stored: whoever reads the
    # table, or an old backup of it, cannot speak for anybody. A random token needs no salt.
    token = uow.vault.entropy.bytes(TOKEN_BYTES)
    row: dict[str, object] = {
        "token_hash": _hash(token),
        "stage": stage.value,
        "officer_id": None if officer is None else officer.id,
    }
    row |= {"method": method.value, "created_at": uow.now if opened_at is None else opened_at, "seen_at": uow.now}
    insert_rows(uow.conn, OfficerSession, [row | {"stepped_at": stepped_at, "expires_at": expires_at}])
    return Session(token, stage, officer, method, stepped_at, expires_at)


def _end(uow: UnitOfWork, session: Session) -> None:
    # One request ends it and no other: two that race with one signature are one sign-in and one refusal.
    gone = uow.conn.execute(delete(OfficerSession).where(col(OfficerSession.token_hash) == _hash(session.token)))
    if gone.rowcount != 1:
        raise SessionOver


def _drop(uow: UnitOfWork, officer_id: str, names: list[str], why: str, by: Actor) -> int:
    theirs = uow.conn.execute(
        select(col(OfficerSession.token_hash)).where(col(OfficerSession.officer_id) == officer_id)
    )
    found = [each for (each,) in theirs if _name(each) in names]
    gone = uow.conn.execute(delete(OfficerSession).where(col(OfficerSession.token_hash).in_(found))).rowcount
    return _ended(uow, gone, by, why, officer_id)


def _ended(uow: UnitOfWork, count: int, by: Actor, why: str, officer_id: str) -> int:
    if count:
        said = (why, f"officer:{officer_id}") if officer_id else (why,)
        uow.record(Entry(Act.AUTH_ENDED, Outcome.ALLOW, by, pol=said, n=count))
    return count


def _active(conn: Connection, officer_id: str) -> OfficerRecord | None:
    officer = officers.get(conn, officer_id)
    return officer if officer is not None and officer.status is OfficerStatus.ACTIVE else None


def _name(token_hash: bytes) -> str:
    # Why safe: sixty-four bits of a hash of a random token are a name among five, and lead back to nothing.
    return token_hash[:8].hex()


def _hash(token: bytes) -> bytes:
    return sha256(token).digest()
