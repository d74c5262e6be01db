"""Sessions of the portal: a person who returned a code that was sent to a contact point on file.

    door --a code is asked for--> asked --the code--> open

As at the console (`vault.signin.sessions`) each arrow ends one session and begins another. A session knows a brand and
that brand's reference, sealed; whoever was erased meanwhile is behind no reference, and so behind no session.
"""

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update
from sqlmodel import col

from audit.entry import Act, Actor, Entry, Outcome
from vault.errors import SessionOver
from vault.store.bulk import insert_rows
from vault.store.tables import PortalSession
from vault.unit import UnitOfWork, Vault

TOKEN_BYTES: Final = 32
DOOR_SECONDS: Final = 900
OPEN_SECONDS: Final = 3600
IDLE_SECONDS: Final = 900
MOST: Final = 5  # that one person has open at once; with one more the one that was unused longest ends

_LABEL: Final = "portal/session"
_HOLDER: Final = "portal/holder"
_CSRF: Final = b"ecrin/portal/form/v1"


class Stage(StrEnum):
    """How far a visitor has come."""

    DOOR = "door"
    ASKED = "asked"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Visitor:
    """A session that is good now. `held` is the handle of a code that was sent, or the brand's reference."""

    token: bytes = field(repr=False)
    stage: Stage
    brand: str
    held: str = field(repr=False)

    @property
    def csrf(self) -> str:
        """Return what each form of this session carries."""
        return hmac.digest(self.token, _CSRF, "sha256").hex()

    def fits(self, form: str) -> bool:
        """Tell whether a form came from this session's own pages."""
        return hmac.compare_digest(self.csrf.encode(), form.encode())


@dataclass(frozen=True, slots=True)
class Listed:
    """One open session as its person sees it. `name` tells it from the others and opens nothing."""

    name: str
    opened_at: int
    seen_at: int
    mine: bool


def begin(uow: UnitOfWork) -> Visitor:
    """Begin a session of nobody's."""
    return _new(uow, Stage.DOOR, "", "", uow.now + DOOR_SECONDS)


def asked(uow: UnitOfWork, before: Visitor, brand: str, handle: str) -> Visitor:
    """Remember that a code was asked for. Raises `SessionOver`."""
    _end(uow, before)
    return _new(uow, Stage.ASKED, brand, handle, uow.now + DOOR_SECONDS)


def opened(uow: UnitOfWork, before: Visitor, brand: str, reference: str) -> Visitor:
    """Let in whoever returned the code; of more than `MOST` the one unused longest ends. Raises `SessionOver`."""
    _end(uow, before)
    holder = holder_of(uow.vault, brand, reference)
    _drop(uow, [each for each, *_ in _open(uow, holder)][MOST - 1 :])
    return _new(uow, Stage.OPEN, brand, reference, uow.now + OPEN_SECONDS, holder)


def holder_of(vault: Vault, brand: str, reference: str) -> bytes:
    """Return what a person's sessions have in common, 16 bytes: a keyed hash, from which nobody is found without the keys.

    It lives as long as the session does, an hour and the time until old rows are dropped.
    """
    (mac,) = vault.keys.mac(_HOLDER, [f"{brand}\0{reference}".encode()])
    return mac[:16]


def listed(uow: UnitOfWork, visitor: Visitor) -> list[Listed]:
    """Return the person's open sessions, the one used last first."""
    own = _hash(visitor.token)
    found = _open(uow, holder_of(uow.vault, visitor.brand, visitor.held))
    return [
        Listed(each[:8].hex(), expires_at - OPEN_SECONDS, seen_at, each == own) for each, seen_at, expires_at in found
    ]


def end_others(uow: UnitOfWork, visitor: Visitor, name: str = "") -> int:
    """End the person's other sessions, or the one of that name alone; return how many."""
    own = _hash(visitor.token)
    found = [each for each, *_ in _open(uow, holder_of(uow.vault, visitor.brand, visitor.held)) if each != own]
    return _drop(uow, [each for each in found if name in {"", each[:8].hex()}])


def end_all(uow: UnitOfWork, holder: bytes | None, by: Actor) -> int:
    """End every session of one person, or of everybody at the portal; record `auth.ended` with their number."""
    whose = [] if holder is None else [col(PortalSession.holder) == holder]
    gone = uow.conn.execute(delete(PortalSession).where(*whose)).rowcount
    if gone:
        uow.record(Entry(Act.AUTH_ENDED, Outcome.ALLOW, by, pol=("auth.operator", "auth.portal"), n=gone))
    return gone


def end(uow: UnitOfWork, visitor: Visitor) -> None:
    """End a session; one that is over is over."""
    uow.conn.execute(delete(PortalSession).where(_of(visitor.token)))


def find(vault: Vault, token: bytes) -> Visitor | None:
    """Return the session of a token while it is good; note that it is used. Raises `Sealed` in a sealed vault."""
    now = vault.clock.now()
    with vault.reading() as conn:
        row = conn.execute(select(PortalSession.__table__).where(_of(token))).one_or_none()  # type: ignore[attr-defined]
    if row is None or now >= row.expires_at or now >= row.seen_at + IDLE_SECONDS:
        return None
    (held,) = vault.keys.open(_LABEL, [(row.token_hash, row.sealed)])
    if held is None:
        return None
    if now >= row.seen_at + 30:
        with vault.unit() as uow:
            uow.conn.execute(update(PortalSession).where(_of(token)).values(seen_at=now))
            uow.commit()
    return Visitor(token, Stage(row.stage), row.brand, held.decode())


def _new(uow: UnitOfWork, stage: Stage, brand: str, held: str, expires_at: int, holder: bytes | None = None) -> Visitor:
    # Why safe: as `vault.signin.sessions`, 256 random bits of which only the hash is stored.
    token = uow.vault.entropy.bytes(TOKEN_BYTES)
    (sealed,) = uow.vault.keys.seal(_LABEL, [(_hash(token), held.encode())])
    row: dict[str, object] = {"token_hash": _hash(token), "stage": stage.value, "brand": brand, "sealed": sealed}
    insert_rows(uow.conn, PortalSession, [row | {"seen_at": uow.now, "expires_at": expires_at, "holder": holder}])
    return Visitor(token, stage, brand, held)


def _open(uow: UnitOfWork, holder: bytes) -> list[tuple[bytes, int, int]]:
    columns = (col(PortalSession.token_hash), col(PortalSession.seen_at), col(PortalSession.expires_at))
    good = (col(PortalSession.expires_at) > uow.now) & (col(PortalSession.seen_at) > uow.now - IDLE_SECONDS)
    rows = uow.conn.execute(select(*columns).where(col(PortalSession.holder) == holder, good))
    return sorted(
        [(each, seen, expires) for each, seen, expires in rows], key=lambda each: (-each[1], -each[2], each[0])
    )


def _drop(uow: UnitOfWork, hashes: list[bytes]) -> int:
    return uow.conn.execute(delete(PortalSession).where(col(PortalSession.token_hash).in_(hashes))).rowcount


def _end(uow: UnitOfWork, visitor: Visitor) -> None:
    if uow.conn.execute(delete(PortalSession).where(_of(visitor.token))).rowcount != 1:
        raise SessionOver


def _of(token: bytes) -> ColumnElement[bool]:
    return col(PortalSession.token_hash) == _hash(token)


def _hash(token: bytes) -> bytes:
    return sha256(token).digest()
