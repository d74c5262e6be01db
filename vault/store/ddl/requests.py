"""Requests of data subjects: where each stands, every step of the way, and the codes sent to see who asks."""

from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String, Text
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class SubjectRequest(Row, table=True):
    """A request: its right, its clock and its state in clear, what the person wrote sealed. Outlives its subject."""

    __tablename__ = "subject_request"
    __table_args__ = (
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("(content IS NULL) = (content_slot IS NULL)", name="content"),
        Index(None, "subject_id"),
        Index(None, "brand", "state"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    subject_id: bytes | None = Field(default=None, sa_type=LargeBinary(16))  # forgotten with the whole subject
    brand: str = Field(sa_type=String(32))
    kind: str = Field(sa_type=String(24))  # a `policies.rights.Right`
    jurisdiction: str = Field(sa_type=String(8))
    names: str = Field(sa_type=Text)  # what it is about, in names of the catalogue and purposes; never a value
    source: str = Field(sa_type=String(16))
    received_by: str = Field(sa_type=String(64))
    requester: str = Field(sa_type=String(16))  # the person, an agent, a guardian
    mandate_hash: bytes | None = Field(default=None, sa_type=LargeBinary(32))
    language: str = Field(sa_type=String(2))
    assurance: str = Field(sa_type=String(16))
    state: str = Field(sa_type=String(24))
    held_from: str = Field(sa_type=String(24))  # the state to go back to from a halt or a proposal; else empty
    outcome: str = Field(sa_type=String(24))  # empty while open
    ground: str = Field(sa_type=String(32))
    kept: str = Field(sa_type=Text)  # categories left out of what was granted
    received_at: int = Field(sa_type=BigInteger)
    extended: bool
    paused_days: int = Field(sa_type=SmallInteger)
    paused_at: int | None = Field(default=None, sa_type=BigInteger)
    due_at: int = Field(sa_type=BigInteger)  # as of the last step; a pause under way lengthens it day by day
    answered_at: int | None = Field(default=None, sa_type=BigInteger)  # when the person was answered: what is due
    closed_at: int | None = Field(default=None, sa_type=BigInteger)
    duplicate_of: bytes | None = Field(default=None, sa_type=LargeBinary(16))
    erasures: str = Field(sa_type=Text)  # ids, hexadecimal: what was carried out of it
    version: int = Field(sa_type=BigInteger)  # the number of its last step
    content: bytes | None = Field(default=None, sa_type=LargeBinary)
    content_slot: int | None = Field(default=None, sa_type=BigInteger)  # a leaf of its own, destroyed when it is over
    content_generation: int | None = Field(default=None, sa_type=BigInteger)


class ContestedValue(Row, table=True):
    """A value whose person says that it is wrong: out of use while `stands`, until the request is decided. No value in it."""

    __tablename__ = "contested_value"
    __table_args__ = (Index(None, "request_id"), CLUSTERED)

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    field_id: int = Field(primary_key=True, sa_type=SmallInteger)
    item: int = Field(primary_key=True, sa_type=BigInteger)  # as in `field_value`; -1: every item
    request_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    holder: str = Field(sa_type=String(32))
    stands: bool  # from when it is known that the person asks


class WithheldText(Row, table=True):
    """A free text that its person is not given, and on what ground: by its place. No text in it."""

    __tablename__ = "withheld_text"
    __table_args__: ClassVar = CLUSTERED

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    holder: str = Field(primary_key=True, sa_type=String(32))
    field_id: int = Field(primary_key=True, sa_type=SmallInteger)
    item: int = Field(primary_key=True, sa_type=BigInteger)  # as in `field_value`
    shard: int = Field(sa_type=SmallInteger)
    ground: str = Field(sa_type=String(32))


class ReviewedText(Row, table=True):
    """A version of a free text that an officer read in the review of a request: by its place. No text in it."""

    __tablename__ = "reviewed_text"
    __table_args__: ClassVar = CLUSTERED

    subject_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    holder: str = Field(primary_key=True, sa_type=String(32))
    field_id: int = Field(primary_key=True, sa_type=SmallInteger)
    item: int = Field(primary_key=True, sa_type=BigInteger)  # as in `field_value`, and so is the version
    version: int = Field(primary_key=True, sa_type=BigInteger)
    request_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    given: bool  # the review ended with a package that it is in


class RequestStep(Row, table=True):
    """One step of a request: which, by whom, when. An officer's signature over it is in `officer_signature`. Names nobody."""

    __tablename__ = "request_step"
    __table_args__ = (Index(None, "at"),)

    request_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    number: int = Field(primary_key=True, sa_type=BigInteger)
    move: str = Field(sa_type=String(24))
    state: str = Field(sa_type=String(24))  # after it
    actor_kind: str = Field(sa_type=String(16))
    actor_id: str = Field(sa_type=String(64))
    said: str = Field(sa_type=Text)  # a ground, a reason, names: codes
    at: int = Field(sa_type=BigInteger)


class IdentityCode(Row, table=True):
    """A one-time code, as a keyed hash: to whom it went the letter knows. Nobody behind it looks the same."""

    __tablename__ = "identity_code"
    __table_args__ = (Index(None, "expires_at"), Index(None, "whom_mac"))

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    whom: bytes = Field(sa_type=LargeBinary)  # sealed: the subject and the request, or nobody in as many bytes
    whom_mac: bytes = Field(sa_type=LargeBinary(32))  # of brand and address, under the epoch's index key: few go to one
    brand: str = Field(sa_type=String(32))
    code_mac: bytes = Field(sa_type=LargeBinary(32))
    tries_left: int = Field(sa_type=SmallInteger)
    expires_at: int = Field(sa_type=BigInteger)


class Letter(Row, table=True):
    """A message to a contact point on file, waiting to be sent. Sealed; dropped once it went."""

    __tablename__ = "letter"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'sent', 'void')", name="state"),
        Index(None, "state", "next_at"),
    )

    id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    shard: int = Field(sa_type=SmallInteger)
    kind: str = Field(sa_type=String(24))
    payload: bytes = Field(sa_type=LargeBinary)  # sealed: whom, where, and what to say
    state: str = Field(sa_type=String(16))
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    next_at: int = Field(sa_type=BigInteger)
    attempts: int
    problem: str = Field(sa_type=String(32))


class PackageLink(Row, table=True):
    """A link that gives out one access package once: the hash of its secret, and until when."""

    __tablename__ = "package_link"
    __table_args__ = (Index(None, "request_id"), Index(None, "expires_at"))

    secret_hash: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    request_id: bytes = Field(sa_type=LargeBinary(16))
    expires_at: int = Field(sa_type=BigInteger)
    used_at: int | None = Field(default=None, sa_type=BigInteger)
