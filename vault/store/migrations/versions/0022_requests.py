"""Requests of data subjects: their way, their clock, the codes that prove who asks, letters, links; and why an event was told.

Revision: 0022
Follows: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "identity_code",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("whom", sa.LargeBinary(), nullable=False),
        sa.Column("whom_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("code_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("tries_left", sa.SmallInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_code")),
    )
    op.create_index(op.f("ix_identity_code_expires_at"), "identity_code", ["expires_at"], unique=False)
    op.create_index(op.f("ix_identity_code_whom_mac"), "identity_code", ["whom_mac"], unique=False)
    op.create_table(
        "letter",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=32), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'sent', 'void')", name=op.f("ck_letter_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letter")),
    )
    op.create_index(op.f("ix_letter_state_next_at"), "letter", ["state", "next_at"], unique=False)
    op.create_table(
        "package_link",
        sa.Column("secret_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("request_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("secret_hash", name=op.f("pk_package_link")),
    )
    op.create_index(op.f("ix_package_link_expires_at"), "package_link", ["expires_at"], unique=False)
    op.create_index(op.f("ix_package_link_request_id"), "package_link", ["request_id"], unique=False)
    op.create_table(
        "request_step",
        sa.Column("request_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("move", sa.String(length=24), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "number", name=op.f("pk_request_step")),
    )
    op.create_index(op.f("ix_request_step_at"), "request_step", ["at"], unique=False)
    op.create_table(
        "subject_request",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=True),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("jurisdiction", sa.String(length=8), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("received_by", sa.String(length=64), nullable=False),
        sa.Column("requester", sa.String(length=16), nullable=False),
        sa.Column("mandate_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("assurance", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("held_from", sa.String(length=24), nullable=False),
        sa.Column("outcome", sa.String(length=24), nullable=False),
        sa.Column("ground", sa.String(length=32), nullable=False),
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("extended", sa.Boolean(), nullable=False),
        sa.Column("paused_days", sa.SmallInteger(), nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("duplicate_of", sa.LargeBinary(length=16), nullable=True),
        sa.Column("erasures", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("content_slot", sa.BigInteger(), nullable=True),
        sa.Column("content_generation", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(content IS NULL) = (content_slot IS NULL)", name=op.f("ck_subject_request_content")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_subject_request_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject_request")),
    )
    op.create_index(op.f("ix_subject_request_brand_state"), "subject_request", ["brand", "state"], unique=False)
    op.create_index(op.f("ix_subject_request_subject_id"), "subject_request", ["subject_id"], unique=False)
    op.add_column("outgoing_event", sa.Column("cause", sa.LargeBinary(length=16), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("outgoing_event", "cause")
    for table in ("subject_request", "request_step", "package_link", "letter", "identity_code"):
        op.drop_table(table)
