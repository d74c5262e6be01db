"""Events told to systems, and where they take them.

Revision: 0011
Follows: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "event_endpoint",
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("url", sa.String(length=512), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("system_id", name=op.f("pk_event_endpoint")),
    )
    op.create_table(
        "outgoing_event",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=32), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'acknowledged')", name=op.f("ck_outgoing_event_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outgoing_event")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_outgoing_event_state_next_at"), "outgoing_event", ["state", "next_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_index(op.f("ix_outgoing_event_state_next_at"), table_name="outgoing_event")
    op.drop_table("outgoing_event")
    op.drop_table("event_endpoint")
