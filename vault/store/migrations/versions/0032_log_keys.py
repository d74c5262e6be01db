"""Changes of the key that signs a log.

Revision: 0032
Follows: 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "log_key",
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("generation", sa.SmallInteger(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("generation > 1", name=op.f("ck_log_key_generation")),
        sa.PrimaryKeyConstraint("shard", "generation", name=op.f("pk_log_key")),
    )


def downgrade() -> None:
    """Undo, while the first key signs: an older release knows of no other."""
    if op.get_bind().execute(sa.text("SELECT count(*) FROM log_key")).scalar_one():
        raise RuntimeError("the log has had a change of its key")
    op.drop_table("log_key")
