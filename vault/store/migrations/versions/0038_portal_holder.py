"""Whose a session of the portal is, as a keyed hash: a person sees and ends the own ones.

Revision: 0038
Follows: 0037
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Who is signed in, for an hour at most, signs in anew: of those sessions nobody could say whose they are."""
    op.execute("DELETE FROM portal_session")
    op.add_column("portal_session", sa.Column("holder", sa.LargeBinary(length=16), nullable=True))
    op.create_index(op.f("ix_portal_session_holder"), "portal_session", ["holder"])


def downgrade() -> None:
    """Undo."""
    op.drop_index(op.f("ix_portal_session_holder"), "portal_session")
    op.drop_column("portal_session", "holder")
