"""Budgets: a system's limits, marks, meters, and raises by two officers.

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What systems get that were registered before there were budgets; `vault.budgetlimits.DEFAULT` at the time.
_LIMITS = (
    '{"limits":["staff:people:1000/day","staff:people:200/hour","staff:people:60/minute",'
    '"system:people:1000/minute","system:people:20000/day","system:people:5000/hour","system:weight:2000000/day"],'
    '"raises":[]}'
)
_COUNTS = [f"{measure}_{window}" for measure in ("people", "weight") for window in ("second", "minute", "hour", "day")]


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("system") as table:
        table.add_column(sa.Column("budgets", sa.Text(), nullable=False, server_default=_LIMITS))
    with op.batch_alter_table("system") as table:
        table.alter_column("budgets", server_default=None)
    op.create_table(
        "budget_mark",
        sa.Column("mark", sa.LargeBinary(length=16), nullable=False),
        sa.Column("meter", sa.LargeBinary(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("previous_at", sa.BigInteger(), nullable=False),
        sa.Column("shape", sa.BigInteger(), nullable=False),
        sa.Column("previous_shape", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_budget_mark")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_budget_mark_at"), "budget_mark", ["at"])
    op.create_table(
        "budget_meter",
        sa.Column("meter", sa.LargeBinary(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS],
        sa.PrimaryKeyConstraint("meter", name=op.f("pk_budget_meter")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "budget_raise",
        sa.Column("id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("system_id", sa.String(length=64), nullable=False),
        sa.Column("limits", sa.Text(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(length=64), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'withdrawn')", name=op.f("ck_budget_raise_state")),
        sa.CheckConstraint(
            "approved_by IS NULL OR approved_by <> proposed_by", name=op.f("ck_budget_raise_two_officers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_raise")),
    )
    op.create_index(op.f("ix_budget_raise_system_id"), "budget_raise", ["system_id"])


def downgrade() -> None:
    """Undo."""
    op.drop_index(op.f("ix_budget_raise_system_id"), table_name="budget_raise")
    op.drop_table("budget_raise")
    op.drop_table("budget_meter")
    op.drop_index(op.f("ix_budget_mark_at"), table_name="budget_mark")
    op.drop_table("budget_mark")
    with op.batch_alter_table("system") as table:
        table.drop_column("budgets")
