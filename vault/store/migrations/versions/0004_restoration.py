"""Restoration: the epoch of the keystore that the data has caught up with, and backups that are being brought back.

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("deployment") as table:
        table.add_column(sa.Column("keys_epoch", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("deployment") as table:
        table.alter_column("keys_epoch", server_default=None)
    op.create_table(
        "restoration",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("after", sa.LargeBinary(length=16), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("subjects", sa.BigInteger(), nullable=False),
        sa.Column("compartments", sa.BigInteger(), nullable=False),
        sa.Column("indexed", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("phase IN ('leaves', 'index', 'log', 'done')", name=op.f("ck_restoration_phase")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restoration")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("restoration")
    with op.batch_alter_table("deployment") as table:
        table.drop_column("keys_epoch")
