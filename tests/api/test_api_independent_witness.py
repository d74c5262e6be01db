"""A witness and a reader of logs that others wrote, in Python and from the specifications alone, agree with ours.

`aics-witness` and `aics-tlog` are no part of the project: `make setup` brings them into `.venv/foreign` (.ci/foreign.lock), and
they run in processes of their own. The witness cosigns this log, through a change of its key too, and not one that went back;
the reader audits the log as it is published, every tile and every entry.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from api.witnesses import ask
from audit.cosignature import parse_cosigner
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.quorum import parse_policy
from audit.single import verify_witnessed
from vault import evidence, logkeys, witnessing
from vault.witnessing import Said

ROOT = Path(__file__).parents[2]
FOREIGN = ROOT / ".venv" / "foreign"
NAME = "independent.example/w1"
OPERATOR = Actor(ActorKind.VAULT, "operator")

pytestmark = pytest.mark.server

AUDIT = """
import sys
from aics_tlog import FileSystemTileReader, audit_tiles, parse_checkpoint, parse_note, parse_vkey, verify_checkpoint
folder, key = sys.argv[1:]
note = parse_note(open(folder + "/checkpoint", "rb").read())
told = verify_checkpoint(note, parse_vkey(key), [], quorum=0)
assert told.ok, told
checkpoint = parse_checkpoint(note.text)
report = audit_tiles(FileSystemTileReader(folder), checkpoint.size, checkpoint.root)
print(checkpoint.size, report)
"""


@pytest.fixture(autouse=True)
def there():
    if not (FOREIGN / "aics_witness").is_dir():
        reason = "*** NOT TESTED AGAINST AN INDEPENDENT WITNESS *** no .venv/foreign (make setup)"
        if os.environ.get("CI"):
            pytest.fail(f"CI must have it: {reason}", pytrace=False)
        pytest.skip(reason)


def foreign(*arguments, cwd):
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(FOREIGN)}
    return [sys.executable, *arguments], {"env": environment, "cwd": cwd}


def run(*arguments, cwd):
    command, how = foreign(*arguments, cwd=cwd)
    return subprocess.run(command, **how, capture_output=True, text=True, check=False)


class Independent:
    """The other program: its folder, its key, its port."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        made = self.told("init", "--name", NAME, "--listen", f"127.0.0.1:{self.port}")
        self.key = next(word for word in made.split() if word.startswith(f"{NAME}+"))
        self.process = None
        self.start()

    def told(self, *arguments):
        done = run("-m", "aics_witness", *arguments, "--config", str(self.folder / "witness.json"), cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def knows(self, origin, key):
        self.told("add-log", "--origin", origin, "--vkey", key)
        self.process.send_signal(signal.SIGHUP)

    def start(self):
        command, how = foreign(
            "-m", "aics_witness", "serve", "--config", str(self.folder / "witness.json"), cwd=self.folder
        )
        self.process = subprocess.Popen(command, **how, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, "it ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def other(tmp_path):
    made = Independent(tmp_path / "independent")
    yield made
    made.kill()


def grown(store, kept, count=300):
    with store.unit() as uow:
        for _ in range(count):
            uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, OPERATOR))
        uow.commit()
    evidence.sign_checkpoints(store, kept)


def policy_of(store, other):
    assert parse_cosigner(other.key).name == NAME
    logs = "".join(f"log {each.key.vkey}\n" for each in logkeys.shown(store))
    return parse_policy(f"{logs}witness other {other.key} {other.url}\nquorum other\n".encode())


def asked(store, other, want):
    """Ask until it says that: it takes up a changed list of logs in its own time."""
    deadline = time.monotonic() + 120
    while True:
        said = witnessing.turn(store, policy_of(store, other), ask).said["other"]
        if said is want or time.monotonic() > deadline:
            return said
        time.sleep(0.1)


def test_an_independent_witness_cosigns_through_a_change_of_the_logs_key_and_never_a_log_that_went_back(
    store, other, tmp_path, clock
):
    kept = tmp_path / "kept"
    grown(store, kept)
    assert asked(store, other, Said.REFUSED) is Said.REFUSED  # it was not told of the log
    other.knows(store.origin, logkeys.shown(store)[0].key.vkey)
    for _ in range(3):
        assert asked(store, other, Said.COSIGNED) is Said.COSIGNED
        note = witnessing.newest(store).note
        assert verify_witnessed(note, policy_of(store, other), [each.key for each in logkeys.shown(store)]).quorum
        grown(store, kept)
    logkeys.rotate(store, 1, OPERATOR)
    grown(store, kept, 1)
    assert asked(store, other, Said.COSIGNED) is Said.COSIGNED  # by the old key, which it has
    other.knows(store.origin, logkeys.shown(store)[0].key.vkey)
    clock.advance(logkeys.DAY)
    assert logkeys.retire_due(store) == 1
    grown(store, kept, 1)
    assert asked(store, other, Said.COSIGNED) is Said.COSIGNED  # by the new key alone
    other.kill()
    other.start()
    # The operator rolls the log back behind everybody's back and grows it another way, with the true key.
    with store.engine.begin() as conn:
        before = conn.exec_driver_sql("SELECT size, stack FROM log_checkpoint ORDER BY size LIMIT 1").one()
        for statement in (
            "DELETE FROM log_entry WHERE idx >= :size",
            "DELETE FROM log_checkpoint WHERE size > :size",
            "DELETE FROM log_witnessed WHERE size > :size",
            "DELETE FROM log_witness",
            "UPDATE log_head SET size = :size, stack = :stack",
        ):
            values = {"size": before.size, "stack": before.stack}
            conn.execute(text(statement), {name: each for name, each in values.items() if f":{name}" in statement})
    kept.unlink()
    grown(store, kept, 700)
    done = witnessing.turn(store, policy_of(store, other), ask)
    assert (done.quorum, done.said["other"]) in {(False, Said.REFUSED), (False, Said.AHEAD)}
    grown(store, kept, 2000)  # longer than what it saw: the proof does not hold
    done = witnessing.turn(store, policy_of(store, other), ask)
    assert (done.quorum, done.said["other"]) == (False, Said.REFUSED)


def test_an_independent_reader_audits_the_published_log_and_finds_a_changed_byte(store, tmp_path):
    kept, folder = tmp_path / "kept", tmp_path / "public"
    key = logkeys.shown(store)[0].key.vkey
    for count in (1, 254, 1, 300, 700):  # partial tiles, a full one, the first of the level above
        grown(store, kept, count)
        evidence.publish(store, folder, entries=True)
        done = run("-c", AUDIT, str(folder), key, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    tiles = sorted(path for path in (folder / "tile").rglob("*") if path.is_file() and ".p" not in path.parent.suffix)
    assert len(tiles) > 6
    for path in tiles:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert run("-c", AUDIT, str(folder), key, cwd=tmp_path).returncode != 0, path
        path.write_bytes(content)
