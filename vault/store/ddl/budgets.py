"""How much a system may see: marks and meters of budgets, raises, questions asked in a day."""

from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String, Text
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class BudgetMark(Row, table=True):
    """One person on one meter, under a hash of both: when they were looked at last, and what was shown (a hash)."""

    __tablename__ = "budget_mark"
    __table_args__ = (Index(None, "at"), CLUSTERED)

    mark: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    meter: bytes = Field(sa_type=LargeBinary(16))
    at: int = Field(sa_type=BigInteger)
    previous_at: int = Field(sa_type=BigInteger)  # before the last look; -1: never
    shape: int = Field(sa_type=BigInteger)
    previous_shape: int = Field(sa_type=BigInteger)


class BudgetMeter(Row, table=True):
    """What one meter counts in the windows that `at` lies in."""

    __tablename__ = "budget_meter"
    __table_args__: ClassVar = CLUSTERED

    meter: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    at: int = Field(sa_type=BigInteger)
    people_second: int = Field(sa_type=BigInteger)
    people_minute: int = Field(sa_type=BigInteger)
    people_hour: int = Field(sa_type=BigInteger)
    people_day: int = Field(sa_type=BigInteger)
    weight_second: int = Field(sa_type=BigInteger)
    weight_minute: int = Field(sa_type=BigInteger)
    weight_hour: int = Field(sa_type=BigInteger)
    weight_day: int = Field(sa_type=BigInteger)


class BudgetRaise(Row, table=True):
    """A higher budget that one officer asked for, for a time, and that another approved or not."""

    __tablename__ = "budget_raise"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'approved', 'withdrawn', 'expired')", name="state"),
        CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name="two_officers"),
        Index(None, "system_id"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(8))
    system_id: str = Field(sa_type=String(64))
    limits: str = Field(sa_type=Text)  # space separated
    seconds: int = Field(sa_type=BigInteger)  # how long, from the approval
    state: str = Field(sa_type=String(16))
    proposed_by: str = Field(sa_type=String(64))
    proposed_at: int = Field(sa_type=BigInteger)
    approved_by: str | None = Field(default=None, sa_type=String(64))
    approved_at: int | None = Field(default=None, sa_type=BigInteger)
    until_at: int | None = Field(default=None, sa_type=BigInteger)


class PredicateDay(Row, table=True):
    """Which predicates one system asked about one subject on one day."""

    __tablename__ = "predicate_day"
    __table_args__ = (Index(None, "expires_at"), CLUSTERED)

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    system_id: str = Field(primary_key=True, sa_type=String(64))
    day: int = Field(primary_key=True, sa_type=BigInteger)  # since 1970
    shard: int = Field(sa_type=SmallInteger)
    asked: str = Field(sa_type=Text)  # space separated `field.predicate`
    expires_at: int = Field(sa_type=BigInteger)
