"""Subjects and what is known of them: relations, references, compartments, sealed values, search tokens."""

from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class Subject(Row, table=True):
    """A data subject: state, floors that need no decryption, and the wrapped key that relates log entries to them."""

    __tablename__ = "subject"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'erasing', 'erased')", name="state"),
        CheckConstraint("version >= 1", name="version"),
        CLUSTERED,
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    state: str = Field(sa_type=String(16))
    restricted: bool
    minor: bool  # recomputed on each write of a birth date; stale only in the safe direction
    region: str = Field(sa_type=String(8))
    epoch: int = Field(sa_type=BigInteger)  # tokens carry it; a step kills them
    version: int = Field(sa_type=BigInteger)  # ETag
    log_slot: int = Field(sa_type=BigInteger)
    log_generation: int = Field(sa_type=BigInteger)
    log_key: bytes = Field(sa_type=LargeBinary(40))  # K_s, wrapped under the leaf at log_slot
    created_at: int = Field(sa_type=BigInteger)


class Relation(Row, table=True):
    """A subject known to a brand, and the reference that brand stores (sealed under the brand's key)."""

    __tablename__ = "relation"
    __table_args__: ClassVar = CLUSTERED

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(primary_key=True, sa_type=String(32))
    shard: int = Field(sa_type=SmallInteger)
    reference_sealed: bytes = Field(sa_type=LargeBinary(160))  # with those it replaced, while they may resolve
    created_at: int = Field(sa_type=BigInteger)


class Reference(Row, table=True):
    """Keyed hash of a pairwise reference, and its subject sealed under the brand's key: a dump alone links nothing."""

    __tablename__ = "reference"
    __table_args__: ClassVar = CLUSTERED

    mac: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(sa_type=String(32))
    shard: int = Field(sa_type=SmallInteger)
    pointer: bytes = Field(sa_type=LargeBinary(64))
    expires_at: int | None = Field(default=None, sa_type=BigInteger)  # replaced, and resolves until then
    created_at: int = Field(sa_type=BigInteger)


class Compartment(Row, table=True):
    """One subject's one category: the unit of keys, holds, retention and erasure."""

    __tablename__ = "compartment"
    __table_args__ = (CheckConstraint("state IN ('active', 'erasing')", name="state"), CLUSTERED)

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    category_id: int = Field(primary_key=True, sa_type=SmallInteger)
    shard: int = Field(sa_type=SmallInteger)
    slot: int = Field(sa_type=BigInteger)
    generation: int = Field(sa_type=BigInteger)
    writes: int = Field(sa_type=BigInteger)  # last value version given out in this compartment; only grows
    written_at: int = Field(sa_type=BigInteger)  # of the last write: retention and legal keeping count from it
    state: str = Field(sa_type=String(16))  # erasing: sealed and denied, until its leaf is destroyed


class FieldValue(Row, table=True):
    """One sealed value. Rows are never rewritten: a new value is a new version, the old one loses `current`."""

    __tablename__ = "field_value"
    __table_args__: ClassVar = CLUSTERED

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    category_id: int = Field(primary_key=True, sa_type=SmallInteger)
    field_id: int = Field(primary_key=True, sa_type=SmallInteger)
    item: int = Field(
        primary_key=True, sa_type=BigInteger
    )  # 0 for single fields; first version for list items, entries
    version: int = Field(primary_key=True, sa_type=BigInteger)
    shard: int = Field(sa_type=SmallInteger)
    holder: str = Field(sa_type=String(32))  # the brand that recorded it
    current: bool
    schema_version: int = Field(sa_type=SmallInteger)
    envelope: bytes = Field(sa_type=LargeBinary)


class SearchToken(Row, table=True):
    """A blind index entry: HMAC per brand, field and normaliser version, under the index key of an epoch."""

    __tablename__ = "search_token"
    # By the value it stands for and not by itself: an epoch moves every token, and then the rows stay where they are.
    __table_args__ = (Index(None, "token"), CLUSTERED)

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(primary_key=True, sa_type=String(32))
    field_id: int = Field(primary_key=True, sa_type=SmallInteger)
    item: int = Field(primary_key=True, sa_type=BigInteger)
    shard: int = Field(sa_type=SmallInteger)
    token: bytes = Field(sa_type=LargeBinary(16))
    epoch: int = Field(sa_type=BigInteger)


class ImportRow(Row, table=True):
    """One row of a resumable import that has been taken in (or refused), by blinded hash of the caller's row reference."""

    __tablename__ = "import_row"
    __table_args__ = (Index(None, "expires_at"), CLUSTERED)

    import_mac: bytes = Field(primary_key=True, sa_type=LargeBinary(16))  # of (system, Idempotency-Key)
    row_mac: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    content_mac: bytes = Field(sa_type=LargeBinary(16))
    epoch: int = Field(sa_type=BigInteger)  # whose index key all of the row is under
    outcome: bytes = Field(sa_type=LargeBinary)  # sealed: the references by brand
    expires_at: int = Field(sa_type=BigInteger)


class BrandJoin(Row, table=True):
    """References of one brand that two officers let be told as another brand's: asked for by one, approved by another."""

    __tablename__ = "brand_join"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'approved', 'withdrawn', 'expired')", name="state"),
        CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name="two_officers"),
        CheckConstraint("brand <> other", name="two_brands"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(8))
    brand: str = Field(sa_type=String(32))
    other: str = Field(sa_type=String(32))
    reason: str = Field(sa_type=String(32))  # a code, never prose
    named: bytes = Field(sa_type=LargeBinary)  # sealed: salt and references; empty once decided or void
    count: int
    state: str = Field(sa_type=String(16))
    proposed_by: str = Field(sa_type=String(64))
    proposed_at: int = Field(sa_type=BigInteger)
    approved_by: str | None = Field(default=None, sa_type=String(64))
    approved_at: int | None = Field(default=None, sa_type=BigInteger)
