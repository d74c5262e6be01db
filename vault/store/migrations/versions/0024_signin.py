"""Officers sign in to the console: sessions, passkeys, one-time codes, invitations.

Revision: 0024
Follows: 0023
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "officer_session",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("officer_id", sa.String(length=64), nullable=True),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("stepped_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("stage IN ('door', 'enrolling', 'open')", name=op.f("ck_officer_session_stage")),
        sa.CheckConstraint("(stage = 'door') = (officer_id IS NULL)", name=op.f("ck_officer_session_officer")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_officer_session")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_officer_session_expires_at"), "officer_session", ["expires_at"])
    op.create_index(op.f("ix_officer_session_officer_id"), "officer_session", ["officer_id"])
    op.create_table(
        "officer_passkey",
        sa.Column("credential_id", sa.LargeBinary(length=1023), nullable=False),
        sa.Column("officer_id", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_officer_passkey")),
    )
    op.create_index(op.f("ix_officer_passkey_officer_id"), "officer_passkey", ["officer_id"])
    op.create_table(
        "officer_code",
        sa.Column("officer_id", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.SmallInteger(), nullable=False),
        sa.Column("window_at", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("officer_id", name=op.f("pk_officer_code")),
    )
    op.create_table(
        "officer_invitation",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("officer_id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_officer_invitation")),
    )
    op.create_index(op.f("ix_officer_invitation_officer_id"), "officer_invitation", ["officer_id"])


def downgrade() -> None:
    """Undo."""
    for table in ("officer_invitation", "officer_code", "officer_passkey", "officer_session"):
        op.drop_table(table)
