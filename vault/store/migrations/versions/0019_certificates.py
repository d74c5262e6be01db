"""Certificate binding: the TLS certificate a token is bound to, beside its key (RFC 8705).

Revision: 0019
Follows: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("access_token", sa.Column("x5t", sa.String(length=43), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("access_token", "x5t")
