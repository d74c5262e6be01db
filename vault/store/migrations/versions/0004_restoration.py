"""Restoration: the epoch of the keystore that the data has caught up with, and backups that are being brought back.

Migration 0003 let every search token go. Where there are people and no token, the database is marked like a backup that
was brought back: nobody is served from it before `ecrin restore` has made the index anew, for a search would answer
with an empty list instead of people who are there.

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("deployment") as table:
        table.add_column(sa.Column("keys_epoch", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("deployment") as table:
        table.alter_column("keys_epoch", server_default=None)
    op.create_table(
        "restoration",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("after", sa.LargeBinary(length=16), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("subjects", sa.BigInteger(), nullable=False),
        sa.Column("compartments", sa.BigInteger(), nullable=False),
        sa.Column("indexed", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("phase IN ('leaves', 'index', 'log', 'done')", name=op.f("ck_restoration_phase")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restoration")),
    )
    # One such row at most, so its id needs no chance: `vault.recovery.restores.MIGRATED`.
    op.execute(
        sa.text(
            "INSERT INTO restoration (id, phase, after, begun_at, subjects, compartments, indexed) "
            "SELECT :id, 'leaves', :after, created_at, 0, 0, 0 FROM deployment "
            "WHERE EXISTS (SELECT 1 FROM subject) AND NOT EXISTS (SELECT 1 FROM search_token)"
        ).bindparams(sa.bindparam("id", bytes(16), sa.LargeBinary), sa.bindparam("after", b"", sa.LargeBinary))
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("restoration")
    with op.batch_alter_table("deployment") as table:
        table.drop_column("keys_epoch")
