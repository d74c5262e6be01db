"""The audit log's tables: heads, entries, checkpoints.

Revision: 0002
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "log_checkpoint",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stack", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("size > 0", name=op.f("ck_log_checkpoint_size")),
        sa.PrimaryKeyConstraint("shard", "size", name=op.f("pk_log_checkpoint")),
    )
    op.create_table(
        "log_entry",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("idx", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("idx >= 0", name=op.f("ck_log_entry_idx")),
        sa.PrimaryKeyConstraint("shard", "idx", name=op.f("pk_log_entry")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_log_entry_entry_id")),
    )
    op.create_table(
        "log_head",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("origin", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stack", sa.LargeBinary(), nullable=False),
        sa.Column("last_t", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("size >= 0", name=op.f("ck_log_head_size")),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_log_head")),
        sa.UniqueConstraint("origin", name=op.f("uq_log_head_origin")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("log_head")
    op.drop_table("log_entry")
    op.drop_table("log_checkpoint")
