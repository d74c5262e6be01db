"""Set-up: a deployment begins with an entry, can be begun again, and cannot be mixed with another."""

import json
import shutil
from dataclasses import replace

import pytest
from sqlalchemy import text

from audit import ledger
from vault.errors import SchemaMismatch, WrongDeployment
from vault.keys.pagetree import Geometry
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import initialise, log_origin, open_vault

DEPLOYMENT = "ecrin-test"  # what the fixtures call theirs
SMALL = Geometry(fanout=8, depth=2)


def begin(place, deployment, **options):
    initialise(place, deployment, clock=SystemClock(), entropy=SystemEntropy(), geometry=SMALL, **options)


def reopen(place):
    open_vault(place, None, clock=SystemClock(), entropy=SystemEntropy()).close()


def test_a_deployment_begins_with_an_entry(store):
    with store.reading() as conn:
        head = ledger.head(conn, 0)
        (first,) = ledger.read(conn, 0, 0, 10)
    assert (head.origin, store.origin, store.deployment) == (DEPLOYMENT, DEPLOYMENT, DEPLOYMENT)
    assert json.loads(first.body)["act"] == "deployment.initialised"


def test_a_deployment_of_several_shards_has_a_log_for_each(database_url, tmp_path, place):
    wide = replace(place, database=database_url, keystore=tmp_path / "wide.keystore")
    begin(wide, "wide", shards=3, origin="log.example/wide")
    vault = open_vault(wide, None, clock=SystemClock(), entropy=SystemEntropy())
    with vault.reading() as conn:
        assert [ledger.head(conn, shard).origin for shard in range(3)] == [
            "log.example/wide",
            "log.example/wide/1",
            "log.example/wide/2",
        ]
        assert [ledger.head(conn, shard).size for shard in range(3)] == [1, 1, 1]
    assert {vault.shard_of(n.to_bytes(4) + bytes(12)) for n in range(9)} == {0, 1, 2}
    vault.close()
    assert log_origin("log.example", 0) == "log.example"


def test_beginning_again_changes_nothing(place, store):
    before = place.keystore.read_bytes()
    begin(place, DEPLOYMENT)
    assert place.keystore.read_bytes() == before
    with store.reading() as conn:
        assert ledger.head(conn, 0).size == 1


def test_a_beginning_cut_short_goes_on(place, database_url):
    """The keystore was made, then the power went: the same command finishes the job."""
    cut = replace(place, database=database_url)
    with pytest.raises(SchemaMismatch, match="no deployment"):
        reopen(cut)
    begin(cut, DEPLOYMENT)
    reopen(cut)


def test_opening_does_not_wait_for_whoever_writes(place, store):
    """A busy neighbour may keep the write lock for longer than anybody waits for it; opening only reads."""
    with store.unit() as unit:
        unit.conn.execute(text("DELETE FROM seen_proof"))
        reopen(place)


def test_another_deployments_database_is_not_taken_over(place, tmp_path):
    with pytest.raises(WrongDeployment):
        begin(replace(place, keystore=tmp_path / "other.keystore"), "other")
    reopen(place)


def test_another_deployments_keystore_does_not_open(place, tmp_path, database_url):
    other = replace(place, database=database_url, keystore=tmp_path / "other.keystore")
    begin(other, "other")
    reopen(other)
    with pytest.raises(WrongDeployment):
        reopen(replace(place, keystore=other.keystore))
    shutil.copy(other.keystore, place.keystore)
    with pytest.raises(WrongDeployment):
        begin(replace(place, database=database_url), DEPLOYMENT)
