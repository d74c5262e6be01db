"""Bring a database to the schema this release expects, and refuse any other.

One linear history covers every table: the vault's and the log's. A migration runs in one transaction on both engines,
so that an upgrade which fails half-way leaves the database as it was.
"""

from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from vault.errors import SchemaMismatch
from vault.store.engine import open_engine, reader, translate

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_LOCK: Final = int.from_bytes(b"ecrin") << 8  # any number that nobody else in the same database locks


@cache
def head() -> str:
    """Return the migration this release expects. Found once: to look means to load every migration."""
    revision = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if revision is None:
        raise SchemaMismatch("no migrations")
    return revision


def migrate(url: str) -> None:
    """Bring the database at `url` to `head()`. Raises what `open_engine` raises."""
    engine = open_engine(url, pool_size=1)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with translate(), engine.begin() as conn:
            if conn.dialect.name == "postgresql":
                # Several hosts may upgrade at once: the second waits, then finds nothing to do. SQLite's BEGIN IMMEDIATE
                # does the same. A large table takes its time, so the limit for ordinary statements does not apply.
                conn.exec_driver_sql("SET LOCAL statement_timeout = 0")
                conn.exec_driver_sql("SET LOCAL lock_timeout = 0")
                conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK:d})")
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def check_head(engine: Engine) -> None:
    """Raise `SchemaMismatch` unless the database stands at exactly the migration this release expects."""
    with translate(), reader(engine).connect() as conn:
        current = MigrationContext.configure(conn).get_current_revision()
    if current != head():
        raise SchemaMismatch(f"database at {current or 'nothing'}, release at {head()}")
