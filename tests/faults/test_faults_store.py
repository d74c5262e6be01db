"""A store that has no room, may not be written, or is gone: a stable code, nothing half done, and afterwards it goes on."""

import contextlib
import ctypes
import os
import shutil
import signal
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from fault_scene import ACTS, FAMILY, Scene, act_of, added, assert_mute, errors_of, person
from sqlalchemy import event
from starlette.testclient import TestClient
from throwaway_postgres import PostgresUnavailable, ThrowawayPostgres

from api.app import create_app
from api.settings import load
from audit.errors import PinUnavailable
from audit.findings import Verdict
from audit.verify import verify_directory
from vault import evidence, logkeys
from vault.errors import Sealed, StoreFull, StoreUnavailable, VaultError
from vault.keys.keystore import open_keystore
from vault.keys.local import KeyFileProvider
from vault.keys.pagetree import Geometry
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import Place, initialise, open_vault
from vault.store.engine import open_engine
from vault.subjects import ingest
from vault.unit import execute

pytestmark = pytest.mark.xdist_group("faults")

WRITES = tuple(name for name in ACTS if name != "describe")
DEPLOYMENT = "ecrin-test"


def skip_or_fail(reason):
    if os.environ.get("CI"):
        pytest.fail(f"CI must have it: {reason}", pytrace=False)
    pytest.skip(f"*** NOT TESTED *** {reason}")


@dataclass
class Disk:
    """A small file system of its own, to be filled or made read-only."""

    path: object

    def fill(self):
        """Take all the room that is left."""
        with (self.path / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(65536)):
                pass

    def clear(self):
        (self.path / "ballast").unlink()

    def read_only(self):
        """A second view of it that cannot be written through, whoever asks."""
        view = self.path.with_name("view")
        view.mkdir()
        _mount(self.path, view, None, MS_BIND)
        _mount(None, view, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
        return view


MS_RDONLY, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 32, 4096, 2
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source, target, kind, flags, options=None):
    given = [None if each is None else str(each).encode() for each in (source, target, kind, options)]
    if _libc.mount(given[0], given[1], given[2], ctypes.c_ulong(flags), given[3]):
        raise OSError(ctypes.get_errno(), "mount")


@pytest.fixture
def disk(tmp_path):
    """A tmpfs of 32 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    try:
        _mount("tmpfs", path, "tmpfs", 0, "size=32m,mode=0777")
    except OSError:
        skip_or_fail("a small file system cannot be mounted by this account")
    yield Disk(path)
    for each in (tmp_path / "view", path):
        if each.exists():
            _libc.umount2(str(each).encode(), MNT_DETACH)


# --- no room


def full_after(scene, fill, clear, pin):
    """Fill the store and try each write: `store_full`, nothing half done; with room again the same writes work."""
    before = scene.stored()
    fill()
    refused = []
    for _ in range(2000):  # what room is left inside the files is used up first
        (answer,) = scene.run(ingest, person("AU-3"))
        if isinstance(answer, VaultError):
            break
        before = scene.stored()
    assert isinstance(answer, StoreFull)
    for name in WRITES:
        for answer in errors_of(scene.run(*act_of(scene, name))):
            if isinstance(answer, VaultError):
                refused.append(answer)
                assert answer.code == "store_full", answer
                assert_mute(answer)
                assert answer.retryable
            else:
                before = scene.stored()  # small enough to fit into a page that had room
    assert refused
    assert added(before, scene.stored()) == {}
    clear()
    for name in WRITES:
        answers = errors_of(scene.run(*act_of(scene, name)))
        assert not [each for each in answers if isinstance(each, VaultError)], answers
    scene.verify(pin)


def test_a_sqlite_file_at_its_limit(place, opening, bundle, tmp_path, databases):
    """`max_page_count` is SQLite's own SQLITE_FULL, the error of a full disk."""
    if databases.backend != "sqlite":
        pytest.skip("SQLite's own limit")
    engine = open_engine(place.database, pool_size=1)
    scene = Scene.on(opening(bundle, engine=engine))

    def limit(pages):
        with engine.connect() as conn:
            conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def fill():
        with engine.connect() as conn:
            limit_now = conn.exec_driver_sql("PRAGMA page_count").scalar()
        limit(limit_now)

    full_after(scene, fill, lambda: limit(1 << 30), tmp_path / "pin")


def test_a_full_disk_under_sqlite(disk, place, bundle, databases, root_folder, tmp_path):
    if databases.backend != "sqlite":
        pytest.skip("the cluster's data lives elsewhere; see the tablespace below")
    url = f"sqlite:///{disk.path / 'vault.db'}"
    shutil.copy(place.database.removeprefix("sqlite:///"), disk.path / "vault.db")
    vault = open_vault(replace(place, database=url), bundle, clock=SystemClock(), entropy=SystemEntropy())
    full_after(Scene.on(vault), disk.fill, disk.clear, tmp_path / "pin")
    vault.close()


@pytest.mark.postgresql
def test_a_full_disk_under_postgresql(disk, bundle, postgres, root_folder, tmp_path):
    """The database's tablespace is on the small disk: its tables cannot grow, the server's log still can."""
    if postgres.account:
        os.chown(disk.path, postgres.account.pw_uid, postgres.account.pw_gid)
        for folder in (tmp_path, *tmp_path.parents[:3]):  # the server's account has to reach it
            folder.chmod(folder.stat().st_mode | stat.S_IXGRP | stat.S_IXOTH)
    space = disk.path / "space"
    space.mkdir(mode=0o700)
    if postgres.account:
        os.chown(space, postgres.account.pw_uid, postgres.account.pw_gid)
    with psycopg.connect(postgres.url().replace("+psycopg", ""), autocommit=True) as conn:
        conn.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
        conn.execute("CREATE DATABASE cramped TABLESPACE small STRATEGY file_copy")
    place = Place(postgres.url("cramped"), tmp_path / "k", KeyFileProvider(root_folder, SystemEntropy()))
    try:
        shape = Geometry(fanout=30, depth=3)
        initialise(place, DEPLOYMENT, clock=SystemClock(), entropy=SystemEntropy(), geometry=shape)
        vault = open_vault(place, bundle, clock=SystemClock(), entropy=SystemEntropy())
        full_after(Scene.on(vault), disk.fill, disk.clear, tmp_path / "pin")
        vault.close()
    finally:
        with psycopg.connect(postgres.url().replace("+psycopg", ""), autocommit=True) as conn:
            conn.execute("DROP DATABASE IF EXISTS cramped WITH (FORCE)")
            conn.execute("DROP TABLESPACE small")


def test_a_full_disk_under_the_keystore(disk, place, opening, bundle, tmp_path):
    """No slot can be set aside durably, so no new compartment is begun; what needs none still works."""
    shutil.copy(place.keystore, disk.path / "vault.keystore")
    vault = open_vault(
        replace(place, keystore=disk.path / "vault.keystore"), bundle, clock=SystemClock(), entropy=SystemEntropy()
    )
    scene = Scene.on(vault)
    disk.fill()
    before = scene.stored()
    for _ in range(500):
        (answer,) = scene.run(ingest, person("AU-4"))
        if isinstance(answer, VaultError):
            break
        before = scene.stored()
    assert answer.code == "store_full"
    assert_mute(answer)
    assert added(before, scene.stored()) == {}
    (shown,) = scene.run(*scene.redeem())
    assert shown[0]["fields"][0]["value"]
    disk.clear()
    (answer,) = scene.run(ingest, person("AU-5"))
    assert not isinstance(answer, VaultError)
    scene.verify(tmp_path / "pin")
    vault.close()


def test_a_full_disk_under_the_pin(disk, vault):
    """A checkpoint that cannot be remembered outside is not published."""
    scene = Scene.on(vault)
    disk.fill()
    with pytest.raises(PinUnavailable):
        evidence.sign_checkpoints(vault, disk.path / "pin")
    assert evidence.latest_checkpoint(vault) is None
    disk.clear()
    scene.verify(disk.path / "pin")


def test_a_full_disk_under_the_published_log(disk, vault, tmp_path):
    """The checkpoint in the folder never covers what could not be written, and the next turn makes up for it."""
    scene, folder, pin = Scene.on(vault), disk.path / "public", tmp_path / "pin"
    scene.verify(pin)
    evidence.publish(vault, folder, entries=True)
    before = (folder / "checkpoint").read_text()
    key = logkeys.shown(vault)[0].key
    for _ in range(3):
        scene.run(*scene.search())
    scene.verify(pin)
    disk.fill()
    with pytest.raises(OSError, match="No space"):
        evidence.publish(vault, folder, entries=True)
    assert (folder / "checkpoint").read_text() == before
    assert verify_directory(folder, [key], [before]).verdict is Verdict.FINE
    scene.run(*scene.search())  # nobody's request waits for the folder
    disk.clear()
    scene.verify(pin)
    evidence.publish(vault, folder, entries=True)
    assert (folder / "checkpoint").read_text() == evidence.latest_checkpoint(vault) != before
    assert verify_directory(folder, [key], [before]).verdict is Verdict.FINE


# --- no right to write


def test_a_read_only_folder(disk, place, bundle, databases, tmp_path):
    """Nothing opens half: a vault that could not log what it discloses does not open."""
    shutil.copy(place.keystore, disk.path / "vault.keystore")
    if databases.backend == "sqlite":
        shutil.copy(place.database.removeprefix("sqlite:///"), disk.path / "vault.db")
        place = replace(place, database=f"sqlite:///{disk.path / 'vault.db'}")
    view = disk.read_only()
    folded = replace(
        place,
        keystore=view / "vault.keystore",
        database=place.database.replace(str(disk.path), str(view)),
    )
    with pytest.raises((StoreFull, StoreUnavailable, Sealed)) as caught:
        vault = open_vault(folded, bundle, clock=SystemClock(), entropy=SystemEntropy())
        try:
            (answer,) = execute(vault, ingest, [person("AU-6")])
        finally:
            vault.close()
        raise answer
    assert caught.value.code in {"store_full", "store_unavailable", "sealed"}
    assert_mute(caught.value)


def test_a_read_only_folder_at_init(disk, database_url, root_folder):
    view = disk.read_only()
    provider = KeyFileProvider(root_folder, SystemEntropy())
    shape = Geometry(fanout=8, depth=2)
    with pytest.raises(StoreFull):
        initialise(
            Place(database_url, view / "k", provider),
            DEPLOYMENT,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            geometry=shape,
        )
    with pytest.raises(StoreFull):
        KeyFileProvider(view / "roots", SystemEntropy()).create("00" * 16)
    assert list(disk.path.iterdir()) == []


def test_a_database_that_turns_read_only(vault, databases, tmp_path):
    """A replica after a failover, or a file system remounted by the kernel: `store_full`, and then as before."""
    scene = Scene.on(vault)

    def forbid(conn):
        wish = "PRAGMA query_only = ON" if databases.backend == "sqlite" else "SET TRANSACTION READ ONLY"
        conn.exec_driver_sql(wish)

    before = scene.stored()
    ready = {name: act_of(scene, name) for name in WRITES}
    event.listen(vault.engine, "begin", forbid)
    for name, act in ready.items():
        for answer in errors_of(scene.run(*act)):
            assert answer.code == "store_full", (name, answer)
            assert_mute(answer)
    event.remove(vault.engine, "begin", forbid)
    if databases.backend == "sqlite":
        vault.engine.dispose()
    assert added(before, scene.stored()) == {}
    for name in WRITES:
        answers = errors_of(scene.run(*act_of(scene, name)))
        assert not [each for each in answers if isinstance(each, VaultError)], answers
    scene.verify(tmp_path / "pin")


# --- gone


@pytest.fixture
def cluster():
    """A cluster of the test's own, to be stopped under a running service."""
    try:
        with ThrowawayPostgres() as made:
            yield made
    except PostgresUnavailable as reason:
        skip_or_fail(str(reason))


@pytest.mark.postgresql
def test_a_database_gone_in_the_middle_of_a_request(cluster, bundle, root_folder, tmp_path, monkeypatch):
    """The whole application: 503 `store_unavailable` while the server is away, health says so, and then it goes on."""
    place = Place(cluster.url(), tmp_path / "k", KeyFileProvider(root_folder, SystemEntropy()))
    shape = Geometry(fanout=16, depth=3)
    initialise(place, DEPLOYMENT, clock=SystemClock(), entropy=SystemEntropy(), geometry=shape)
    monkeypatch.chdir(tmp_path)
    settings = load({"public_url": "https://vault.example", "checkpoint_file": tmp_path / "checkpoint"})
    opened = lambda _: open_vault(place, bundle, clock=SystemClock(), entropy=SystemEntropy())  # noqa: E731
    app = create_app(settings, opener=opened)
    with TestClient(app, raise_server_exceptions=False) as http:
        scene = Scene.on(app.state.services.vault)
        before = scene.stored()

        redeem, *asked = scene.redeem()

        def cut(uow, items):  # in the middle: its statements have run, its entry and its commit meet nothing
            finish = redeem(uow, items)
            cluster.stop(signal.SIGQUIT)
            return finish

        for answer in errors_of(scene.run(cut, *asked)):
            assert answer.code == "store_unavailable"
            assert_mute(answer)
        assert cluster.server is None
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
        refused = http.post("/oauth/introspect", data=_form(scene))
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert refused.headers["retry-after"] == "1"
        assert FAMILY not in refused.text
        assert http.get("/healthz").status_code == 200
        cluster.start()
        assert http.get("/readyz").status_code == 200
        assert added(before, scene.stored()).keys() <= {"log_checkpoint", "log_entry", "log_head"}
        (shown,) = scene.run(*scene.redeem())
        assert shown[0]["fields"][0]["value"]
        scene.verify(tmp_path / "checkpoint")


def _form(scene):
    now = scene.vault.clock.now()
    assertion = scene.identity.assertion("https://vault.example", now, "j" * 32)
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return {"client_assertion_type": kind, "client_assertion": assertion, "token": "t" * 43}


def test_a_sqlite_file_gone_or_another(place, opening, bundle, databases, tmp_path):
    """Nothing is made anew in its place: an absent or strange file is an error at opening."""
    if databases.backend != "sqlite":
        pytest.skip("the file of an embedded vault")
    path = Path(place.database.removeprefix("sqlite:///"))
    opening(bundle).close()
    path.rename(tmp_path / "away.sqlite")
    with pytest.raises(VaultError) as caught:
        opening(bundle)
    assert caught.value.code in {"schema_mismatch", "store_unavailable"}
    path.write_bytes(b"not a database, " * 64)
    with pytest.raises(StoreUnavailable):
        opening(bundle)
    (tmp_path / "away.sqlite").replace(path)
    opening(bundle)


def test_a_keystore_gone_under_an_open_vault_loses_nothing(place, vault, tmp_path):
    """The file is unlinked under us: whatever happens then, no slot is given out twice and no act is half done."""
    scene = Scene.on(vault)
    before = scene.stored()
    place.keystore.rename(tmp_path / "away")
    (answer,) = scene.run(*scene.redeem())
    assert isinstance(answer, VaultError) or answer[0]["fields"]
    with pytest.raises(Sealed):
        open_keystore(place.keystore, place.provider, DEPLOYMENT)
    assert "subject" not in added(before, scene.stored())
