"""The deployment itself, the errands that one process runs for all, and what brands are told."""

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class Deployment(Row, table=True):
    """One row: which deployment this database belongs to. Bound into every ciphertext."""

    __tablename__ = "deployment"

    id: str = Field(primary_key=True, sa_type=String(64))
    shards: int = Field(sa_type=SmallInteger)
    created_at: int = Field(sa_type=BigInteger)
    keys_epoch: int = Field(sa_type=BigInteger)  # every leaf that went before this epoch is known to be gone here
    rekeyed: int = Field(sa_type=BigInteger)  # number of the last unit of work that re-keyed
    rekeyed_saved: int = Field(sa_type=BigInteger)  # the last of them that a verified backup of the data holds


class Errand(Row, table=True):
    """Work by the clock that one process of all does: when it is due next."""

    __tablename__ = "errand"

    name: str = Field(primary_key=True, sa_type=String(32))
    due_at: int = Field(sa_type=BigInteger)


class EventEndpoint(Row, table=True):
    """Where a system is told of events."""

    __tablename__ = "event_endpoint"

    system_id: str = Field(primary_key=True, sa_type=String(64))
    url: str = Field(sa_type=String(512))
    created_at: int = Field(sa_type=BigInteger)


class OutgoingEvent(Row, table=True):
    """Something a system is to be told, until it has acknowledged; afterwards the ledger's line that it has."""

    __tablename__ = "outgoing_event"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'acknowledged')", name="state"),
        Index(None, "state", "next_at"),
        CLUSTERED,
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    system_id: str = Field(sa_type=String(64))
    kind: str = Field(sa_type=String(32))
    payload: bytes = Field(sa_type=LargeBinary)  # sealed: reference and detail; empty once acknowledged
    state: str = Field(sa_type=String(16))
    created_at: int = Field(sa_type=BigInteger)
    next_at: int = Field(sa_type=BigInteger)
    attempts: int
    problem: str = Field(sa_type=String(32))  # of the last attempt, a code
    acknowledged_at: int | None = Field(default=None, sa_type=BigInteger)
    cause: bytes | None = Field(default=None, sa_type=LargeBinary(16))  # the erasure it tells of
