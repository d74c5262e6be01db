"""When stored bytes of the log were last hashed anew.

Revision: 0026
Follows: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "log_scrub",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("faults", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("size >= 0 AND faults >= 0", name=op.f("ck_log_scrub_counts")),
        sa.PrimaryKeyConstraint("shard", "kind", name=op.f("pk_log_scrub")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("log_scrub")
