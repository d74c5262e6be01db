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

from vault.errors import SessionOver
from vault.store.bulk import insert_rows
from vault.store.tables import PortalSession
from vault.unit import UnitOfWork, Vault

TOKEN_BYTES: Final = 32
DOOR_SECONDS: Final = 900
OPEN_SECONDS: Final = 3600
IDLE_SECONDS: Final = 900

_LABEL: Final = "portal/session"
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


def begin(uow: UnitOfWork) -> Visitor:
    """Begin a session of nobody's."""
    return _new(uow, Stage.DOOR, "", "", uow.now + DOOR_SECONDS)


def asked(uow: UnitOfWork, before: Visitor, brand: str, handle: str) -> Visitor:
    """Remember that a code was asked for. Raises `SessionOver`."""
    _end(uow, before)
    return _new(uow, Stage.ASKED, brand, handle, uow.now + DOOR_SECONDS)


def opened(uow: UnitOfWork, before: Visitor, brand: str, reference: str) -> Visitor:
    """Let in whoever returned the code. Raises `SessionOver`."""
    _end(uow, before)
    return _new(uow, Stage.OPEN, brand, reference, uow.now + OPEN_SECONDS)


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


def _new(uow: UnitOfWork, stage: Stage, brand: str, held: str, expires_at: int) -> Visitor:
    # Why safe: as `vault.signin.sessions`, 256 random bits of which only the hash is stored.
    token = uow.vault.entropy.bytes(TOKEN_BYTES)
    (sealed,) = uow.vault.keys.seal(_LABEL, [(_hash(token), held.encode())])
    row = {"token_hash": _hash(token), "stage": stage.value, "brand": brand, "sealed": sealed}
    insert_rows(uow.conn, PortalSession, [row | {"seen_at": uow.now, "expires_at": expires_at}])
    return Visitor(token, stage, brand, held)


def _end(uow: UnitOfWork, visitor: Visitor) -> None:
    if uow.conn.execute(delete(PortalSession).where(_of(visitor.token))).rowcount != 1:
        raise SessionOver


def _of(token: bytes) -> ColumnElement[bool]:
    return col(PortalSession.token_hash) == _hash(token)


def _hash(token: bytes) -> bytes:
    return sha256(token).digest()
