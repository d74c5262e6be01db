"""The published log: the root of every full tile.

Revision: 0016
Follows: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "log_node",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("idx", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("level >= 1 AND idx >= 0", name=op.f("ck_log_node_place")),
        sa.PrimaryKeyConstraint("shard", "level", "idx", name=op.f("pk_log_node")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("log_node")
