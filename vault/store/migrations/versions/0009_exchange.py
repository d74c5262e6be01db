"""Token exchange: which token a narrower one was made from, and through whom it came.

Revision: 0009
Follows: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("access_token", sa.Column("parent", sa.LargeBinary(length=32), nullable=True))
    op.add_column("access_token", sa.Column("actors", sa.Text(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("access_token", "actors")
    op.drop_column("access_token", "parent")
