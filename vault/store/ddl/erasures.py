"""What goes and what keeps it: holds, restrictions, erasures and their leaves, restorations, leaves left behind."""

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String, Text
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class Hold(Row, table=True):
    """Something that forbids the destruction of a subject's data: placed, and perhaps released, by somebody."""

    __tablename__ = "hold"
    __table_args__ = (Index(None, "subject_id"),)

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes = Field(sa_type=LargeBinary(16))
    category_id: int = Field(sa_type=SmallInteger)  # 0: every category
    reason: str = Field(sa_type=String(32))  # a code, never prose
    placed_by: str = Field(sa_type=String(64))
    placed_at: int = Field(sa_type=BigInteger)
    released_by: str | None = Field(default=None, sa_type=String(64))
    released_at: int | None = Field(default=None, sa_type=BigInteger)


class Restriction(Row, table=True):
    """Something that limits what a subject's data are used for: placed at a brand, and perhaps lifted (GDPR Art. 18)."""

    __tablename__ = "restriction"
    __table_args__ = (Index(None, "subject_id"),)

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes = Field(sa_type=LargeBinary(16))
    brand: str = Field(sa_type=String(32))  # empty: the vault's own doubt after a restore
    reason: str = Field(sa_type=String(32))  # a code, never prose
    placed_by: str = Field(sa_type=String(64))
    placed_at: int = Field(sa_type=BigInteger)
    lifted_by: str | None = Field(default=None, sa_type=String(64))
    lifted_at: int | None = Field(default=None, sa_type=BigInteger)


class Erasure(Row, table=True):
    """An erasure: asked for, carried out as far as holds and law allow, certified. Outlives what it erased."""

    __tablename__ = "erasure"
    __table_args__ = (
        CheckConstraint("scope IN ('subject', 'category', 'field')", name="scope"),
        CheckConstraint("state IN ('requested', 'partial', 'done')", name="state"),
        Index(None, "subject_id"),
        Index(None, "state"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes | None = Field(default=None, sa_type=LargeBinary(16))  # forgotten with the whole subject
    scope: str = Field(sa_type=String(16))
    category_id: int = Field(sa_type=SmallInteger)  # 0: the whole subject
    field_id: int = Field(sa_type=SmallInteger)  # 0 unless the scope is a field
    through: int = Field(sa_type=BigInteger)  # of a field: versions up to this one
    cause: str = Field(sa_type=String(16))
    requested_by: str = Field(sa_type=String(64))
    requested_at: int = Field(sa_type=BigInteger)
    commitment: bytes = Field(sa_type=LargeBinary(32))  # to the log key, for the last entry: the key is gone by then
    state: str = Field(sa_type=String(16))
    epoch: int | None = Field(default=None, sa_type=BigInteger)  # the last one whose destruction carried it out
    entry_id: bytes | None = Field(default=None, sa_type=LargeBinary(16))  # that says so
    certificate: str | None = Field(default=None, sa_type=Text)
    listed_until: int | None = Field(default=None, sa_type=BigInteger)  # its addresses are not to be solicited so long


class ErasureLeaf(Row, table=True):
    """A leaf key that an erasure destroys: queued, kept for a hold or by law, or destroyed."""

    __tablename__ = "erasure_leaf"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'kept', 'destroyed')", name="state"),
        Index(None, "state"),
        CLUSTERED,
    )

    erasure_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    slot: int = Field(primary_key=True, sa_type=BigInteger)
    generation: int = Field(primary_key=True, sa_type=BigInteger)
    category_id: int = Field(sa_type=SmallInteger)  # 0: the leaf of the subject's log key
    state: str = Field(sa_type=String(16))


class Restoration(Row, table=True):
    """A backup brought back: how far the work has come that must be done before anybody is served from it."""

    __tablename__ = "restoration"
    __table_args__ = (CheckConstraint("phase IN ('leaves', 'index', 'log', 'done')", name="phase"),)

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    phase: str = Field(sa_type=String(16))
    after: bytes = Field(sa_type=LargeBinary(16))  # the last subject that this phase has dealt with
    begun_at: int = Field(sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    subjects: int = Field(sa_type=BigInteger)  # erased again
    compartments: int = Field(sa_type=BigInteger)  # erased again, of subjects that are not
    indexed: int = Field(sa_type=BigInteger)  # search tokens made anew
    by_log: str = Field(sa_type=String(16))  # whether a log outside is to be read, was read, or is gone without


class LeftLeaf(Row, table=True):
    """A leaf that was left, noted in the same unit, until it is queued for destruction."""

    __tablename__ = "left_leaf"
    __table_args__ = (Index(None, "heir_slot"), Index(None, "waits"), CLUSTERED)

    slot: int = Field(primary_key=True, sa_type=BigInteger)
    generation: int = Field(primary_key=True, sa_type=BigInteger)
    heir_slot: int | None = Field(default=None, sa_type=BigInteger)  # that took over, where a re-keying left it
    waits: int = Field(sa_type=BigInteger)  # number of that unit, for a backup that holds it; 0: for nothing
