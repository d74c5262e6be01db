"""Whether a restoration goes by a log outside, so that one that was begun with it does not end without it.

Revision: 0042
Follows: 0041
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. None went by one so far."""
    with op.batch_alter_table("restoration") as table:
        table.add_column(sa.Column("by_log", sa.String(length=16), nullable=False, server_default="none"))
    with op.batch_alter_table("restoration") as table:
        table.alter_column("by_log", server_default=None)


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("restoration") as table:
        table.drop_column("by_log")
