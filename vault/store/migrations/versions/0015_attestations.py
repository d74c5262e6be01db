"""Attestations: signing keys that rotate, places in status lists, and the predicates asked in a day.

Revision: 0015
Follows: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "signer",
        sa.Column("kid", sa.String(length=43), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(length=48), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("purpose IN ('attestation')", name=op.f("ck_signer_purpose")),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_signer")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "attestation",
        sa.Column("list", sa.String(length=32), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("system_epoch", sa.BigInteger(), nullable=False),
        sa.Column("subject_epoch", sa.BigInteger(), nullable=False),
        sa.Column("consent_epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("list", "place", name=op.f("pk_attestation")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_attestation_expires_at"), "attestation", ["expires_at"])
    op.create_table(
        "predicate_day",
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "system_id", "day", name=op.f("pk_predicate_day")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_predicate_day_expires_at"), "predicate_day", ["expires_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("predicate_day")
    op.drop_table("attestation")
    op.drop_table("signer")
