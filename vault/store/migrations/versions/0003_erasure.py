"""Erasure: holds, erasures and their leaves; compartments with a state and a time; search tokens with an epoch.

Tokens made before are not wrapped under an epoch and could never be told apart from those that are: they go, and the
index is filled again from the values.

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CLUSTERED = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Apply."""
    op.drop_table("search_token")
    op.create_table(
        "search_token",
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("field_id", sa.SmallInteger(), nullable=False),
        sa.Column("item", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("token", sa.LargeBinary(length=16), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "brand", "field_id", "item", name=op.f("pk_search_token")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_search_token_token"), "search_token", ["token"], unique=False)
    with op.batch_alter_table("compartment", table_kwargs=CLUSTERED) as table:
        table.add_column(sa.Column("written_at", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("state", sa.String(length=16), nullable=False, server_default="active"))
    op.execute(
        "UPDATE compartment SET written_at = "
        "(SELECT created_at FROM subject WHERE subject.id = compartment.subject_id)"
    )
    with op.batch_alter_table("compartment", table_kwargs=CLUSTERED) as table:
        table.alter_column("written_at", server_default=None)
        table.alter_column("state", server_default=None)
        table.create_check_constraint(op.f("ck_compartment_state"), "state IN ('active', 'erasing')")
    op.create_table(
        "hold",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("category_id", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("placed_by", sa.String(length=64), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("released_by", sa.String(length=64), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index(op.f("ix_hold_subject_id"), "hold", ["subject_id"], unique=False)
    op.create_table(
        "erasure",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=True),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("category_id", sa.SmallInteger(), nullable=False),
        sa.Column("field_id", sa.SmallInteger(), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("requested_by", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=True),
        sa.Column("entry_id", sa.LargeBinary(length=16), nullable=True),
        sa.Column("certificate", sa.Text(), nullable=True),
        sa.CheckConstraint("scope IN ('subject', 'category', 'field')", name=op.f("ck_erasure_scope")),
        sa.CheckConstraint("state IN ('requested', 'partial', 'done')", name=op.f("ck_erasure_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
    )
    op.create_index(op.f("ix_erasure_subject_id"), "erasure", ["subject_id"], unique=False)
    op.create_index(op.f("ix_erasure_state"), "erasure", ["state"], unique=False)
    op.create_table(
        "erasure_leaf",
        sa.Column("erasure_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("category_id", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.CheckConstraint("state IN ('queued', 'kept', 'destroyed')", name=op.f("ck_erasure_leaf_state")),
        sa.PrimaryKeyConstraint("erasure_id", "slot", "generation", name=op.f("pk_erasure_leaf")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_erasure_leaf_state"), "erasure_leaf", ["state"], unique=False)


def downgrade() -> None:
    """Undo."""
    op.drop_table("erasure_leaf")
    op.drop_table("erasure")
    op.drop_table("hold")
    with op.batch_alter_table("compartment", table_kwargs=CLUSTERED) as table:
        table.drop_constraint(op.f("ck_compartment_state"), type_="check")
        table.drop_column("state")
        table.drop_column("written_at")
    op.drop_table("search_token")
    op.create_table(
        "search_token",
        sa.Column("token", sa.LargeBinary(length=16), nullable=False),
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("item", sa.BigInteger(), nullable=False),
        sa.Column("brand", sa.String(length=32), nullable=False),
        sa.Column("field_id", sa.SmallInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", "subject_id", "item", name=op.f("pk_search_token")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_search_token_subject_id_brand_field_id"),
        "search_token",
        ["subject_id", "brand", "field_id"],
        unique=False,
    )
