"""Keys that are wrong, absent, closed or another deployment's: one stable code each, and never a value."""

import shutil
import sqlite3
from dataclasses import replace

import pytest
from fault_scene import ACTS, FAMILY, SECRETS, Scene, act_of, added, assert_mute, errors_of
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import load
from vault.errors import IntegrityFailure, Sealed, UnsafeFile, VaultError, WrongDeployment
from vault.keys.closed import closed_keys
from vault.keys.keystore import create_keystore, open_keystore
from vault.keys.local import Cost, KeyFileProvider, PassphraseProvider
from vault.keys.pagetree import Geometry
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import open_vault

pytestmark = pytest.mark.xdist_group("faults")

DEPLOYMENT = "ecrin-test"
ENTROPY = SystemEntropy()


def opened(place, bundle):
    return open_vault(place, bundle, clock=SystemClock(), entropy=ENTROPY)


def key_file(folder, ref, content, mode=0o600):
    folder.mkdir()
    path = folder / ref
    path.touch(mode=0o600)
    path.write_bytes(content)
    path.chmod(mode)
    return KeyFileProvider(folder, ENTROPY)


@pytest.fixture
def other_keystore(tmp_path, root_folder):
    """A keystore of another deployment with its root in the very same folder."""
    path = tmp_path / "other.keystore"
    create_keystore(
        path, KeyFileProvider(root_folder, ENTROPY), "other", Geometry(16, 3), entropy=ENTROPY, clock=SystemClock()
    )
    return path


def providers(tmp_path, root_folder):
    """Root keys that must not open the vault, and what is said of each."""
    (root,) = root_folder.iterdir()
    (tmp_path / "nested" / root.name).mkdir(parents=True)
    return {
        "wrong key": (key_file(tmp_path / "wrong", root.name, bytes(32)), Sealed),
        "missing file": (KeyFileProvider(tmp_path / "absent", ENTROPY), Sealed),
        "short file": (key_file(tmp_path / "short", root.name, bytes(31)), Sealed),
        "long file": (key_file(tmp_path / "long", root.name, bytes(4096)), Sealed),
        "empty file": (key_file(tmp_path / "empty", root.name, b""), Sealed),
        "exposed file": (key_file(tmp_path / "exposed", root.name, root.read_bytes(), 0o644), UnsafeFile),
        "folder": (KeyFileProvider(tmp_path / "nested", ENTROPY), UnsafeFile),
        "wrong passphrase": (
            PassphraseProvider(tmp_path / "wrong", b"not the passphrase", ENTROPY, Cost(65536, 3, 4)),
            Sealed,
        ),
    }


def test_a_root_key_that_does_not_fit(place, bundle, tmp_path, root_folder):
    before = place.keystore.read_bytes()
    for name, (provider, error) in providers(tmp_path, root_folder).items():
        with pytest.raises(error) as caught:
            opened(replace(place, provider=provider), bundle)
        assert type(caught.value) is error, name
        assert_mute(caught.value)
    assert not (tmp_path / "absent").exists()  # opening makes nothing
    assert place.keystore.read_bytes() == before
    opened(place, bundle).close()


def test_a_keystore_of_another_deployment(place, bundle, other_keystore):
    with pytest.raises(WrongDeployment):
        opened(replace(place, keystore=other_keystore), bundle)


def test_a_keystore_relabelled_as_ours(place, bundle, other_keystore):
    with sqlite3.connect(other_keystore) as db:
        db.execute("UPDATE keystore SET deployment = ?", (DEPLOYMENT,))
    db.close()
    with pytest.raises(IntegrityFailure):
        opened(replace(place, keystore=other_keystore), bundle)


def test_a_twin_keystore_opens_no_value(place, bundle, tmp_path, root_folder):
    """Same deployment name, a root in the same folder, other keys: nothing of ours opens under it, and it signs no log of ours."""
    scene = Scene.on(opened(place, bundle))
    scene.vault.close()
    twin = tmp_path / "twin.keystore"
    provider = KeyFileProvider(root_folder, ENTROPY)
    create_keystore(twin, provider, DEPLOYMENT, Geometry(16, 3), entropy=ENTROPY, clock=SystemClock())
    scene.vault = opened(replace(place, keystore=twin), bundle)
    for answer in errors_of(scene.run(*scene.redeem())):
        assert answer.code in {"unknown_reference", "key_unavailable", "integrity_failure"}
        assert_mute(answer)
    scene.vault.close()


def test_a_damaged_keystore_page_fails_what_it_held_alone(place, bundle):
    """Every page flipped in turn is found when it is read; a byte of the root page keeps the vault shut."""
    scene = Scene.on(opened(place, bundle))
    scene.vault.close()
    good = place.keystore.with_name("good")
    shutil.copy(place.keystore, good)
    with sqlite3.connect(good) as db:
        pages = [address for (address,) in db.execute("SELECT address FROM page ORDER BY address")][:3]
    db.close()
    stored = [("page", "body", address) for address in pages] + [("epoch", part, 0) for part in ("top", "service")]
    for table, column, name in stored:
        key = "address" if table == "page" else "epoch"
        shutil.copy(good, place.keystore)
        with sqlite3.connect(place.keystore) as db:
            (body,) = db.execute(f"SELECT {column} FROM {table} WHERE {key} = ?", (name,)).fetchone()  # noqa: S608
            bad = body[:40] + bytes([body[40] ^ 1]) + body[41:]
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (bad, name))  # noqa: S608
        db.close()
        try:
            scene.vault = opened(place, bundle)
        except VaultError as error:
            assert table == "epoch"
            assert error.code == "integrity_failure"
            continue
        (answer,) = scene.run(*scene.redeem())
        if isinstance(answer, VaultError):
            assert answer.code in {"key_unavailable", "integrity_failure"}
            assert_mute(answer)
        scene.vault.close()


@pytest.mark.parametrize("name", ACTS)
def test_a_vault_sealed_while_open(vault, name):
    """The key service is closed under a running service: every act is `sealed`, nothing is written, nothing shown."""
    scene = Scene.on(vault)
    act = act_of(scene, name)
    before = scene.stored()
    vault.keys.close()
    for answer in errors_of(scene.run(*act)):
        assert isinstance(answer, Sealed), answer
        assert_mute(answer)
    assert added(before, scene.stored()) == {}


def test_a_vault_that_starts_sealed_serves_health_and_503(place, bundle, tmp_path, root_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load({"public_url": "https://vault.example", "checkpoint_file": tmp_path / "checkpoint"})
    wrong = replace(place, provider=key_file(tmp_path / "wrong", next(root_folder.iterdir()).name, bytes(32)))
    app = create_app(
        settings,
        opener=lambda _: open_vault(place, bundle, clock=SystemClock(), entropy=ENTROPY, keys=lambda _: closed_keys()),
        reopen=lambda _, vault: open_keystore(wrong.keystore, wrong.provider, vault.deployment),
    )
    token = {"authorization": "DPoP " + "t" * 43, "dpop": "p"}
    with TestClient(app, raise_server_exceptions=False) as http:
        assert http.get("/healthz").status_code == 200
        for answer in (
            http.get("/readyz"),
            http.post("/oauth/token", data={"grant_type": "client_credentials"}),
            http.post("/v1/subjects", json={"fields": {"name": {"family": FAMILY}}}, headers=token),
            http.post("/v1/subjects/search", json={"by": "phone", "value": SECRETS[2]}, headers=token),
            http.post("/v1/disclosures", json={}, headers=token),
            http.post("/v1/imports", content=FAMILY, headers=token | {"idempotency-key": "k"}),
            http.get("/audit/keys"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "sealed"), answer.url
            assert answer.headers["retry-after"]
            assert not [secret for secret in SECRETS if secret in answer.text]
        assert http.get("/audit/checkpoint").status_code == 404  # served; nothing was ever signed
    assert not (tmp_path / "checkpoint").exists()
