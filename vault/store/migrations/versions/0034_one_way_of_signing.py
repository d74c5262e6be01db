"""Officers' signatures over steps of requests are kept with all their others.

Those over steps before are dropped: they were over a text that is no longer made. Who took each step stays.

Revision: 0034
Follows: 0033
"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.drop_column("request_step", "fingerprint")
    op.drop_column("request_step", "signature")


def downgrade() -> None:
    """Undo."""
    op.add_column("request_step", sa.Column("fingerprint", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("request_step", sa.Column("signature", sa.LargeBinary(), nullable=True))
