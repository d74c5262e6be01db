"""How officers sign in to the console: passkeys, one-time codes, invitations, sessions; and the portal's sessions."""

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class OfficerSession(Row, table=True):
    """A browser at the console: before the sign-in (`door`), while setting up (`enrolling`), or signed in (`open`)."""

    __tablename__ = "officer_session"
    __table_args__ = (
        CheckConstraint("stage IN ('door', 'enrolling', 'open')", name="stage"),
        CheckConstraint("(stage = 'door') = (officer_id IS NULL)", name="officer"),
        Index(None, "expires_at"),
        Index(None, "officer_id"),
        CLUSTERED,
    )

    token_hash: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    stage: str = Field(sa_type=String(16))
    officer_id: str | None = Field(default=None, sa_type=String(64))
    method: str = Field(sa_type=String(16))  # how the officer was known: passkey, code, invitation, or nothing yet
    created_at: int = Field(sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)
    stepped_at: int | None = Field(default=None, sa_type=BigInteger)  # when the officer last proved to be there
    expires_at: int = Field(sa_type=BigInteger)


class OfficerPasskey(Row, table=True):
    """The public half of an officer's WebAuthn credential."""

    __tablename__ = "officer_passkey"
    __table_args__ = (Index(None, "officer_id"),)

    credential_id: bytes = Field(primary_key=True, sa_type=LargeBinary(1023))
    officer_id: str = Field(sa_type=String(64))
    public_key: bytes = Field(sa_type=LargeBinary)  # COSE_Key
    sign_count: int = Field(sa_type=BigInteger)
    label: str = Field(sa_type=String(64))  # the officer's own name for it
    added_at: int = Field(sa_type=BigInteger)
    used_at: int | None = Field(default=None, sa_type=BigInteger)


class OfficerCode(Row, table=True):
    """An officer's secret for one-time codes (RFC 6238), sealed, and the guard against guessing and replay."""

    __tablename__ = "officer_code"

    officer_id: str = Field(primary_key=True, sa_type=String(64))
    sealed: bytes = Field(sa_type=LargeBinary)
    last_step: int = Field(sa_type=BigInteger)  # no code of this or an earlier step is taken again
    failures: int = Field(sa_type=SmallInteger)
    window_at: int = Field(sa_type=BigInteger)  # since when `failures` are counted
    added_at: int = Field(sa_type=BigInteger)
    drift: int = Field(sa_type=SmallInteger)  # steps that the officer's clock is ahead of ours
    offered_step: int | None = Field(default=None, sa_type=BigInteger)  # of a code that fitted, but for another drift
    offered_drift: int = Field(sa_type=SmallInteger)


class OfficerNews(Row, table=True):
    """What an officer is told about the own ways in: how often since it was seen, and when. A row per kind."""

    __tablename__ = "officer_news"

    officer_id: str = Field(primary_key=True, sa_type=String(64))
    kind: str = Field(primary_key=True, sa_type=String(24))
    count: int
    at: int | None = Field(default=None, sa_type=BigInteger)
    before_at: int | None = Field(default=None, sa_type=BigInteger)


class OfficerInvitation(Row, table=True):
    """A set-up code that was handed to an officer: good once, and for a day."""

    __tablename__ = "officer_invitation"
    __table_args__ = (Index(None, "officer_id"),)

    token_hash: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    officer_id: str = Field(sa_type=String(64))
    expires_at: int = Field(sa_type=BigInteger)


class PortalSession(Row, table=True):
    """A browser at the portal: nobody yet (`door`), one that a code was sent for (`asked`), or a person (`open`)."""

    __tablename__ = "portal_session"
    __table_args__ = (
        CheckConstraint("stage IN ('door', 'asked', 'open')", name="stage"),
        Index(None, "expires_at"),
        Index(None, "holder"),
        CLUSTERED,
    )

    token_hash: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    stage: str = Field(sa_type=String(16))
    brand: str = Field(sa_type=String(32))
    sealed: bytes = Field(sa_type=LargeBinary)  # the handle of the code, then the brand's reference
    seen_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    holder: bytes | None = Field(default=None, sa_type=LargeBinary(16))  # of an open one: keyed hash of whose it is
