"""Officers and what two of them sign: policy versions, the census behind group thresholds, break-glass cases."""

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String, Text, text
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class Officer(Row, table=True):
    """A person who logs in: compliance, auditor, operator or approver."""

    __tablename__ = "officer"
    __table_args__ = (
        CheckConstraint("role IN ('compliance', 'auditor', 'operator', 'approver')", name="role"),
        CheckConstraint("status IN ('active', 'disabled')", name="status"),
    )

    id: str = Field(primary_key=True, sa_type=String(64))
    role: str = Field(sa_type=String(16))
    status: str = Field(sa_type=String(16))
    password_hash: str = Field(sa_type=String(255))  # argon2id
    created_at: int = Field(sa_type=BigInteger)


class OfficerKey(Row, table=True):
    """A public key with which an officer signs: the newest that is not retired is the one in use."""

    __tablename__ = "officer_key"
    __table_args__ = (Index(None, "officer_id"),)

    fingerprint: str = Field(primary_key=True, sa_type=String(64))  # SHA-256 of the key as stored, hexadecimal
    officer_id: str = Field(sa_type=String(64))
    public_key: bytes = Field(sa_type=LargeBinary)  # SubjectPublicKeyInfo, DER
    added_at: int = Field(sa_type=BigInteger)
    retired_at: int | None = Field(default=None, sa_type=BigInteger)


class PolicyVersion(Row, table=True):
    """A policy bundle as it was proposed, and how far it has come. At most one is in force."""

    __tablename__ = "policy_version"
    __table_args__ = (
        CheckConstraint("state IN ('draft', 'approved', 'active', 'retired', 'refused')", name="state"),
        Index(
            "ix_policy_version_active",
            "state",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    number: int = Field(primary_key=True, sa_type=BigInteger)
    hash: bytes = Field(sa_type=LargeBinary(32))
    name: str = Field(sa_type=String(64))
    content: bytes = Field(sa_type=LargeBinary)  # policies.bundle.pack
    state: str = Field(sa_type=String(16))
    proposed_at: int = Field(sa_type=BigInteger)
    changed_at: int = Field(sa_type=BigInteger)  # of the last change of state


class BundleUpload(Row, table=True):
    """A policy bundle that an officer brought to read before proposing it. Nothing is decided by it; it goes after a day."""

    __tablename__ = "bundle_upload"

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    officer_id: str = Field(index=True, sa_type=String(64))
    name: str = Field(sa_type=String(64))
    hash: bytes = Field(sa_type=LargeBinary(32))
    content: bytes = Field(sa_type=LargeBinary)  # policies.bundle.pack
    uploaded_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(index=True, sa_type=BigInteger)


class OfficerSignature(Row, table=True):
    """What an officer signed, as which of their acts, counted from 1: a number is used once."""

    __tablename__ = "officer_signature"
    __table_args__ = (Index(None, "matter", "thing"), CLUSTERED)

    officer_id: str = Field(primary_key=True, sa_type=String(64))
    number: int = Field(primary_key=True, sa_type=BigInteger)
    matter: str = Field(sa_type=String(16))  # policy, case, join, raise, system, request
    thing: str = Field(sa_type=String(64))
    part: str = Field(sa_type=String(16))
    says: bytes = Field(sa_type=LargeBinary(32))  # hash of all that the thing says
    fingerprint: str = Field(sa_type=String(64))
    signature: bytes = Field(sa_type=LargeBinary)
    signed_at: int = Field(sa_type=BigInteger)


class CensusRun(Row, table=True):
    """A count of who shares which generalised value: under way, or finished and in use until the next."""

    __tablename__ = "census_run"

    number: int = Field(primary_key=True, sa_type=BigInteger)
    started_at: int = Field(sa_type=BigInteger)
    touched_at: int = Field(sa_type=BigInteger)  # grows while it is under way; who stops touching it has died
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    log_size: int = Field(sa_type=BigInteger)  # of all shards when it began: how much happened since


class CensusGroup(Row, table=True):
    """So many subjects share one value in one brand's view. Groups below the least that matters are not kept."""

    __tablename__ = "census_group"
    __table_args__ = (CheckConstraint("subjects >= 20", name="subjects"), CLUSTERED)

    number: int = Field(primary_key=True, sa_type=BigInteger)
    bucket: bytes = Field(primary_key=True, sa_type=LargeBinary(16))  # keyed hash of brand, field and value
    subjects: int = Field(sa_type=BigInteger)  # rounded down


class BreakGlassCase(Row, table=True):
    """What an officer asked to see of one person in an emergency, and how it went on. Says neither whom by name nor why."""

    __tablename__ = "break_glass_case"
    __table_args__ = (
        CheckConstraint("state IN ('asked', 'approved', 'refused', 'reviewed', 'expired')", name="state"),
        Index(None, "subject_id"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    state: str = Field(sa_type=String(16))
    brand: str = Field(sa_type=String(32))
    fields: str = Field(sa_type=Text)  # [[name, level, predicate], …]
    bearer: str = Field(sa_type=String(64))  # the officer who may look
    minutes: int = Field(sa_type=SmallInteger)
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)  # reference, reason and salt; gone with the person
    slot: int | None = Field(default=None, sa_type=BigInteger)  # of the leaf that opens it
    generation: int | None = Field(default=None, sa_type=BigInteger)
    subject_id: bytes | None = Field(default=None, sa_type=LargeBinary(16))  # while it is sealed, to find it by
    asked_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    closed_at: int | None = Field(default=None, sa_type=BigInteger)
    disclosures: int
    finding: str = Field(sa_type=String(16))
