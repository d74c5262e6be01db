"""Details of entries, sealed under their person's log key.

Revision: 0035
Follows: 0034
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "log_detail",
        sa.Column("entry_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_log_detail")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_log_detail_at"), "log_detail", ["at"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("log_detail")
