"""Who must not be solicited again, as keyed hashes of addresses.

Nothing is entered for what was said before: as long as somebody is there, their own record says it.

Revision: 0033
Follows: 0032
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "suppression_key",
        sa.Column("id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression_key")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "suppression",
        sa.Column("mac", sa.LargeBinary(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("day_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mac", "purpose", name=op.f("pk_suppression")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_suppression_day_at"), "suppression", ["day_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("suppression")
    op.drop_table("suppression_key")
