"""Texts that are kept back from their person, on a ground, until an officer gives them.

Revision: 0043
Follows: 0042
"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. None is kept back so far."""
    op.create_table(
        "withheld_text",
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("field_id", sa.SmallInteger(), nullable=False),
        sa.Column("item", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("ground", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "holder", "field_id", "item", name=op.f("pk_withheld_text")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("withheld_text")
