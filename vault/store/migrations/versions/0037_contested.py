"""Values that their person contests, out of use until it is decided; and when a request was answered.

Revision: 0037
Follows: 0036
"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_ANSWERED = (
    "('ready', 'delivered', 'closed', 'refused', 'withdrawn', 'duplicate', 'executed', 'recipients_notified',"
    " 'backups_expired', 'certified')"
)


def upgrade() -> None:
    """Apply. Of requests answered before, the first step that answered them says when."""
    op.create_table(
        "contested_value",
        sa.Column("subject_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("field_id", sa.SmallInteger(), nullable=False),
        sa.Column("item", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("stands", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(
            "subject_id", "field_id", "item", "request_id", name=op.f("pk_contested_value")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_contested_value_request_id"), "contested_value", ["request_id"])
    op.add_column("subject_request", sa.Column("answered_at", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE subject_request SET answered_at = (SELECT min(at) FROM request_step"  # noqa: S608 - our own words
        f" WHERE request_id = subject_request.id AND state IN {_ANSWERED})"
    )


def downgrade() -> None:
    """Undo."""
    op.drop_column("subject_request", "answered_at")
    op.drop_index(op.f("ix_contested_value_request_id"), table_name="contested_value")
    op.drop_table("contested_value")
