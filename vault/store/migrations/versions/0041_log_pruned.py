"""Prunings of the log: from where on the bodies of entries are kept.

Revision: 0041
Follows: 0040
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Nothing was pruned before."""
    op.create_table(
        "log_pruned",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.LargeBinary(length=16), nullable=False),
        sa.CheckConstraint("first > 0", name=op.f("ck_log_pruned_first")),
        sa.PrimaryKeyConstraint("shard", "first", name=op.f("pk_log_pruned")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("log_pruned")
