"""Restrictions of processing, each with who placed it and why.

Subjects that are restricted already are so by the guard of a restore: their rows say that.

Revision: 0021
Follows: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "restriction",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("placed_by", sa.String(length=64), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("lifted_by", sa.String(length=64), nullable=True),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restriction")),
    )
    op.create_index(op.f("ix_restriction_subject_id"), "restriction", ["subject_id"], unique=False)
    # The subject's own id serves as the row's: it is random, and there is one such row for each.
    op.execute(
        "INSERT INTO restriction (id, shard, subject_id, brand, reason, placed_by, placed_at) "
        "SELECT id, shard, id, '', 'restored', 'vault', created_at FROM subject WHERE restricted"
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index(op.f("ix_restriction_subject_id"), table_name="restriction")
    op.drop_table("restriction")
