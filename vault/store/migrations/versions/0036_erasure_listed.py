"""Until when the addresses of an erasure stay on the list of those not to be solicited, for its certificate.

Revision: 0036
Follows: 0035
"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Erasures asked for before the list was kept have nothing on it."""
    op.add_column("erasure", sa.Column("listed_until", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("erasure", "listed_until")
