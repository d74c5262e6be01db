"""Reports that are made in the background, and filters that officers keep for them."""

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String, Text
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class ReportRun(Row, table=True):
    """One report asked for, until its result expires. Never about one person: it would relate their entries for good."""

    __tablename__ = "report_run"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="state"),
        Index(None, "state", "created_at"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    name: str = Field(sa_type=String(32))
    asked: str = Field(sa_type=Text)  # the filter, JSON
    actor: str = Field(sa_type=String(512))  # who asked: kind, id and through whom, as the log writes them
    saved: bytes | None = Field(default=None, sa_type=LargeBinary(16))  # the plan that it was made for
    state: str = Field(sa_type=String(16))
    attempts: int = Field(sa_type=SmallInteger)
    holder: bytes = Field(sa_type=LargeBinary(16))  # drawn by the process that makes it
    lease_until: int = Field(sa_type=BigInteger)
    seen: int = Field(sa_type=BigInteger)  # entries read so far
    size: int = Field(sa_type=BigInteger)  # of the log when it began
    problem: str = Field(sa_type=String(32))  # a code
    document: bytes = Field(sa_type=LargeBinary)  # the signed JSON
    created_at: int = Field(sa_type=BigInteger)
    finished_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(index=True, sa_type=BigInteger)


class SavedReport(Row, table=True):
    """A filter kept under a title, and how often the report is made of it by itself."""

    __tablename__ = "saved_report"
    __table_args__ = (CLUSTERED,)

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    title: str = Field(sa_type=String(80))
    name: str = Field(sa_type=String(32))
    words: str = Field(sa_type=Text)  # of the filter, JSON
    days: int = Field(sa_type=SmallInteger)  # the period, up to when it is made
    every_days: int = Field(sa_type=SmallInteger)  # 0: only when asked for
    next_at: int = Field(sa_type=BigInteger)
    by: str = Field(sa_type=String(128))  # the officer who saved it
    created_at: int = Field(sa_type=BigInteger)
