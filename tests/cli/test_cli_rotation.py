"""`ecrin rekey`, `reseal` and `grow`: what they do, what they tell, what they leave in the log."""

import json
import sqlite3
from contextlib import closing
from io import StringIO

import pytest
from key_homes import HeldClient

from api import bootstrap, keepers, roots
from api.settings import load
from vault.keys.keyd.holder import Unattended
from vault.keys.keystore import open_keystore
from vault.subjects import Holding, NewSubject, ingest
from vault.unit import execute


@pytest.fixture
def peopled(home, monkeypatch, tmp_path):
    """Three people, and two places for copies."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("ECRIN_KEYSTORE_COPIES", f"{tmp_path}/one,{tmp_path}/two")
    with closing(bootstrap.open_from(load())) as vault:
        people = [
            NewSubject("crm", "fr", (Holding("aurelle", {"email": [f"guest{n}@example.com"]}),)) for n in range(3)
        ]
        assert not [each for each in execute(vault, ingest, people) if isinstance(each, Exception)]
    return home


def log_of(home):
    with closing(sqlite3.connect(home / "ecrin.db")) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM log_entry ORDER BY idx")]
    return [(each["act"], each.get("n")) for each in bodies if each["act"].startswith("keys.")]


def slots(home):
    with closing(sqlite3.connect(home / "ecrin.db")) as db:
        return {slot for (slot,) in db.execute("SELECT slot FROM compartment UNION SELECT log_slot FROM subject")}


def test_rekeying_moves_everything_says_what_and_names_its_job(peopled, ecrin, tmp_path):
    old = slots(peopled)
    done = ecrin("rekey", "--yes", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {
        "job": max(old), "done": len(old), "left": 0,
        "compartments": len(old) - 3, "log_keys": 3, "requests": 0, "emergencies": 0, "lists": 0,
    }  # fmt: skip
    assert not old & slots(peopled)
    again = ecrin("rekey", "--continue", done.json["job"])
    nothing = "On fresh leaf keys: 0 compartments, 0 log keys, 0 requests, 0 emergencies, 0 lists."
    assert (again.code, again.out) == (0, f"{nothing} Now `ecrin backup data`: the old leaf keys wait for it.\n")
    assert again.err == f"job {done.json['job']}: 0 leaf keys to be replaced\n"
    assert log_of(peopled) == [("keys.rekeyed", len(old)), ("keys.rekeyed", 0)]
    assert ecrin("epoch", "run", "--json").json["ended"] == []
    waiting = ecrin("epoch", "status", "--json").json
    assert (waiting["leaves_waiting"], waiting["leaves_waiting_for_a_backup"]) == (0, len(old))
    assert (
        f"Waiting for a backup of the data: {len(old)} leaf keys that re-keying left." in ecrin("epoch", "status").out
    )
    assert ecrin("backup", "data", "--to", tmp_path / "after.db").code == 0
    assert ecrin("epoch", "status", "--json").json["leaves_waiting_for_a_backup"] == 0
    assert ecrin("epoch", "run", "--json").json["ended"][0]["leaves"] == len(old)


def test_what_rekeying_left_can_be_given_up_without_a_backup_and_the_log_says_so(peopled, ecrin):
    old = slots(peopled)
    assert ecrin("rekey", "--yes").code == 0
    given_up = ecrin("rekey", "--unsafe-release")
    assert given_up.code == 0
    assert given_up.out.startswith(f"{len(old)} leaf keys wait for no backup any more")
    assert log_of(peopled) == [("keys.rekeyed", len(old)), ("keys.rekeyed", len(old))]
    assert ecrin("epoch", "run", "--json").json["ended"][0]["leaves"] == len(old)
    assert ecrin("rekey", "--unsafe-release", "--json").json == {"released": 0}


class Terminal(StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("given", [StringIO("y\n"), Terminal("n\n"), Terminal("")])
def test_rekeying_costs_older_backups_and_is_not_begun_by_mistake(peopled, ecrin, monkeypatch, given):
    """A pipe that says yes by habit is no answer."""
    old = slots(peopled)
    monkeypatch.setattr("sys.stdin", given)
    refused = ecrin("rekey")
    assert refused.code in {1, 2}
    assert refused.out.strip() == ""
    assert slots(peopled) == old
    assert log_of(peopled) == []


def test_rekeying_is_begun_when_an_operator_agrees(peopled, ecrin, monkeypatch):
    old = slots(peopled)
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    done = ecrin("rekey")
    assert done.code == 0
    assert done.out.endswith("Now `ecrin backup data`: the old leaf keys wait for it.\n")
    assert "Once a newer backup of the data exists, no older one opens." in done.err
    assert not old & slots(peopled)


def test_resealing_finds_nothing_where_all_is_of_today(peopled, ecrin):
    done = ecrin("reseal")
    assert (done.code, done.out) == (0, "0 values are sealed anew.\n")
    assert log_of(peopled) == []


def test_trees_are_added_before_leaves_run_out(peopled, ecrin):
    grown = ecrin("grow", "--trees", "2", "--json")
    assert (grown.code, grown.json) == (0, {"leaves": 3 * 16**3})
    assert log_of(peopled) == [("keys.grown", 2)]
    assert f"/{3 * 16**3} leaves" in ecrin("doctor").out


@pytest.mark.parametrize("trees", [0, -1, 65, "many"])
def test_no_tree_and_too_many_are_wrong_calls(peopled, ecrin, trees):
    assert ecrin("grow", "--trees", trees).code == 2


def test_a_key_holder_does_all_of_it_too(peopled, ecrin, monkeypatch, tmp_path):
    settings = load()
    provider = roots.provider_of(settings)
    opener = lambda: open_keystore(settings.keystore, provider, settings.deployment)  # noqa: E731
    old = slots(peopled)
    with closing(
        HeldClient(
            opener,
            settings.deployment,
            unsealer=Unattended(provider),
            keeper=lambda held: keepers.own_keeper(settings, held),
        )
    ) as held:
        monkeypatch.setenv("ECRIN_KEYD_SOCKET", str(held.socket))
        assert ecrin("grow").code == 0
        assert ecrin("rekey", "--yes").code == 0
        assert not old & slots(peopled)
        assert ecrin("backup", "data", "--to", tmp_path / "after.db").code == 0
        ended = ecrin("epoch", "run")
        assert (ended.code, f"{len(old)} leaf keys gone" in ended.out) == (0, True)
        assert ecrin("epoch", "run", "--rotate").code == 0
