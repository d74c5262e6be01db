"""Who may ask: systems, tokens and what they name, proofs and requests already seen, attestations and their signers."""

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String, Text
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class System(Row, table=True):
    """An OAuth client of a brand."""

    __tablename__ = "system"
    __table_args__ = (CheckConstraint("status IN ('active', 'disabled')", name="status"),)

    id: str = Field(primary_key=True, sa_type=String(64))
    brand: str = Field(sa_type=String(32))
    name: str = Field(sa_type=String(128))
    status: str = Field(sa_type=String(16))
    epoch: int = Field(sa_type=BigInteger)
    jwks: str = Field(sa_type=Text)  # public keys only
    scopes: str = Field(sa_type=Text)  # space separated
    purposes: str = Field(sa_type=Text)  # space separated purpose keys this system is registered for
    brands: str = Field(sa_type=Text)  # space separated: brands it may import for (its own is always among them)
    budgets: str = Field(sa_type=Text)  # limits and raises as JSON
    networks: str = Field(sa_type=Text)  # space separated networks it may call from; empty: any
    created_at: int = Field(sa_type=BigInteger)


class AccessToken(Row, table=True):
    """An opaque access token, stored as SHA-256 of its bytes."""

    __tablename__ = "access_token"
    __table_args__ = (
        CheckConstraint("kind IN ('service', 'disclosure')", name="kind"),
        Index(None, "expires_at"),
        Index(None, "system_id"),
        CLUSTERED,
    )

    hash: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    kind: str = Field(sa_type=String(16))
    system_id: str = Field(sa_type=String(64))
    system_epoch: int = Field(sa_type=BigInteger)
    jkt: str = Field(sa_type=String(43))
    scope: str = Field(sa_type=Text)
    purpose: str = Field(sa_type=String(64))  # empty for service tokens
    detail: str = Field(sa_type=Text)  # the granted entry as JSON, without subjects; empty for service tokens
    policy_hash: bytes = Field(sa_type=LargeBinary(32))
    issued_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    revoked: bool
    parent: bytes | None = Field(default=None, sa_type=LargeBinary(32))  # the token that this one narrows (RFC 8693)
    actors: str | None = Field(default=None, sa_type=Text)  # space separated systems it came through, the first first
    x5t: str | None = Field(default=None, sa_type=String(43))  # SHA-256 of the certificate it is bound to (RFC 8705)


class TokenSubject(Row, table=True):
    """A subject that a disclosure token names, the epochs it was granted under, and the uses left for it."""

    __tablename__ = "token_subject"
    __table_args__ = (CheckConstraint("uses_left >= 0", name="uses_left"), CLUSTERED)

    token_hash: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_epoch: int = Field(sa_type=BigInteger)
    consent_epoch: int = Field(sa_type=BigInteger)
    uses_left: int


class SeenProof(Row, table=True):
    """Hash of a DPoP proof or client assertion already used; kept until it could no longer be accepted anyway."""

    __tablename__ = "seen_proof"
    __table_args__ = (Index(None, "expires_at"), CLUSTERED)

    hash: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    expires_at: int = Field(sa_type=BigInteger)


class IdempotentRequest(Row, table=True):
    """A write already asked for under an Idempotency-Key: blinded hashes and the outcome's reference, never a body."""

    __tablename__ = "idempotent_request"
    __table_args__ = (
        CheckConstraint("status >= 100 AND status < 600", name="status"),
        Index(None, "expires_at"),
        CLUSTERED,
    )

    system_id: str = Field(primary_key=True, sa_type=String(64))
    key_mac: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    request_mac: bytes = Field(sa_type=LargeBinary(16))
    epoch: int = Field(sa_type=BigInteger)  # whose index key all of the row is under
    status: int = Field(sa_type=SmallInteger)
    outcome: bytes = Field(sa_type=LargeBinary)  # sealed: references, then reference and version, nothing else
    expires_at: int = Field(sa_type=BigInteger)


class Signer(Row, table=True):
    """A key that signs what travels as JSON Web Signatures, sealed by the key service. Retired ones stay published."""

    __tablename__ = "signer"
    __table_args__ = (
        CheckConstraint("purpose IN ('attestation', 'event', 'introspection')", name="purpose"),
        CLUSTERED,
    )

    kid: str = Field(primary_key=True, sa_type=String(43))  # RFC 7638 thumbprint
    purpose: str = Field(sa_type=String(16))
    public: bytes = Field(sa_type=LargeBinary(32))
    sealed: bytes = Field(sa_type=LargeBinary(48))
    created_at: int = Field(sa_type=BigInteger)
    until_at: int | None = Field(default=None, sa_type=BigInteger)  # published until then, signs no more


class Attestation(Row, table=True):
    """An attestation given out: its place in a status list, and the epochs it stands by. Gone when it has expired."""

    __tablename__ = "attestation"
    __table_args__ = (Index(None, "expires_at"), CLUSTERED)

    list: str = Field(primary_key=True, sa_type=String(32))
    place: int = Field(primary_key=True, sa_type=BigInteger)
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes = Field(sa_type=LargeBinary(16))
    brand: str = Field(sa_type=String(32))
    purpose: str = Field(sa_type=String(64))
    system_id: str = Field(sa_type=String(64))
    system_epoch: int = Field(sa_type=BigInteger)
    subject_epoch: int = Field(sa_type=BigInteger)
    consent_epoch: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
