"""A deployment of the oldest schema that had a log is brought to this release: its people are there, open, and found."""

from dataclasses import replace

import pytest
from maison_people import find_all, one, person, rows, take_in, value
from recovery_scene import Recovery, quiet
from sqlalchemy import MetaData, text
from test_vault_consent_migration import bring

from audit import ledger
from vault.errors import RestoreUnfinished
from vault.recovery import manifest, restores
from vault.store import dumps
from vault.store.bulk import insert_rows
from vault.store.engine import open_engine
from vault.store.schema import check_head, migrate

OLDEST = "0002"  # no release is older than this line of migrations


@pytest.fixture
def old(vault, place, databases, tmp_path):
    """A database at the oldest schema with the rows that a deployment of today has, as far as it had places for them."""
    one(take_in(vault, person()))
    databases.template("oldest", lambda url: bring(url, OLDEST))
    url, drop = databases.cut("oldest", tmp_path)
    here, there = MetaData(), MetaData()
    engine = open_engine(url)
    here.reflect(vault.engine)
    there.reflect(engine)
    with vault.engine.begin() as today, engine.begin() as conn:
        for table in there.sorted_tables:
            if table.name == "alembic_version" or table.name not in here.tables:
                continue
            known = [column.name for column in table.columns if column.name in here.tables[table.name].c]
            every = "SELECT " + ", ".join(known) + f" FROM {table.name}"  # noqa: S608 - names of our own schema
            found = [row._asdict() for row in today.execute(text(every))]
            lacking = {column.name: 0 for column in table.columns if column.name not in known and not column.nullable}
            insert_rows(conn, table, [dict.fromkeys(table.columns.keys()) | lacking | row for row in found])
    engine.dispose()
    yield url
    drop()


@pytest.fixture
def scene(vault, place, tmp_path, clock, databases):
    made = Recovery(vault, place, tmp_path, clock, databases)
    yield made
    made.close()


def refused(scene, opened):
    with pytest.raises(RestoreUnfinished, match="search index"):
        restores.admit(opened, scene.history, scene.outside)


def tokens(vault):
    return rows(vault, "SELECT subject_id, brand, field_id, item FROM search_token ORDER BY 1, 2, 3, 4")


def test_people_of_the_oldest_schema_are_there_open_and_found(old, vault, scene):
    before = rows(vault, "SELECT id FROM subject")
    migrate(old)
    brought = scene.open(old)
    check_head(brought.engine)
    assert rows(brought, "SELECT id FROM subject") == before
    (subject,) = (bytes(each) for (each,) in before)
    assert value(brought, subject, "email") == ["Apolline.Rousselin@example.com"]
    assert value(brought, subject, "ring_size") == value(vault, subject, "ring_size")
    # The third migration could not wrap tokens by an epoch, and let them go. Until they are made anew a search would
    # answer that nobody is there: nobody is served, however often it is tried.
    assert tokens(brought) == []
    refused(scene, brought)
    refused(scene, brought)
    assert restores.begin(brought, scene.outside, now=0)
    assert scene.carry_on(brought).indexed == len(tokens(vault)) > 0
    restores.admit(brought, scene.history, scene.outside)
    assert tokens(brought) == tokens(vault)
    assert find_all(brought, "client_number", "AU-0042") == [subject]
    assert not restores.begin(brought, scene.outside, now=0)
    with brought.reading() as conn:
        entries = [bytes(each.body) for each in ledger.read(conn, 0, 0, 1000)]
    with vault.reading() as conn:
        assert entries[:2] == [bytes(each.body) for each in ledger.read(conn, 0, 0, 1000)][:2]
    again = one(take_in(brought, person({"client_number": "AU-9", "email": ["new@example.com"]})))
    assert value(brought, again.subject, "email") == ["new@example.com"]


def test_an_index_that_was_stopped_half_way_is_not_searched(old, vault, scene):
    migrate(old)
    brought = scene.open(old)

    def stop(what, *_):
        if what == "indexing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scene.carry_on(brought, stop)
    refused(scene, brought)
    scene.carry_on(brought)
    restores.admit(brought, scene.history, scene.outside)
    assert len(find_all(brought, "client_number", "AU-0042")) == 1


def test_a_backup_of_the_oldest_schema_is_found_by_once_it_is_back(old, vault, scene):
    told = scene.back_up("today.backup")
    file = scene.folder / "oldest.backup"
    dumps.dump(old, file, lambda _: None, quiet)
    size, digest = manifest.measure(file)
    manifest.write(file, replace(told, schema=OLDEST, size=size, sha256=digest), "1")
    restored, done = scene.restore("oldest.backup")
    assert done.indexed == len(tokens(vault)) > 0
    restores.admit(restored, scene.history, scene.outside)
    assert len(find_all(restored, "client_number", "AU-0042")) == 1


def test_without_anybody_the_oldest_schema_is_served_at_once(databases, tmp_path):
    databases.template("oldest-bare", lambda url: bring(url, OLDEST))
    url, drop = databases.cut("oldest-bare", tmp_path)
    migrate(url)
    engine = open_engine(url)
    with engine.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM restoration")).scalar() == 0
    engine.dispose()
    drop()
