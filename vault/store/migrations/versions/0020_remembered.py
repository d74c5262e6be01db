"""What is remembered of requests and import rows dies with its epoch.

Rows made before are under keys that outlive every epoch: from a backup they would tell whether a guess is right. They go,
and what they stood for is new when it is asked again.

Revision: 0020
Follows: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _anew(16, ("epoch",))


def downgrade() -> None:
    """Undo."""
    _anew(32, ())


def _anew(mac: int, more: tuple[str, ...]) -> None:
    op.drop_table("idempotent_request")
    op.create_table(
        "idempotent_request",
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("key_mac", sa.LargeBinary(length=mac), nullable=False),
        sa.Column("request_mac", sa.LargeBinary(length=mac), nullable=False),
        *(sa.Column(each, sa.BigInteger(), nullable=False) for each in more),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status >= 100 AND status < 600", name=op.f("ck_idempotent_request_status")),
        sa.PrimaryKeyConstraint("system_id", "key_mac", name=op.f("pk_idempotent_request")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_idempotent_request_expires_at"), "idempotent_request", ["expires_at"], unique=False)
    op.drop_table("import_row")
    op.create_table(
        "import_row",
        sa.Column("import_mac", sa.LargeBinary(length=16), nullable=False),
        sa.Column("row_mac", sa.LargeBinary(length=16), nullable=False),
        sa.Column("content_mac", sa.LargeBinary(length=16), nullable=False),
        *(sa.Column(each, sa.BigInteger(), nullable=False) for each in more),
        sa.Column("outcome", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("import_mac", "row_mac", name=op.f("pk_import_row")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_import_row_expires_at"), "import_row", ["expires_at"], unique=False)
