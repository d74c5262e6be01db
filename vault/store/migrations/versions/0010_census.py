"""Census: how many subjects share a generalised value.

Revision: 0010
Follows: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "census_run",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("log_size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_census_run")),
    )
    op.create_table(
        "census_group",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("bucket", sa.LargeBinary(length=16), nullable=False),
        sa.Column("subjects", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("subjects >= 20", name=op.f("ck_census_group_subjects")),
        sa.PrimaryKeyConstraint("number", "bucket", name=op.f("pk_census_group")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("census_group")
    op.drop_table("census_run")
