"""Run migrations on the connection that `vault.setup` hands over: one transaction, both databases, all tables."""

from alembic import context
from sqlalchemy import Connection, MetaData

import audit.tables
import vault.store.tables

METADATA: list[MetaData] = [vault.store.tables.metadata, audit.tables.metadata]


def run(conn: Connection) -> None:
    """Bring the database behind `conn` to the revision asked for. A failed migration leaves nothing behind."""
    context.configure(
        connection=conn,
        target_metadata=METADATA,
        render_as_batch=conn.dialect.name == "sqlite",  # SQLite alters a table by rebuilding it
        transactional_ddl=True,
        transaction_per_migration=False,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
