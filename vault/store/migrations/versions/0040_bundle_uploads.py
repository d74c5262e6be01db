"""Bundles that officers bring to the console and have not proposed yet.

Revision: 0040
Follows: 0039
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "bundle_upload",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("officer_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("uploaded_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_upload")),
    )
    op.create_index(op.f("ix_bundle_upload_officer_id"), "bundle_upload", ["officer_id"])
    op.create_index(op.f("ix_bundle_upload_expires_at"), "bundle_upload", ["expires_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("bundle_upload")
