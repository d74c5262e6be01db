"""Officers are told about their ways in; a one-time code is good while it is shown.

Revision: 0039
Follows: 0038
"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

KINDS = (
    "signed_in", "tried", "half_proven", "passkey_added", "passkey_removed", "password_changed", "code_set_up", "invited",
    "key_registered",
)


def upgrade() -> None:
    """Apply. A clock that is off by a step is learnt with the second code from it."""
    with op.batch_alter_table("officer_code") as table:
        table.add_column(sa.Column("drift", sa.SmallInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("offered_step", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("offered_drift", sa.SmallInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("officer_code") as table:
        table.alter_column("drift", server_default=None)
        table.alter_column("offered_drift", server_default=None)
    op.create_table(
        "officer_news",
        sa.Column("officer_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("before_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("officer_id", "kind", name=op.f("pk_officer_news")),
    )
    for kind in KINDS:
        op.execute(f"INSERT INTO officer_news (officer_id, kind, count) SELECT id, '{kind}', 0 FROM officer")


def downgrade() -> None:
    """Undo."""
    op.drop_table("officer_news")
    with op.batch_alter_table("officer_code") as table:
        for column in ("offered_drift", "offered_step", "drift"):
            table.drop_column(column)
