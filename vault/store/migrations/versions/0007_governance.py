"""Governance: officers' keys, policy versions and the signatures under them.

Revision: 0007
Follows: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "officer_key",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("officer_id", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_officer_key")),
    )
    op.create_index(op.f("ix_officer_key_officer_id"), "officer_key", ["officer_id"], unique=False)
    op.create_table(
        "policy_version",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('draft', 'approved', 'active', 'retired', 'refused')", name=op.f("ck_policy_version_state")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_policy_version")),
    )
    op.create_index(
        op.f("ix_policy_version_active"),
        "policy_version",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "policy_signature",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("officer_id", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('author', 'approver')", name=op.f("ck_policy_signature_role")),
        sa.PrimaryKeyConstraint("number", "role", name=op.f("pk_policy_signature")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("policy_signature")
    op.drop_index(op.f("ix_policy_version_active"), table_name="policy_version")
    op.drop_table("policy_version")
    op.drop_index(op.f("ix_officer_key_officer_id"), table_name="officer_key")
    op.drop_table("officer_key")
