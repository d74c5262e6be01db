"""Networks a system may call from.

Revision: 0008
Follows: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("system") as table:
        table.add_column(sa.Column("networks", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("system") as table:
        table.alter_column("networks", server_default=None)


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("system") as table:
        table.drop_column("networks")
