"""Signed introspections have a signing key of their own.

Revision: 0027
Follows: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_COLUMNS = "kid, purpose, public, sealed, created_at, until_at"


def upgrade() -> None:
    """Apply."""
    _hold("purpose IN ('attestation', 'event', 'introspection')")


def downgrade() -> None:
    """Undo. The keys go: the release before signs no introspection."""
    op.execute("DELETE FROM signer WHERE purpose = 'introspection'")
    _hold("purpose IN ('attestation', 'event')")


def _hold(condition: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_signer_purpose"), "signer")
        op.create_check_constraint(op.f("ck_signer_purpose"), "signer", condition)
        return
    op.rename_table("signer", "old_signer")
    op.create_table(
        "signer",
        sa.Column("kid", sa.String(length=43), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(length=48), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(condition, name=op.f("ck_signer_purpose")),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_signer")),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO signer ({_COLUMNS}) SELECT {_COLUMNS} FROM old_signer")  # noqa: S608 - our own words
    op.drop_table("old_signer")
