"""`ecrin seal` and `ecrin unseal`: what they do, what they leave in the log, and what they never print."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from key_homes import HeldClient

from api import roots
from api.settings import load
from vault.errors import Sealed
from vault.keys.keystore import open_keystore
from vault.keys.service import KeyState

DEPLOYMENT = "ecrin"


def entries(home):
    """What the log says of the keys: act, outcome and count, oldest first."""
    with closing(sqlite3.connect(home / "ecrin.db")) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM log_entry ORDER BY idx")]
    return [(each["act"], each["out"], each.get("n")) for each in bodies if each["act"].startswith("keys.")]


def test_a_vault_that_has_its_own_keys(home, ecrin):
    mark = home / "sealed"
    sealed = ecrin("seal", "--json")
    assert (sealed.code, sealed.json) == (0, {"state": "sealed"})
    assert mark.exists()
    assert ecrin("seal").code == 0
    asked = ecrin("doctor", "--json")
    assert (asked.code, asked.json["checks"][1]["result"]) == (1, "failed")
    assert "ecrin unseal" in asked.json["checks"][1]["detail"]
    opened = ecrin("unseal", "--json")
    assert (opened.code, opened.json["state"]) == (0, "unsealed")
    assert not mark.exists()
    assert ecrin("doctor", "--json").json["checks"][1]["result"] == "ok"
    assert entries(home) == [("keys.sealed", "allow", None)] * 2 + [("keys.unsealed", "allow", None)]


KEYED = (
    ("init",),
    ("system", "list"), ("system", "disable", "pos"),
    ("officer", "list"), ("officer", "disable", "claire"),
    ("session", "list"), ("session", "end", "--officers"),
    ("budget", "show", "pos"), ("events", "pending"),
    ("honey", "add", "rows.ndjson", "--system", "pos", "--key", "k"), ("import", "rows.ndjson", "--system", "pos", "--key", "k"),
    ("request", "list", "--officer", "claire"), ("request", "figures", "--year", "2026"),
    ("break-glass", "list"), ("policy", "list"), ("join", "list"), ("signer", "list"), ("restriction", "list"),
    ("erase", "list"), ("hold", "list"), ("retention",), ("epoch", "status"), ("epoch", "run"), ("epoch", "run", "--rotate"),
    ("rekey", "--yes"), ("rekey", "--unsafe-release"), ("reseal",), ("grow",),
    ("consent", "expire"), ("census",), ("search", "rebuild"),
    ("report", "run", "access"), ("report", "made"),
    ("audit", "verify"), ("audit", "publish", "log"), ("audit", "export", "out.zip", "--for", "cnil"), ("audit", "keys"),
    ("audit", "rotate"), ("audit", "prune"), ("audit", "reconcile", "rows.ndjson"),
    ("backup", "keystore", "--to", "copy.db"), ("drill", "--data", "backup.db"),
)  # fmt: skip


def test_what_opens_the_keystore_itself_is_sealed_too(home, ecrin):
    """The root would open: nothing but the mark keeps these commands out."""
    (home.parent / "rows.ndjson").touch()
    ecrin("seal")
    said = entries(home)
    for arguments in KEYED:
        refused = ecrin(*arguments)
        told = (refused.code, refused.out, refused.err)
        assert told == (4, "", "ecrin: sealed: an operator sealed it: `ecrin unseal`\n"), arguments
    assert {path.name for path in home.parent.iterdir()} == {home.name, "rows.ndjson"}
    assert entries(home) == said


def test_what_needs_no_key_works_in_a_sealed_vault(home, ecrin, tmp_path):
    told = ecrin("audit", "publish", tmp_path / "log", "--entries")
    assert told.code == 0, told.err
    key = ecrin("audit", "keys", "--json").json
    ecrin("seal")
    for arguments in (
        ("migrate",),
        ("backup", "data", "--to", tmp_path / "backup.db"),
        ("audit", "verify", "--folder", tmp_path / "log", *_keys(key)),
        ("audit", "verify", "--database", home / "ecrin.db", *_keys(key)),
        ("restore",),  # lost data could never be brought back else: an unsealing is put on record first
    ):
        done = ecrin(*arguments)
        assert done.code == 0, (arguments, done.err)
    assert (home / "sealed").exists()
    assert ecrin("unseal").code == 0
    assert ecrin("system", "list").code == 0


def _keys(told):
    return [each for key in told["keys"] for each in ("--key", key["key"])]


def test_a_root_that_does_not_open_leaves_the_seal_and_an_entry(home, ecrin):
    ecrin("seal")
    shutil.move(home / "roots", home / "away")
    refused = ecrin("unseal")
    assert (refused.code, "sealed" in refused.err) == (1, True)
    assert (home / "sealed").exists()
    assert entries(home)[-1] == ("keys.unsealed", "deny", None)


@pytest.fixture
def held(home, monkeypatch):
    """A key holder on the deployment's keystore, whose root needs three shares of five."""
    settings = load()
    provider = roots.provider_of(settings)

    class Shares:
        needed, total = 3, 5

        def provider(self, secrets):
            if not set(secrets) <= {b"share-amber", b"share-birch", b"share-coral"}:
                raise Sealed("the shares do not fit")
            return provider

    client = HeldClient(
        lambda: open_keystore(settings.keystore_path, provider, DEPLOYMENT), DEPLOYMENT, unsealer=Shares()
    )
    monkeypatch.setenv("ECRIN_KEYD_SOCKET", str(client.socket))
    with closing(client):
        yield client


def give(ecrin, tmp_path, share):
    path = tmp_path / "share"
    path.touch(mode=0o600)
    path.write_text(share + "\n")
    return ecrin("unseal", "--secret-file", path)


def test_shares_are_given_one_by_one_and_nothing_shows_them(home, held, ecrin, tmp_path):
    shares = ("share-amber", "share-birch", "share-coral")
    answers = [give(ecrin, tmp_path, share) for share in shares]
    assert [each.code for each in answers] == [0, 0, 0]
    assert [each.out.strip() for each in answers] == [
        "1 of 3 shares given. Still sealed.",
        "2 of 3 shares given. Still sealed.",
        "Unsealed.",
    ]
    assert held.status().state is KeyState.UNSEALED
    assert entries(home) == [
        *[("keys.secret_offered", "allow", count) for count in (1, 2, 3)],
        ("keys.unsealed", "allow", None),
    ]
    assert ecrin("unseal").out.strip() == "Unsealed."  # again, of an open vault: nothing is asked
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    said = "".join(each.out + each.err for each in answers).encode()
    assert not [share for share in shares if share.encode() in kept + said]


def test_a_wrong_share_forgets_them_all_and_is_in_the_log(home, held, ecrin, tmp_path):
    for share in ("share-amber", "share-birch"):
        give(ecrin, tmp_path, share)
    refused = give(ecrin, tmp_path, "share-wrong")
    assert refused.code == 1
    assert "nothing given so far is kept" in refused.err
    assert held.progress().given == 0
    assert entries(home)[-1] == ("keys.unsealed", "deny", None)


def test_no_entry_no_offer(home, held, ecrin, tmp_path):
    """A database that does not take the entry keeps the share from being offered; sealing works all the same."""
    database = home / "ecrin.db"
    shutil.move(database, home / "elsewhere.db")
    assert give(ecrin, tmp_path, "share-amber").code != 0
    assert held.progress().given == 0
    for path in home.glob("ecrin.db*"):
        path.unlink()
    sealed = ecrin("seal")
    assert sealed.code == 4
    assert "the log could not be told" in sealed.err
    assert held.progress().state is KeyState.SEALED


def test_an_exposed_share_file_is_refused_unread(held, ecrin, tmp_path):
    path = tmp_path / "share"
    path.write_text("share-amber")
    path.chmod(0o644)
    refused = ecrin("unseal", "--secret-file", path)
    assert (refused.code, "0600" in refused.err) == (1, True)


def test_commands_that_need_keys_say_that_the_holder_is_sealed(held, ecrin):
    for arguments in (("system", "list"), ("audit", "verify")):
        refused = ecrin(*arguments)
        assert (refused.code, "sealed" in refused.err) == (4, True)


def test_a_holder_that_is_not_there(home, ecrin, monkeypatch, tmp_path):
    monkeypatch.setenv("ECRIN_KEYD_SOCKET", str(tmp_path / "nobody.sock"))
    for command in ("seal", "unseal"):
        refused = ecrin(command)
        assert (refused.code, "key_holder_unavailable" in refused.err) == (4, True)


def test_init_leaves_keystore_and_root_to_the_holder(held, ecrin, monkeypatch, tmp_path):
    monkeypatch.setenv("ECRIN_DATA_DIR", str(tmp_path / "service"))
    made = ecrin("init")
    assert made.code == 0, made.err
    assert {path.name for path in (tmp_path / "service").iterdir()} <= {
        "ecrin.db",
        "ecrin.db-wal",
        "ecrin.db-shm",
        "officers",
    }
    monkeypatch.setenv("ECRIN_DEPLOYMENT", "another")
    monkeypatch.setenv("ECRIN_DATA_DIR", str(tmp_path / "another"))
    refused = ecrin("init")
    assert (refused.code, "wrong_deployment" in refused.err) == (1, True)


def test_a_holder_made_by_its_own_command_with_a_passphrase_that_no_file_holds(bare, process, monkeypatch):
    """The keystore of a new deployment takes a second or two: this is the size that a deployment has."""
    monkeypatch.setenv("ECRIN_ROOT_PROVIDER", "passphrase")
    short = process("keyd", "--init", stdin="too short\n")
    assert (short.code, (bare / "keystore.db").exists()) == (1, False)
    made = process("keyd", "--init", stdin="six words nobody would guess\n")
    assert (made.code, (bare / "keystore.db").exists()) == (0, True), made.err
    again = process("keyd", "--init", stdin="six words that somebody guessed\n")
    assert (again.code, "sealed" in again.err) == (1, True)
