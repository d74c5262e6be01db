"""SIGKILL in the middle of writing, again and again, on one vault per engine: what was acknowledged is there.

Two writing processes of three threads each ingest subjects, amend, record consents, issue and redeem disclosure tokens
and sign checkpoints. One after the other is killed at a random moment; the next pair takes over where they stopped.
"""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from crash_checker import examine
from crash_writers import BRAND, ISSUER, PURPOSE, SYSTEM, Writer, opened
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy.engine import make_url
from throwaway_postgres import PostgresUnavailable, ThrowawayPostgres

from api.client.identity import Identity
from audit.entry import Actor, ActorKind
from vault import evidence, systems
from vault.budgetlimits import Budgets
from vault.keys.local import KeyFileProvider
from vault.keys.pagetree import Geometry
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import Place, initialise
from vault.store.engine import open_engine
from vault.systems import NewSystem

pytestmark = [pytest.mark.crash, pytest.mark.xdist_group("crash")]

ROUNDS = 100
SERVER_ROUNDS = 4
FEWEST = 10
LONGEST = 0.35  # seconds that a round's first victim may write
HERE = Path(__file__).parent

_numbers = itertools.count()


class Breeder:
    """The process that forks victims."""

    def __init__(self):
        folders = [str(HERE.parents[1]), str(HERE)]
        self.process = subprocess.Popen(
            [sys.executable, HERE / "crash_writers.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        )
        assert json.loads(self.process.stdout.readline())["ready"]

    def fork(self, order):
        return self._ask(order)["pid"]

    def reap(self, pid):
        return self._ask({"reap": pid})["status"]

    def _ask(self, order):
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def breeder():
    made = Breeder()
    yield made
    made.close()


@pytest.fixture(scope="module")
def cluster():
    """A cluster of this module's own: its server is killed too."""
    try:
        with ThrowawayPostgres() as made:
            yield made
    except PostgresUnavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have PostgreSQL: {reason}", pytrace=False)
        pytest.skip(f"*** NOT TESTED ON POSTGRESQL *** {reason}")


class Scene:
    """A deployment to be crashed: where it lives, its writers' notes, and how to look at it."""

    def __init__(self, folder, database, bundle):
        self.folder, self.bundle = folder, bundle
        root = folder / "roots"
        self.notes = folder / "notes"
        self.notes.touch()
        self.pin = folder / "checkpoint"
        pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.identity = Identity.load(SYSTEM, pem)
        self.order = {
            "database": database,
            "keystore": str(folder / "vault.keystore"),
            "root": str(root),
            "pin": str(self.pin),
            "notes": str(self.notes),
            "key": pem.decode(),
        }
        place = Place(database, folder / "vault.keystore", KeyFileProvider(root, SystemEntropy()))
        shape = Geometry(fanout=60, depth=3)
        initialise(place, "ecrin-crash", clock=SystemClock(), entropy=SystemEntropy(), geometry=shape, origin=ISSUER)
        with self.vault() as vault, vault.unit() as uow:
            jwks = self.identity.registration()
            # Hundreds of writers' acts a minute, in one advisor's name: what a budget refuses is no loss.
            budgets = Budgets(("system:people:1000000/minute",))
            new = NewSystem(SYSTEM, BRAND, SYSTEM, jwks, frozenset({"lookup"}), frozenset({PURPOSE}), budgets=budgets)
            systems.register(uow, new, Actor(ActorKind.OFFICER, "operator-1"))
            uow.commit()

    @contextlib.contextmanager
    def vault(self):
        vault = opened(self.order, self.bundle)
        try:
            yield vault
        finally:
            vault.close()

    def noted(self):
        """All that was noted. A note that SIGKILL cut in two was not finished: nobody was told what is in it."""
        lines = [line for line in self.notes.read_bytes().splitlines() if line]
        whole = [line for line in lines if line.endswith(b"}")]
        assert len(lines) - len(whole) <= 2 * ROUNDS, "more notes are cut than writers were killed"
        return [json.loads(line) for line in whole]

    def examine(self, **how):
        with self.vault() as vault:
            return examine(vault, self.noted(), self.pin, **how)

    def wait_for_notes(self, more_than, patience=30):
        deadline = time.monotonic() + patience
        while self.notes.stat().st_size <= more_than:
            assert time.monotonic() < deadline, "no writer has written anything"
            time.sleep(0.005)

    def wait_for_victims(self, before, count, patience=60):
        """Wait until that many have opened the vault: each says so by the slots it takes."""
        deadline = time.monotonic() + patience
        while True:
            assert time.monotonic() < deadline, "a writer did not open the vault"
            self.wait_for_notes(before)
            with self.notes.open("rb") as file:
                file.seek(before)
                if file.read().count(b'"act": "slots"') >= count:
                    return
            time.sleep(0.005)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def scene(request, tmp_path, bundle):
    if request.param == "sqlite":
        return Scene(tmp_path, f"sqlite:///{tmp_path / 'vault.db'}", bundle)
    return _on(request.getfixturevalue("cluster"), tmp_path, bundle)


def _on(cluster, folder, bundle):
    cluster._run("createdb", "-h", cluster.home, "-U", "ecrin", name := f"crash_{next(_numbers)}")
    return Scene(folder, cluster.url(name), bundle)


def test_sigkill_of_writers_loses_nothing_that_was_acknowledged(scene, breeder):
    chance = random.Random(21)  # noqa: S311 - moments; with the machine's mood they differ from run to run
    for number in range(ROUNDS):
        before = scene.notes.stat().st_size
        pids = [breeder.fork(scene.order | {"name": f"r{number}-{each}"}) for each in range(2)]
        scene.wait_for_victims(before, len(pids))
        time.sleep(chance.uniform(0, LONGEST))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            assert os.WTERMSIG(breeder.reap(pid)) == signal.SIGKILL
            time.sleep(chance.choice((0, 0, 0.02, 0.05)))
        if number % 5 == 4:
            assert scene.examine().findings == [], f"after round {number}"
    seen = scene.examine()
    assert seen.findings == []
    acts = [note["act"] for note in scene.noted()]
    told = {act: acts.count(act) for act in sorted(set(acts))}
    print("acknowledged:", told)
    # Each kind of act was caught under way often enough, also on a slow machine.
    assert all(told.get(act, 0) >= FEWEST for act in ("register", "token", "disclose", "amend", "consent")), told
    assert told.get("checkpoint", 0) >= FEWEST, told
    assert seen.size > told["register"] + told["disclose"]


@pytest.mark.postgresql
def test_sigkill_of_the_database_server_loses_nothing_that_was_acknowledged(cluster, breeder, tmp_path, bundle):
    scene = _on(cluster, tmp_path, bundle)
    chance = random.Random(22)  # noqa: S311
    pid = breeder.fork(scene.order | {"name": "stayer", "outlives_store": True})
    for number in range(SERVER_ROUNDS):
        scene.wait_for_notes(scene.notes.stat().st_size)
        time.sleep(chance.uniform(0.1, 0.5))
        os.killpg(cluster.server.pid, signal.SIGKILL)  # the server and every backend, at once
        cluster.server.wait()
        cluster.start()
        # The same writers go on by themselves: the loss was told, and cost no restart.
        scene.wait_for_notes(_after_an_error(scene, number))
        # Held still while they are looked at, or their next acts would be counted and not yet noted.
        os.kill(pid, signal.SIGSTOP)
        assert scene.examine(tolerated={"store_unavailable"}).findings == [], f"after round {number}"
        os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGKILL)
    breeder.reap(pid)
    assert scene.examine(tolerated={"store_unavailable"}).findings == []


def _after_an_error(scene, rounds):
    """Wait until the loss of the server was told to a writer; the size of the notes by then."""
    deadline = time.monotonic() + 120
    while sum(note["act"] == "error" for note in scene.noted()) <= rounds:
        assert time.monotonic() < deadline, "no writer has noticed that the database was gone"
        time.sleep(0.02)
    return scene.notes.stat().st_size


# --- the coroner can find what it looks for


@pytest.fixture
def lived(scene):
    """A scene with some honest history, written without any crash."""
    _write(scene)
    assert scene.examine().findings == []
    return scene


def _write(scene, steps=2, name="honest"):
    notes = []
    with scene.vault() as vault:
        writer = Writer(vault, scene.identity, notes.append, name)
        for _ in range(steps):
            writer.step()
        evidence.sign_checkpoints(vault, scene.pin)
    with scene.notes.open("a") as file:
        file.writelines(json.dumps(note) + "\n" for note in notes)


def _forgetful(database):
    """An engine whose COMMIT is answered and not done: what a disk that lies about its cache does."""
    forget = {"commit": lambda self: self.rollback()}
    if database.startswith("sqlite"):
        kind = type("Forgetful", (sqlite3.Connection,), forget)
        how = {"factory": kind, "isolation_level": None, "check_same_thread": False}
        return open_engine(database, creator=lambda: sqlite3.connect(make_url(database).database, **how))
    kind = type("Forgetful", (psycopg.Connection,), forget)
    return open_engine(database, creator=lambda: kind.connect(database.replace("+psycopg", "")))


def test_a_commit_that_was_skipped_is_found(lived):
    notes = []
    with lived.vault() as vault:
        vault.engine.dispose()
        vault.engine = _forgetful(lived.order["database"])
        Writer(vault, lived.identity, notes.append, "mutant")._register(1)
    with lived.notes.open("a") as file:
        file.writelines(json.dumps(note) + "\n" for note in notes)
    findings = lived.examine().findings
    assert "an acknowledged reference is gone" in findings
    assert "1 acknowledged acts have no entry" in findings


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM log_entry WHERE idx = (SELECT max(idx) FROM log_entry)", "the log: TAMPERED"),
        ("DELETE FROM log_entry WHERE idx = 5", "indexes are not contiguous up to the head"),
        ("DELETE FROM field_value WHERE field_id = (SELECT min(field_id) FROM field_value)", "does not read back"),
        ("UPDATE field_value SET current = NOT current WHERE item = 0", "two current values of a single field"),
        ("DELETE FROM compartment", "value without its compartment"),
        ("DELETE FROM subject", "compartment without its subject"),
        ("DELETE FROM consent_event", "acknowledged consents are gone"),
        ("UPDATE token_subject SET uses_left = uses_left + 1", "2 uses acknowledged, 1 counted"),
        ("DELETE FROM access_token", "use counted of no token"),
        ("UPDATE compartment SET slot = (SELECT min(slot) FROM compartment)", "key slots were given out twice"),
    ],
)
def test_damage_of_each_kind_is_found(lived, statement, sentence):
    with lived.vault() as vault, vault.engine.begin() as conn:
        conn.exec_driver_sql(statement)
    assert any(sentence in finding for finding in lived.examine().findings)


def test_a_keystore_put_back_from_yesterday_is_found(scene):
    keystore = Path(scene.order["keystore"])
    before = keystore.with_name("yesterday")
    shutil.copy(keystore, before)
    _write(scene)
    for suffix in ("-wal", "-shm"):
        keystore.with_name(keystore.name + suffix).unlink(missing_ok=True)
    shutil.copy(before, keystore)
    _write(scene, name="again")
    assert any("given out twice" in finding for finding in scene.examine().findings)
