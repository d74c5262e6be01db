"""The worst day from end to end: data and keystore lost, both brought back by command, and served by a real process."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from signing_server import checkpointed

from api import bootstrap, roots
from api.client.blocking import Ecrin
from api.client.errors import EcrinProblem
from api.client.identity import Identity, SigningKey
from api.settings import load
from vault import evidence
from vault.consents import ConsentAct, ConsentEvent, Notice
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.runtime import SystemClock, SystemEntropy
from vault.subjects import Holding, NewSubject, ingest
from vault.unit import execute


@pytest.fixture
def url(home, monkeypatch, tmp_path):
    """Where the deployment will be served."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("ECRIN_KEYSTORE_COPIES", f"{tmp_path}/one,{tmp_path}/two")
    monkeypatch.setenv("ECRIN_PORT", str(port))
    monkeypatch.setenv("ECRIN_PUBLIC_URL", f"http://127.0.0.1:{port}")
    return f"http://127.0.0.1:{port}"


def taken_in(*names):
    """People of the maison aurelle who gave their consent. Returns their references."""
    consent = ConsentEvent("clienteling", ConsentAct.GIVEN, "boutique", Notice("clienteling", 1, "fr"))
    people = [
        NewSubject(
            "crm",
            "fr",
            (Holding("aurelle", {"email": [f"{name}@example.com"], "preferred_language": "it"}, (consent,)),),
        )
        for name in names
    ]
    with closing(bootstrap.open_from(load())) as vault:
        return [each.references["aurelle"] for each in execute(vault, ingest, people)]


def serving(url, lines):
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", "serve"], env=os.environ, stdout=lines, stderr=lines
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{url}/readyz", timeout=1):  # noqa: S310 - our own
                return process
        except (URLError, OSError):
            time.sleep(0.05)
    process.kill()
    pytest.fail("not ready")


@pytest.mark.server
def test_what_came_back_is_served_survivors_disclosed_and_the_erased_unknown(home, url, ecrin, tmp_path):
    stays, goes = taken_in("stays", "goes")
    identity = Identity("aurelle-pos", SigningKey.generate(), "k1")
    (tmp_path / "jwks").write_text(json.dumps(identity.registration()))
    rights = ("--scope", "lookup", "--purpose", "clienteling.in_store")
    assert ecrin("system", "add", "aurelle-pos", "--brand", "aurelle", "--jwks", tmp_path / "jwks", *rights).code == 0
    assert ecrin("backup", "data", "--to", tmp_path / "monday").code == 0
    assert ecrin("erase", "--brand", "aurelle", "--reference", goes).code == 0
    assert ecrin("epoch", "run").code == 0
    for lost in [*home.glob("ecrin.db*"), *home.glob("keystore.db*")]:
        lost.unlink()

    came_back = ecrin("restore", "--data", tmp_path / "monday", "--keystore", tmp_path / "one", "--json")
    assert (came_back.code, came_back.json["restored"]) == (0, True)

    with (tmp_path / "lines").open("wb") as lines:
        process = serving(url, lines)
        try:
            with Ecrin(url, identity) as aurelle:
                token = aurelle.authorise(stays, "clienteling.in_store", [("preferred_language", "raw")])
                assert aurelle.disclose(token).fields["preferred_language"].value == "it"
                (found,) = aurelle.search("email", "stays@example.com").candidates
                assert found.reference == stays
                with pytest.raises(EcrinProblem) as unknown:
                    aurelle.get_subject(goes)
                assert (unknown.value.status, unknown.value.code) == (404, "unknown_reference")
                assert aurelle.search("email", "goes@example.com").candidates == ()
                with pytest.raises(EcrinProblem):
                    aurelle.authorise(goes, "clienteling.in_store", [("preferred_language", "raw")])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    assert ecrin("audit", "verify").code == 0


def test_a_keystore_whose_root_people_hold_comes_back_with_what_they_bring(bare, ecrin, tmp_path, monkeypatch):
    monkeypatch.setenv("ECRIN_ROOT_PROVIDER", "shamir")
    one, two, three = ecrin("shares", "--needed", "2", "--total", "3", "--json").json["shares"]
    settings = load()

    def root(*shares):
        return roots.unsealer_of(settings).provider([share.encode() for share in shares])

    create_keystore(
        settings.keystore_path, root(one, two), settings.deployment, Geometry(4, 2),
        entropy=SystemEntropy(), clock=SystemClock(),
    )  # fmt: skip
    files = {}
    for name, share in (("one", one), ("two", two), ("three", three)):
        files[name] = tmp_path / name
        files[name].write_text(share + "\n")
        files[name].chmod(0o600)

    def brought(*names):
        return [part for name in names for part in ("--secret-file", files[name])]

    copy = tmp_path / "copy"
    assert ecrin("backup", "keystore", "--to", copy, *brought("one", "one")).code == 4
    assert ecrin("backup", "keystore", "--to", copy, *brought("one", "three")).code == 0
    (bare / "keystore.db").unlink()
    refused = ecrin("restore", "--keystore", copy, *brought("two"))
    assert (refused.code, refused.out) == (4, "")
    assert ecrin("restore", "--keystore", copy, "--data", copy, *brought("two", "three")).code == 2
    assert not (bare / "keystore.db").exists()
    ended = ecrin("restore", "--keystore", copy, "--json", *brought("two", "three"))
    assert (ended.code, ended.json) == (0, {"restored": False, "keystore_epoch": 0})
    open_keystore(settings.keystore_path, root(three, one), settings.deployment).close()
    files["two"].chmod(0o644)
    assert "unsafe_file" in ecrin("backup", "keystore", "--to", tmp_path / "other", *brought("one", "two")).err


def put_back(home, moment):
    """The whole data folder as it was: data, keystore, roots, checkpoint file."""
    shutil.rmtree(home)
    shutil.copytree(moment, home)


def put_back_to_before_an_erasure(home, ecrin, monkeypatch, tmp_path):
    """A machine put back to a snapshot, whose log has a mirror on another disk. Returns who stays and who went."""
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("ECRIN_LOG_MIRROR", str(tmp_path / "mirror"))
    stays, goes = taken_in("stays", "goes")
    identity = Identity("aurelle-pos", SigningKey.generate(), "k1")
    (tmp_path / "jwks").write_text(json.dumps(identity.registration()))
    rights = ("--scope", "lookup", "--purpose", "clienteling.in_store")
    assert ecrin("system", "add", "aurelle-pos", "--brand", "aurelle", "--jwks", tmp_path / "jwks", *rights).code == 0
    shutil.copytree(home, tmp_path / "snapshot")
    assert ecrin("erase", "--brand", "aurelle", "--reference", goes).code == 0
    assert ecrin("epoch", "run").code == 0
    return stays, goes, identity


@pytest.mark.server
def test_a_machine_that_was_put_back_serves_nobody_before_the_mirror_was_read(home, url, ecrin, monkeypatch, tmp_path):
    stays, goes, identity = put_back_to_before_an_erasure(home, ecrin, monkeypatch, tmp_path)
    with (tmp_path / "lines").open("wb") as lines:  # the service mirrors what it signs
        process = serving(url, lines)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    put_back(home, tmp_path / "snapshot")

    command = [sys.executable, "-m", "api.cli.main"]
    refused = subprocess.run([*command, "serve"], env=os.environ, capture_output=True, timeout=300, check=False)
    assert refused.returncode != 0 and b'"error":"RestoreUnfinished"' in refused.stderr
    assert "restore_unfinished" in ecrin("system", "list").err

    # Killed at any moment, it is carried on; the service stays shut until it is done.
    for patience in (0.2, 1.0, 1.5, 2.0, 2.5):
        killed = subprocess.Popen(
            [*command, "restore"], env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with suppress(subprocess.TimeoutExpired):
            killed.wait(patience)
        killed.kill()
        killed.wait()
    done = subprocess.run(
        [*command, "restore", "--json"], env=os.environ, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "lines").open("wb") as lines:
        process = serving(url, lines)
        try:
            with Ecrin(url, identity) as aurelle:
                token = aurelle.authorise(stays, "clienteling.in_store", [("preferred_language", "raw")])
                assert aurelle.disclose(token).fields["preferred_language"].value == "it"
                with pytest.raises(EcrinProblem) as unknown:
                    aurelle.get_subject(goes)
                assert (unknown.value.status, unknown.value.code) == (404, "unknown_reference")
                assert aurelle.search("email", "goes@example.com").candidates == ()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    (erasure,) = ecrin("erase", "list", "--json").json["erasures"]
    assert (erasure["what"], erasure["state"]) == ("subject", "requested")
    assert ecrin("epoch", "run").code == 0
    assert ecrin("audit", "verify").code == 0
    assert ecrin("restore").out.startswith("There is nothing to do")


def test_a_restore_goes_by_the_mirror_unless_told_not_to(home, url, ecrin, monkeypatch, tmp_path):
    put_back_to_before_an_erasure(home, ecrin, monkeypatch, tmp_path)
    with closing(bootstrap.open_from(load())) as vault:
        evidence.sign_checkpoints(vault, load().checkpoint_file)
        evidence.mirror(vault, load().log_mirror)
    assert ecrin("restore").out.startswith("There is nothing to do")
    put_back(home, tmp_path / "snapshot")
    assert ecrin("restore", "--log", tmp_path / "mirror", "--without-log").code == 2
    refused = ecrin("restore", "--log", tmp_path / "snapshot")
    assert (refused.code, "log_refused" in refused.err) == (1, True)
    (tmp_path / "mirror").rename(tmp_path / "away")
    for command in (("system", "list"), ("restore",)):
        assert ecrin(*command).code != 0
    (tmp_path / "away").rename(tmp_path / "mirror")

    waived = ecrin("restore", "--without-log", "--json")
    assert (waived.code, waived.json["log_read"], waived.json["again"]["subjects"]) == (0, False, 0)
    assert ecrin("system", "list").code == 0
    with closing(sqlite3.connect(home / "ecrin.db")) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM log_entry WHERE shard = 0 ORDER BY idx")]
    assert [each["pol"] for each in bodies if each["act"] == "deployment.restored"] == [["log:waived"]]
    # It is not too late: the log that was closed says who was erased.
    told = ecrin("restore", "--log", tmp_path / "mirror", "--json")
    assert (told.code, told.json["again"]["subjects"]) == (0, 1)


def test_data_are_not_brought_back_beside_a_log_that_is_not_theirs(home, url, ecrin, monkeypatch, tmp_path):
    put_back_to_before_an_erasure(home, ecrin, monkeypatch, tmp_path)
    assert ecrin("backup", "data", "--to", tmp_path / "monday").code == 0
    checkpointed(home)
    with closing(bootstrap.open_from(load())) as vault:
        evidence.mirror(vault, load().log_mirror)
    (folder,) = (tmp_path / "mirror").iterdir()
    for lost in home.glob("ecrin.db*"):
        lost.unlink()
    note = (folder / "checkpoint").read_text()
    (folder / "checkpoint").write_text(note.replace("audit", "other"))
    refused = ecrin("restore", "--data", tmp_path / "monday")
    assert (refused.code, "log_refused" in refused.err) == (1, True)
    assert not list(home.glob("ecrin.db*"))
    (folder / "checkpoint").write_text(note)
    assert ecrin("restore", "--data", tmp_path / "monday", "--json").json["log_read"] is True
    assert ecrin("system", "list").code == 0
