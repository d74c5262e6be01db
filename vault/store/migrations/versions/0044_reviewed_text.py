"""Texts that an officer read before their person was given them, by place and version.

Revision: 0044
Follows: 0043
"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Nobody has read any so far: the portal gives none until somebody has."""
    op.create_table(
        "reviewed_text",
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("field_id", sa.SmallInteger(), nullable=False),
        sa.Column("item", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(
            "subject_id", "holder", "field_id", "item", "version", "request_id", name=op.f("pk_reviewed_text")
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Undo. The portal of before gives what nobody has read."""
    op.drop_table("reviewed_text")
