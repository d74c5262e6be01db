"""A deployment of the oldest schema that had a log is brought to this release: its people are there, and open."""

import pytest
from maison_people import find_all, one, person, rows, take_in, value
from sqlalchemy import MetaData, text
from test_vault_consent_migration import bring

from audit import ledger
from vault.recovery import reindex
from vault.runtime import SystemEntropy
from vault.setup import Place, open_vault
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


def test_people_of_the_oldest_schema_are_there_and_open(old, vault, place, bundle, clock):
    before = rows(vault, "SELECT id FROM subject")
    migrate(old)
    brought = open_vault(Place(old, place.keystore, place.provider), bundle, clock=clock, entropy=SystemEntropy())
    try:
        check_head(brought.engine)
        assert rows(brought, "SELECT id FROM subject") == before
        (subject,) = (bytes(each) for (each,) in before)
        assert value(brought, subject, "email") == ["Apolline.Rousselin@example.com"]
        assert value(brought, subject, "ring_size") == value(vault, subject, "ring_size")
        # The third migration could not wrap tokens by an epoch, and let them go: the operator makes them anew.
        assert find_all(brought, "client_number", "AU-0042") == []
        assert reindex.rebuild(brought) == len(rows(vault, "SELECT token FROM search_token"))
        assert find_all(brought, "client_number", "AU-0042") == [subject]
        with brought.reading() as conn:
            entries = [bytes(each.body) for each in ledger.read(conn, 0, 0, 1000)]
        with vault.reading() as conn:
            assert entries[:2] == [bytes(each.body) for each in ledger.read(conn, 0, 0, 1000)][:2]
        again = one(take_in(brought, person({"client_number": "AU-9", "email": ["new@example.com"]})))
        assert value(brought, again.subject, "email") == ["new@example.com"]
    finally:
        brought.close()
