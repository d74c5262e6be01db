"""Keys that sign what travels as JSON Web Signatures (RFC 7515): they rotate, and old ones stay published for a while.

The checkpoint, receipt and erasure keys live as long as the keystore, because what they sign is kept for ever. What is
signed here is looked at within a day: its keys are drawn in the data database, sealed by the key service, and replaced
at will. After a rotation the key before is published as long as anything it signed may still be shown.
"""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, or_, select, update
from sqlmodel import col

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault.errors import IntegrityFailure
from vault.keys.service import KeyService
from vault.store.bulk import insert_rows
from vault.store.tables import Signer
from vault.unit import UnitOfWork, Vault

OVERLAP_SECONDS: Final = 25 * 3600  # an attestation lives for a day at most; an hour for clocks and caches

_SEED: Final = 32


class SignedAs(StrEnum):
    """What a key signs: one kind of statement each."""

    ATTESTATION = "attestation"  # and the status lists that say whether one stands
    EVENT = "event"
    INTROSPECTION = "introspection"  # what a token was good for at a moment (RFC 9701)


@dataclass(frozen=True, slots=True)
class PublicSigner:
    """A published key: RFC 7638 thumbprint, use, and the raw 32-byte Ed25519 public key."""

    kid: str
    purpose: str
    public: bytes


@dataclass(frozen=True, slots=True)
class OpenSigner:
    """A key in use. It is opened for one batch and not kept."""

    kid: str
    _private: Ed25519PrivateKey = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature."""
        return self._private.sign(message)


def opened(uow: UnitOfWork, purpose: SignedAs) -> OpenSigner:
    """Open the key in use; the first time, draw it. Raises what the key service raises, and `IntegrityFailure`."""
    found = in_use(uow.conn, uow.vault.keys, purpose)
    return found or _draw(uow, purpose, Actor(ActorKind.VAULT, uow.vault.deployment))


def in_use(conn: Connection, keys: KeyService, purpose: SignedAs) -> OpenSigner | None:
    """Open the key in use without drawing one: None where nothing was signed yet. Raises as `opened`."""
    row = conn.execute(
        select(col(Signer.kid), col(Signer.sealed))
        .where(col(Signer.purpose) == purpose.value, col(Signer.until_at).is_(None))
        .order_by(col(Signer.created_at).desc(), col(Signer.kid))
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    (seed,) = keys.open("signer", [(_context(purpose, row.kid), row.sealed)])
    if seed is None:
        raise IntegrityFailure
    return OpenSigner(row.kid, Ed25519PrivateKey.from_private_bytes(seed))


def ready(vault: Vault, purpose: SignedAs) -> OpenSigner:
    """Open the key in use for work outside any unit of work; the first time, draw it in a unit of its own."""
    with vault.reading() as conn:
        found = in_use(conn, vault.keys, purpose)
    if found is not None:
        return found
    with vault.unit() as uow:
        drawn = opened(uow, purpose)
        uow.commit()
    return drawn


def published(conn: Connection, now: int) -> list[PublicSigner]:
    """Return every key that something still good may have been signed with, newest first."""
    good = or_(col(Signer.until_at).is_(None), col(Signer.until_at) > now)
    columns = (col(Signer.kid), col(Signer.purpose), col(Signer.public))
    rows = conn.execute(select(*columns).where(good).order_by(col(Signer.created_at).desc(), col(Signer.kid)))
    return [PublicSigner(*row) for row in rows]


def rotate(uow: UnitOfWork, purpose: SignedAs, by: Actor) -> str:
    """Draw a new key and retire those in use; record `keys.signer_drawn`. Returns the new key's id."""
    current = (col(Signer.purpose) == purpose.value, col(Signer.until_at).is_(None))
    uow.conn.execute(update(Signer).where(*current).values(until_at=uow.now + OVERLAP_SECONDS))
    return _draw(uow, purpose, by).kid


def _draw(uow: UnitOfWork, purpose: SignedAs, by: Actor) -> OpenSigner:
    seed = uow.vault.entropy.bytes(_SEED)
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    kid = thumbprint(public)
    # Why safe: AES-SIV needs no nonce, and the context names key and use, so that no row opens as another.
    (sealed,) = uow.vault.keys.seal("signer", [(_context(purpose, kid), seed)])
    row = {"kid": kid, "purpose": purpose.value, "public": public, "sealed": sealed, "created_at": uow.now}
    insert_rows(uow.conn, Signer, [row | {"until_at": None}])
    uow.record(Entry(Act.KEYS_SIGNER_DRAWN, Outcome.ALLOW, by, pol=(f"kid:{kid}", f"for:{purpose}")))
    return OpenSigner(kid, private)


def thumbprint(public: bytes) -> str:
    """RFC 7638 over an Ed25519 key (RFC 8037 §2): 43 characters."""
    x = urlsafe_b64encode(public).rstrip(b"=").decode()
    digest = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _context(purpose: SignedAs, kid: str) -> bytes:
    return f"{purpose}/{kid}".encode()
