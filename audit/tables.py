"""Tables of the log, for SQLite and PostgreSQL alike: one head per shard, the entries, the signed checkpoints.

Rows of entries and checkpoints are written once. What makes a change visible is not the database but the tree: a
checkpoint held by somebody else. `leaf` and `stack` could be computed from the bodies; kept beside them, they let the
verifier name the entry that changed and the signer check new entries only.
"""

from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, LargeBinary, MetaData, SmallInteger, String, Text
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)


class Row(SQLModel):
    """Base of every table: own metadata, and a `repr` that prints no column."""

    metadata: ClassVar[MetaData] = metadata

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__


class LogHead(Row, table=True):
    """Where one shard's log ends. Locked last in each transaction, so that order of commit is order of index."""

    __tablename__ = "log_head"
    __table_args__ = (CheckConstraint("size >= 0", name="size"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    origin: str = Field(unique=True, sa_type=String(255))
    size: int = Field(sa_type=BigInteger)
    stack: bytes = Field(sa_type=LargeBinary)  # packed frontier: 32 bytes per 1-bit of size
    last_t: int = Field(sa_type=BigInteger)  # latest time handed to an append; watches the clock, is not evidence


class LogEntry(Row, table=True):
    """One entry: the exact bytes that the tree commits to."""

    __tablename__ = "log_entry"
    __table_args__ = (CheckConstraint("idx >= 0", name="idx"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    idx: int = Field(primary_key=True, sa_type=BigInteger)
    entry_id: bytes = Field(unique=True, sa_type=LargeBinary(16))
    leaf: bytes = Field(sa_type=LargeBinary(32))  # leaf hash of body
    body: bytes = Field(sa_type=LargeBinary)


class LogCheckpoint(Row, table=True):
    """One signed note. One per size: two statements about one size could only agree or be a fork."""

    __tablename__ = "log_checkpoint"
    __table_args__ = (CheckConstraint("size > 0", name="size"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    size: int = Field(primary_key=True, sa_type=BigInteger)
    stack: bytes = Field(sa_type=LargeBinary)  # packed frontier at this size; its root is the signed one
    note: str = Field(sa_type=Text)


class LogKey(Row, table=True):
    """A change of a log's signing key: `generation` came at `began_at`; the one before ends at `ends_at`, or has at `ended_at`.

    A log without a row signs with the first generation.
    """

    __tablename__ = "log_key"
    __table_args__ = (CheckConstraint("generation > 1", name="generation"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    generation: int = Field(primary_key=True, sa_type=SmallInteger)
    began_at: int = Field(sa_type=BigInteger)
    ends_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)


class LogNode(Row, table=True):
    """The root of a full tile (C2SP tlog-tiles), which is a hash of the tile above it. Made with the checkpoints."""

    __tablename__ = "log_node"
    __table_args__ = (CheckConstraint("level >= 1 AND idx >= 0", name="place"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    level: int = Field(primary_key=True, sa_type=SmallInteger)
    idx: int = Field(primary_key=True, sa_type=BigInteger)
    hash: bytes = Field(sa_type=LargeBinary(32))


class LogPruned(Row, table=True):
    """A pruning: bodies are kept from `first` on, as the entry `entry_id` (`log.pruned`) says. The largest one counts."""

    __tablename__ = "log_pruned"
    __table_args__ = (CheckConstraint("first > 0", name="first"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    first: int = Field(primary_key=True, sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)
    entry_id: bytes = Field(sa_type=LargeBinary(16))


class LogWitness(Row, table=True):
    """The last cosignature that a witness gave of a log: what it has seen, and so where the next proof begins."""

    __tablename__ = "log_witness"
    __table_args__ = (CheckConstraint("size > 0", name="size"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    witness: bytes = Field(primary_key=True, sa_type=LargeBinary(32))  # hash of the verifier key
    size: int = Field(sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)
    line: str = Field(sa_type=Text)


class LogWitnessed(Row, table=True):
    """A checkpoint with the lines of a quorum of witnesses."""

    __tablename__ = "log_witnessed"
    __table_args__ = (CheckConstraint("size > 0", name="size"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    size: int = Field(primary_key=True, sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)
    note: str = Field(sa_type=Text)


class LogTimestamp(Row, table=True):
    """A time-stamp token (RFC 3161) over a signed checkpoint, as the authority gave it."""

    __tablename__ = "log_timestamp"
    __table_args__ = (CheckConstraint("size > 0", name="size"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    size: int = Field(primary_key=True, sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)
    token: bytes = Field(sa_type=LargeBinary)


class LogScrub(Row, table=True):
    """When stored bytes were last hashed anew, by kind (`full`, `sample`), and how many faults that showed."""

    __tablename__ = "log_scrub"
    __table_args__ = (CheckConstraint("size >= 0 AND faults >= 0", name="counts"),)

    shard: int = Field(primary_key=True, sa_type=SmallInteger)
    kind: str = Field(primary_key=True, sa_type=String(8))
    at: int = Field(sa_type=BigInteger)
    size: int = Field(sa_type=BigInteger)  # entries looked at
    faults: int = Field(sa_type=BigInteger)
