"""Leaves that a re-keying left wait for a backup of the data, behind the leaf that took over.

Revision: 0031
Follows: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

CLUSTERED = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Apply. What is noted already waits for nothing, as before."""
    with op.batch_alter_table("left_leaf", table_kwargs=CLUSTERED) as table:
        table.add_column(sa.Column("heir_slot", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("waits", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("left_leaf", table_kwargs=CLUSTERED) as table:
        table.alter_column("waits", server_default=None)
    op.create_index(op.f("ix_left_leaf_heir_slot"), "left_leaf", ["heir_slot"], unique=False)
    op.create_index(op.f("ix_left_leaf_waits"), "left_leaf", ["waits"], unique=False)
    with op.batch_alter_table("deployment") as table:
        table.add_column(sa.Column("rekeyed", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("rekeyed_saved", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("deployment") as table:
        table.alter_column("rekeyed", server_default=None)
        table.alter_column("rekeyed_saved", server_default=None)


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("deployment") as table:
        table.drop_column("rekeyed_saved")
        table.drop_column("rekeyed")
    op.drop_index(op.f("ix_left_leaf_waits"), "left_leaf")
    op.drop_index(op.f("ix_left_leaf_heir_slot"), "left_leaf")
    with op.batch_alter_table("left_leaf", table_kwargs=CLUSTERED) as table:
        table.drop_column("waits")
        table.drop_column("heir_slot")
