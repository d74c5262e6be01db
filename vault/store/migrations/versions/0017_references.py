"""References that rotate, and joins of two brands under two officers.

Revision: 0017
Follows: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("reference", sa.Column("expires_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "brand_join",
        sa.Column("id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("other", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("named", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(length=64), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'withdrawn')", name=op.f("ck_brand_join_state")),
        sa.CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name=op.f("ck_brand_join_two_officers")),
        sa.CheckConstraint("brand <> other", name=op.f("ck_brand_join_two_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brand_join")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("brand_join")
    op.drop_column("reference", "expires_at")
