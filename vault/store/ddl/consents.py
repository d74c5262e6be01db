"""Consent: the chain of events, what holds now, activity on contact points, guardians, and who must not be solicited."""

from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String, Text
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class ConsentEvent(Row, table=True):
    """One consent event, append-only, chained by hash per subject and brand."""

    __tablename__ = "consent_event"
    __table_args__ = (
        CheckConstraint(
            "state IN ('requested', 'refused', 'given', 'renewed', 'withdrawn', 'expired', 'invalidated', 'objected', "
            "'objection_lifted', 'established', 'ended')",
            name="state",
        ),
        CheckConstraint("record IN (1, 2)", name="record"),
        CheckConstraint("actor IN ('self', 'guardian', 'agent', 'system')", name="actor"),
        Index(None, "subject_id", "brand", "purpose"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes = Field(sa_type=LargeBinary(16))
    brand: str = Field(sa_type=String(32))
    purpose: str = Field(sa_type=String(64))
    purpose_version: int = Field(sa_type=SmallInteger)
    state: str = Field(sa_type=String(24))
    basis: str = Field(sa_type=String(32))
    jurisdiction: str = Field(sa_type=String(8))
    notice: str = Field(sa_type=String(64))
    notice_version: int = Field(sa_type=SmallInteger)
    notice_language: str = Field(sa_type=String(8))
    notice_hash: bytes = Field(sa_type=LargeBinary(32))
    channel: str = Field(sa_type=String(24))
    place: str = Field(sa_type=String(64))
    collector: str = Field(sa_type=String(64))
    system_id: str = Field(sa_type=String(64))
    event_at: int = Field(sa_type=BigInteger)
    recorded_at: int = Field(sa_type=BigInteger)
    valid_until: int | None = Field(default=None, sa_type=BigInteger)
    record: int = Field(sa_type=SmallInteger)  # 1: events that know nothing of the columns from here on
    method: str = Field(sa_type=String(16))
    explicit: bool
    actor: str = Field(sa_type=String(16))
    source: str = Field(sa_type=String(16))  # what brought it about: the person, a browser's signal, a rule
    evidence_hash: bytes = Field(sa_type=LargeBinary(32))  # SHA-256 of what the brand keeps as proof; zeros: nothing
    recipients: str = Field(sa_type=Text)  # space separated, as named to the person
    points: str = Field(sa_type=Text)  # space separated field:version of the contact points it is about
    previous_hash: bytes = Field(sa_type=LargeBinary(32))
    hash: bytes = Field(sa_type=LargeBinary(32))


class ConsentState(Row, table=True):
    """The projection of the events: what holds now for (subject, brand, purpose). `epoch` steps at each event."""

    __tablename__ = "consent_state"
    __table_args__ = (
        CheckConstraint(
            "state IN ('none', 'requested', 'refused', 'given', 'guarded', 'withdrawn', 'objected', 'expired', "
            "'needs_renewal', 'invalidated', 'ended')",
            name="state",
        ),
        CLUSTERED,
    )

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(primary_key=True, sa_type=String(32))
    purpose: str = Field(primary_key=True, sa_type=String(64))
    shard: int = Field(sa_type=SmallInteger)
    state: str = Field(sa_type=String(16))
    since_at: int = Field(sa_type=BigInteger)
    until_at: int | None = Field(default=None, sa_type=BigInteger)
    epoch: int = Field(sa_type=BigInteger)
    event_id: bytes = Field(sa_type=LargeBinary(16))
    notice_version: int = Field(sa_type=SmallInteger)  # of the text that what stands was given to
    points: str = Field(sa_type=Text)  # contact points that it covers, where the purpose has a channel


class ContactActivity(Row, table=True):
    """When a person last made contact with a brand, and in which way."""

    __tablename__ = "contact_activity"
    __table_args__: ClassVar = CLUSTERED

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    brand: str = Field(primary_key=True, sa_type=String(32))
    shard: int = Field(sa_type=SmallInteger)
    last_at: int = Field(sa_type=BigInteger)
    kind: str = Field(sa_type=String(16))


class GuardianLink(Row, table=True):
    """Who may consent for a minor at a brand. `due_at`: since when a review waits, because the minor came of age."""

    __tablename__ = "guardian_link"
    __table_args__ = (Index(None, "subject_id"), Index(None, "guardian_id"))

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes = Field(sa_type=LargeBinary(16))  # the minor
    guardian_id: bytes = Field(sa_type=LargeBinary(16))
    brand: str = Field(sa_type=String(32))
    proof: str = Field(sa_type=String(32))
    proof_hash: bytes = Field(sa_type=LargeBinary(32))
    of_age_sealed: bytes = Field(sa_type=LargeBinary(64))  # sealed: a birth date by another name
    system_id: str = Field(sa_type=String(64))
    linked_at: int = Field(sa_type=BigInteger)
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)


class SuppressionKey(Row, table=True):
    """The key of the suppressions that half a year brings, under a leaf of its own that ends with the last of them."""

    __tablename__ = "suppression_key"
    __table_args__: ClassVar = CLUSTERED

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(8))  # UTC seconds at which the half-year began
    shard: int = Field(sa_type=SmallInteger)
    sealed: bytes = Field(sa_type=LargeBinary)
    slot: int = Field(sa_type=BigInteger)
    generation: int = Field(sa_type=BigInteger)


class Suppression(Row, table=True):
    """An address that a brand may not use for a marketing purpose, as a keyed hash: of whom, it does not say."""

    __tablename__ = "suppression"
    __table_args__ = (Index(None, "day_at"), CLUSTERED)

    mac: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    purpose: str = Field(primary_key=True, sa_type=String(64))
    shard: int = Field(sa_type=SmallInteger)
    day_at: int = Field(sa_type=BigInteger)  # the end of the day on which it was entered
