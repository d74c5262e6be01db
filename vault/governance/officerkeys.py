"""Officers' keys: the public halves, registered; signatures made elsewhere, checked here.

Ed25519 (RFC 8032) and ECDSA on P-256 with SHA-256 (FIPS 186-5, signatures in DER as tools write them). Only public
keys are ever taken: whoever hands over a private one has given it away, and it is refused. A key that was replaced
stays on record, because what was signed with it must stay checkable.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from sqlalchemy import Connection, select, update
from sqlmodel import col

from audit.entry import Act, Actor, Entry, Outcome
from vault import officers
from vault.errors import InvalidRegistration, NotSigned, UnknownOfficer
from vault.officers import OfficerStatus, Role
from vault.signin import news
from vault.signin.news import News
from vault.store.bulk import insert_rows
from vault.store.tables import OfficerKey
from vault.unit import UnitOfWork

PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey
PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey

LARGEST_KEY: Final = 4096  # bytes of a key file


@dataclass(frozen=True, slots=True)
class Signatory:
    """An officer who may sign now, and the key in use."""

    officer_id: str
    role: Role
    fingerprint: str
    key: PublicKey = field(repr=False)

    def check(self, message: bytes, signature: bytes) -> None:
        """Raise `NotSigned` unless this key made `signature` over `message`."""
        verify(self.key, message, signature)


def read_public(content: bytes) -> bytes:
    """Return a public key file (PEM, or DER SubjectPublicKeyInfo) in its DER form. Raises `InvalidRegistration`."""
    try:
        key = load_pem_public_key(content) if content.lstrip().startswith(b"-----") else load_der_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidRegistration("public key: Ed25519 or P-256, PEM or DER") from None
    if not _accepted(key):
        raise InvalidRegistration("public key: Ed25519 or P-256")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def read_private(content: bytes) -> PrivateKey:
    """Return an unencrypted private key in PEM (PKCS #8). Raises `InvalidRegistration`; nothing of it is told."""
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and _accepted(key.public_key())
    ):
        return key
    raise InvalidRegistration("private key: Ed25519 or P-256, PEM, without a passphrase")


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Sign as an officer does at their own desk: 64 bytes for Ed25519, DER for P-256."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(SHA256()))


def verify(key: PublicKey, message: bytes, signature: bytes) -> None:
    """Raise `NotSigned` unless `key` made `signature` over `message`."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise NotSigned("the signature is not of this officer's key over this text") from None


def register(uow: UnitOfWork, officer_id: str, public_key: bytes, by: Actor) -> str:
    """Make `public_key` (as `read_public` gives it) the one an officer signs with; record `officer.key_registered`.

    A key used before is retired. Returns the new one's fingerprint. Raises `UnknownOfficer`, or `Conflict` for a key
    that is registered already: two officers with one key would be one pair of eyes.
    """
    officer = officers.get(uow.conn, officer_id)
    if officer is None or officer.status is not OfficerStatus.ACTIVE:
        raise UnknownOfficer
    uow.conn.execute(
        update(OfficerKey)
        .where(col(OfficerKey.officer_id) == officer_id, col(OfficerKey.retired_at).is_(None))
        .values(retired_at=uow.now)
    )
    fingerprint = fingerprint_of(public_key)
    row = {"fingerprint": fingerprint, "officer_id": officer_id, "public_key": public_key, "added_at": uow.now}
    insert_rows(uow.conn, OfficerKey, [row | {"retired_at": None}])
    news.note(uow, officer_id, News.KEY_REGISTERED)
    said = (f"officer:{officer_id}", f"key:{fingerprint}")
    uow.record(Entry(Act.OFFICER_KEY_REGISTERED, Outcome.ALLOW, by, pol=said))
    return fingerprint


def signatory(conn: Connection, officer_id: str) -> Signatory:
    """Return an officer who may sign now. Raises `UnknownOfficer`: unknown, disabled, or without a key."""
    officer = officers.get(conn, officer_id)
    row = conn.execute(
        select(col(OfficerKey.fingerprint), col(OfficerKey.public_key)).where(
            col(OfficerKey.officer_id) == officer_id, col(OfficerKey.retired_at).is_(None)
        )
    ).one_or_none()
    if officer is None or row is None or officer.status is not OfficerStatus.ACTIVE:
        raise UnknownOfficer("no active officer of this id has a registered key")
    return Signatory(officer_id, officer.role, row.fingerprint, _loaded(row.public_key))


def kind_of(conn: Connection, officer_id: str) -> str:
    """Return what an officer's key in use is: `ed25519` or `p256`; nothing where none is registered."""
    try:
        return "ed25519" if isinstance(signatory(conn, officer_id).key, Ed25519PublicKey) else "p256"
    except (NotSigned, UnknownOfficer):
        return ""


def roles_of_the_house(conn: Connection) -> set[Role]:
    """Return the roles in which officers other than the founders could sign now."""
    columns = select(col(OfficerKey.officer_id)).where(col(OfficerKey.retired_at).is_(None))
    keyed = set(conn.scalars(columns)) - set(officers.FOUNDERS)
    return {each.role for each in officers.listed(conn) if each.id in keyed and each.status is OfficerStatus.ACTIVE}


def key_of(conn: Connection, officer_id: str, fingerprint: str) -> PublicKey:
    """Return a key an officer signed with, retired or not. Raises `NotSigned` if it never was this officer's."""
    found: bytes | None = conn.execute(
        select(col(OfficerKey.public_key)).where(
            col(OfficerKey.fingerprint) == fingerprint, col(OfficerKey.officer_id) == officer_id
        )
    ).scalar_one_or_none()
    if found is None or fingerprint_of(found) != fingerprint:
        raise NotSigned("the key of a signature is not on record")
    return _loaded(found)


def fingerprint_of(public_key: bytes) -> str:
    """Return SHA-256 of a key in DER, hexadecimal: what `openssl pkey -pubin -outform der | sha256sum` prints."""
    return sha256(public_key).hexdigest()


def _loaded(der: bytes) -> PublicKey:
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PublicKey) or (isinstance(key, ec.EllipticCurvePublicKey) and _accepted(key)):
        return key
    raise NotSigned("a registered key is damaged")


def _accepted(key: object) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1)
    return isinstance(key, Ed25519PublicKey)
