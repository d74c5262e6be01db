"""The worst day from end to end: data and keystore lost, both brought back by command, and served by a real process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from api import bootstrap, roots
from api.client.blocking import Ecrin
from api.client.errors import EcrinProblem
from api.client.identity import Identity, SigningKey
from api.settings import load
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
    deadline = time.monotonic() + 60
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
