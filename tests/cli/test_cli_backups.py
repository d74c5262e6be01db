"""`ecrin backup`, `ecrin restore`, `ecrin drill`, as an operator calls them."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from signing_server import checkpointed

from api import bootstrap
from api.settings import load


@pytest.fixture
def backed_up(signed, ecrin, tmp_path):
    """A deployment with a backup of its data."""
    assert ecrin("backup", "data", "--to", tmp_path / "data.backup").code == 0
    return tmp_path / "data.backup"


def acts(home):
    with closing(sqlite3.connect(home / "ecrin.db")) as db:
        bodies = db.execute("SELECT body FROM log_entry WHERE shard >= 0 ORDER BY idx").fetchall()
    return [json.loads(body)["act"] for (body,) in bodies]


def test_a_backup_says_what_it_is_and_is_not_written_over(home, ecrin, tmp_path):
    file = tmp_path / "data.backup"
    ended = ecrin("backup", "data", "--to", file, "--json")
    assert ended.code == 0
    assert ended.json["deployment"] == "ecrin" and ended.json["size"] == file.stat().st_size
    assert ecrin("backup", "data", "--to", file).code == 1
    assert acts(home)[-1] == "deployment.backed_up"


def test_the_keystore_goes_to_a_file_or_a_folder(home, ecrin, tmp_path):
    (tmp_path / "folder").mkdir()
    for to in (tmp_path / "keystore.backup", tmp_path / "folder", tmp_path / "folder"):
        ended = ecrin("backup", "keystore", "--to", to, "--json")
        assert (ended.code, ended.json["epoch"]) == (0, 0)
    assert ecrin("backup", "keystore", "--to", tmp_path / "keystore.backup").code == 1
    assert ecrin("backup", "keystore", "--to", tmp_path / "absent" / "copy").code == 4


def test_data_that_are_lost_come_back_and_the_vault_serves(signed, ecrin, backed_up):
    checkpointed(signed)  # goes on after the backup, so that something is lost
    for path in signed.glob("ecrin.db*"):
        path.unlink()
    assert ecrin("doctor").code == 1
    ended = ecrin("restore", "--data", backed_up, "--json")
    assert ended.code == 0
    (log,) = ended.json["logs"]
    assert log["lost"] > 0 and log["successor"] == ended.json["origin"]
    assert acts(signed)[0] == "log.succession" and "deployment.restored" in acts(signed)
    assert ecrin("doctor").code == 0
    verified = ecrin("audit", "verify", "--json")
    assert verified.code == 0
    assert {each["origin"] for each in verified.json["logs"]} == {log["origin"], log["successor"]}
    assert ecrin("restore").out.startswith("There is nothing to do")


def test_a_closed_log_that_is_changed_afterwards_is_found(signed, ecrin, backed_up):
    assert ecrin("restore", "--data", backed_up, "--unsafe-replace").code == 0
    assert ecrin("audit", "verify").code == 0
    with closing(sqlite3.connect(signed / "ecrin.db")) as db, db:
        db.execute("DELETE FROM log_checkpoint WHERE shard < 0")
        last = "SELECT max(idx) FROM log_entry WHERE shard < 0"
        db.execute(f"DELETE FROM log_entry WHERE shard < 0 AND idx = ({last})")  # noqa: S608 - ours
    assert ecrin("audit", "verify").code != 0


def test_a_database_that_is_there_is_not_written_over(signed, ecrin, backed_up):
    assert ecrin("restore", "--data", backed_up).code == 1
    assert "a database already" in ecrin("restore", "--data", backed_up).err
    assert ecrin("restore", "--data", backed_up, "--unsafe-replace").code == 0
    assert len(list(signed.glob("ecrin.db.replaced-*"))) == 1


def test_a_restore_that_was_stopped_is_refused_to_everybody_until_it_is_carried_on(signed, ecrin, backed_up):
    for path in signed.glob("ecrin.db*"):
        path.unlink()
    assert ecrin("restore", "--data", backed_up).code == 0
    with closing(sqlite3.connect(signed / "ecrin.db")) as db, db:
        db.execute("UPDATE restoration SET phase = 'leaves'")
    refused = ecrin("system", "list")
    assert (refused.code, "restore_unfinished" in refused.err) == (1, True)
    assert ecrin("restore").code == 0
    assert ecrin("system", "list").code == 0


def test_a_keystore_that_is_lost_comes_back_from_its_copy(home, ecrin, tmp_path):
    assert ecrin("backup", "keystore", "--to", tmp_path / "keystore.backup").code == 0
    for path in home.glob("keystore.db*"):
        path.unlink()
    assert ecrin("system", "list").code == 4
    assert ecrin("restore", "--keystore", tmp_path / "keystore.backup").code == 0
    assert ecrin("doctor").code == 0


def test_the_backup_of_another_deployment_is_refused(signed, ecrin, backed_up, monkeypatch):
    beside = backed_up.with_name(f"{backed_up.name}.manifest.json")
    beside.write_text(beside.read_text().replace('"ecrin"', '"other"'))
    for path in signed.glob("ecrin.db*"):
        path.unlink()
    ended = ecrin("restore", "--data", backed_up)
    assert (ended.code, "another deployment" in ended.err) == (1, True)
    assert not list(signed.glob("ecrin.db*"))


def test_the_drill_says_that_it_holds_and_cleans_up(signed, ecrin, backed_up, tmp_path):
    before = sorted(path.name for path in signed.iterdir())
    ended = ecrin("drill", "--data", tmp_path, "--json")
    assert ended.code == 0
    assert ended.json["holds"] and ended.json["backup"] == str(backed_up)
    assert sorted(path.name for path in signed.iterdir()) == before
    told = ecrin("drill", "--data", backed_up)
    assert told.code == 0 and "holds" in told.out


def test_the_drill_uses_the_copy_that_it_is_given(signed, ecrin, backed_up, tmp_path):
    assert ecrin("backup", "keystore", "--to", tmp_path / "keystore.backup").code == 0
    assert ecrin("drill", "--data", backed_up, "--keystore", tmp_path / "keystore.backup").code == 0
    shutil.copy(backed_up, tmp_path / "keystore.wrong")
    (tmp_path / "keystore.wrong").chmod(0o600)
    assert ecrin("drill", "--data", backed_up, "--keystore", tmp_path / "keystore.wrong").code == 1


def test_the_index_can_be_made_anew_at_any_time(signed, ecrin):
    assert ecrin("search", "rebuild", "--json").json == {"tokens": 0}


def test_once_nothing_newer_is_to_come_back_newer_backups_die(signed, ecrin, backed_up, tmp_path):
    assert ecrin("restore", "--forget-newer", "--data", backed_up).code == 2
    with closing(bootstrap.open_from(load())) as vault:
        vault.keys.reserve(3)  # for somebody whose row was lost
        refused = ecrin("restore", "--forget-newer")
    assert (refused.code, "stop the service" in refused.err) == (1, True)
    forgotten = ecrin("restore", "--forget-newer", "--json")
    assert (forgotten.code, forgotten.json) == (0, {"forgotten": 3})
    assert ecrin("restore", "--forget-newer").out.startswith(
        "3 leaves that no row names are given up: the next epoch ends what still opens by that."
    )
    assert acts(signed)[-1] == "erasure.carried"
