"""One linear history brings both engines to exactly the tables the code declares."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import audit.tables
import vault.store.tables
from vault.errors import SchemaMismatch
from vault.store.engine import open_engine
from vault.store.schema import MIGRATIONS, check_head, head, migrate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(database_url):
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def test_history_is_one_line():
    script = ScriptDirectory(str(MIGRATIONS))
    assert len(script.get_heads()) == 1
    assert all(not revision.is_branch_point for revision in script.walk_revisions())


def test_migrated_tables_are_the_declared_ones(engine):
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True})
        declared = [vault.store.tables.metadata, audit.tables.metadata]
        assert compare_metadata(context, declared) == []


def test_checks_stand_in_the_database(engine):
    """Autogenerate does not compare CHECK constraints; their names are compared here."""
    inspector = inspect(engine)
    for metadata in (vault.store.tables.metadata, audit.tables.metadata):
        for table in metadata.tables.values():
            declared = {c.name for c in table.constraints if type(c).__name__ == "CheckConstraint"}
            stored = {check["name"] for check in inspector.get_check_constraints(table.name)}
            assert {f"ck_{table.name}_{name}" if not name.startswith("ck_") else name for name in declared} == stored


def test_migrating_again_changes_nothing(engine, database_url):
    migrate(database_url)
    check_head(engine)


def test_two_hosts_may_migrate_at_once(databases, tmp_path):
    databases.template("empty", lambda url: open_engine(url).dispose())
    url, drop = databases.cut("empty", tmp_path)
    command = [sys.executable, "-c", "import sys; from vault.store.schema import migrate; migrate(sys.argv[1])", url]
    hosts = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [host.wait(60) for host in hosts] == [0, 0]
    engine = open_engine(url)
    check_head(engine)
    engine.dispose()
    drop()


def test_another_schema_is_refused(engine):
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(SchemaMismatch, match="database at 0001"):
        check_head(engine)
    assert head() != "0001"


def test_an_empty_database_is_refused(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    with pytest.raises(SchemaMismatch, match="nothing"):
        check_head(engine)
    engine.dispose()
