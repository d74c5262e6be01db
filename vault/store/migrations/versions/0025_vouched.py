"""What others say of the log: witnesses and time stamps.

Revision: 0025
Follows: 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "log_witness",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("witness", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.CheckConstraint("size > 0", name=op.f("ck_log_witness_size")),
        sa.PrimaryKeyConstraint("shard", "witness", name=op.f("pk_log_witness")),
    )
    op.create_table(
        "log_witnessed",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("size > 0", name=op.f("ck_log_witnessed_size")),
        sa.PrimaryKeyConstraint("shard", "size", name=op.f("pk_log_witnessed")),
    )
    op.create_table(
        "log_timestamp",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("size > 0", name=op.f("ck_log_timestamp_size")),
        sa.PrimaryKeyConstraint("shard", "size", name=op.f("pk_log_timestamp")),
    )


def downgrade() -> None:
    """Undo."""
    for name in ("log_timestamp", "log_witnessed", "log_witness"):
        op.drop_table(name)
