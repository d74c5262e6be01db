"""Persons sign in to the portal: sessions.

Revision: 0029
Follows: 0028
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "portal_session",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("stage IN ('door', 'asked', 'open')", name=op.f("ck_portal_session_stage")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_portal_session")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_portal_session_expires_at"), "portal_session", ["expires_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("portal_session")
