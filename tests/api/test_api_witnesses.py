"""Witnesses of a served vault: real `ecrin witness` processes, a quorum, a log shown twice, and the alarms."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import httpx2
import pytest
from maison_callers import CONSENT, PERSON
from sqlalchemy import text

from api.observability.logs import Log
from api.settings import load
from api.vouching import Vouching
from api.witnesses import Witnesses, ask, read_policy
from audit.addcheckpoint import MAX_REQUEST
from audit.errors import CannotDecide, VerificationError
from audit.note import parse_vkey, vkey
from audit.quorum import parse_policy
from vault import evidence, witnessing
from vault.keys.service import SigningKey
from vault.witnessing import Answered, Said

ROOT = Path(__file__).parents[2]


class OpenDoor:
    open = True


class Process:
    """A witness as a sister company runs it: its own folder, its own process, nothing of the vault but a public key."""

    def __init__(self, folder, name, log):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.folder, self.name = folder, name
        self._command = [sys.executable, "-m", "api.cli.main", "witness", str(folder), "--name", name]
        self._command += ["--log", log, "--port", str(self.port)]
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("ECRIN_")}
        self._environment["PYTHONPATH"] = str(ROOT)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.DEVNULL, cwd=self.folder.parent
        )
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, "the witness ended"
            try:
                with urlopen(f"{self.url}key", timeout=5) as answer:  # noqa: S310 - our own loopback address
                    self.key = answer.read().decode().strip()
                    return
            except (URLError, OSError):
                assert time.monotonic() < deadline
            time.sleep(0.05)

    def run(self, *more):
        return subprocess.run(
            [*self._command, *more], env=self._environment, capture_output=True, text=True, check=False
        )

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def log_key(maison):
    return vkey(maison.vault.origin, maison.vault.keys.public_key(SigningKey.LOG))


@pytest.fixture
def processes(log_key, tmp_path):
    """Two witnesses."""
    with ExitStack() as stack:
        made = []
        for name in ("anna", "bela"):
            made.append(Process(tmp_path / name, f"{name}.example", log_key))
            stack.callback(made[-1].kill)
        yield made


@pytest.fixture
def grow(maison, pos, tmp_path):
    """Adds entries to the log and signs them."""

    def grown():
        pos.created(PERSON, CONSENT)
        # Waits for the job that signs meanwhile: it may be at an earlier state.
        evidence.sign_checkpoints(maison.vault, tmp_path / "kept", wait=True)
        return evidence.latest_checkpoint(maison.vault)

    return grown


def policy_of(processes, log_key, needed):
    lines = [f"log {log_key}"]
    lines += [f"witness {each.name} {each.key} {each.url}" for each in processes]
    lines += [f"group both {needed} {' '.join(each.name for each in processes)}", "quorum both"]
    return "\n".join(lines).encode() + b"\n"


@pytest.mark.server
def test_two_witnesses_make_a_quorum_that_is_served_published_and_kept(maison, pos, processes, log_key, grow, tmp_path):
    policy = parse_policy(policy_of(processes, log_key, 2))
    assert pos.http.get("/audit/checkpoint/witnessed").status_code == 404
    for _ in range(3):
        note = grow()
        done = witnessing.turn(maison.vault, policy, ask)
        assert (done.quorum, set(done.said.values())) == (True, {Said.COSIGNED})
        told = pos.http.get("/audit/checkpoint/witnessed").text
        assert told.startswith(note)
        assert policy.judge(told, maison.vault.origin, [parse_vkey(log_key)]).quorum
    assert witnessing.turn(maison.vault, policy, lambda *_: pytest.fail("nobody needs to be asked again")).quorum
    evidence.publish(maison.vault, tmp_path / "public", entries=False)
    assert (tmp_path / "public" / "checkpoint.witnessed").read_text() == told
    # One of the two is gone: the log goes on, what was witnessed stays, and the turn says whom it lacks.
    processes[0].process.send_signal(signal.SIGKILL)
    processes[0].process.wait()
    grow()
    done = witnessing.turn(maison.vault, policy, ask)
    assert (done.quorum, done.said) == (False, {"anna.example": Said.UNREACHABLE, "bela.example": Said.COSIGNED})
    assert pos.http.get("/audit/checkpoint/witnessed").text == told
    # It comes back where it was, and the witness that had said yes already is not asked again.
    processes[0].start()
    assert witnessing.turn(maison.vault, policy, ask).quorum
    assert pos.http.get("/audit/checkpoint/witnessed").text != told


@pytest.mark.server
def test_a_log_shown_two_ways_is_caught(maison, pos, processes, log_key, grow, tmp_path):
    """A split view: the same log, and the same key, with another continuation for somebody else."""
    policy = parse_policy(policy_of(processes, log_key, 2))
    grow()
    assert witnessing.turn(maison.vault, policy, ask).quorum
    with maison.vault.reading() as conn:
        before = conn.exec_driver_sql("SELECT size, stack FROM log_checkpoint ORDER BY size DESC LIMIT 1").one()
    grow()
    assert witnessing.turn(maison.vault, policy, ask).quorum
    # The operator rolls the log back behind the back of everybody and grows it another way, with the true key.
    with maison.vault.engine.begin() as conn:
        for statement in (
            "DELETE FROM log_entry WHERE idx >= :size",
            "DELETE FROM log_checkpoint WHERE size > :size",
            "DELETE FROM log_witnessed WHERE size > :size",
            "UPDATE log_head SET size = :size, stack = :stack",
        ):
            conn.execute(
                text(statement),
                {"size": before.size, "stack": before.stack} if "stack" in statement else {"size": before.size},
            )
    (tmp_path / "kept").unlink()
    grow()
    with maison.vault.engine.begin() as conn:
        conn.exec_driver_sql("DELETE FROM log_witness")  # as if nothing had ever been asked
    done = witnessing.turn(maison.vault, policy, ask)
    assert not done.quorum
    assert set(done.said.values()) <= {Said.REFUSED, Said.AHEAD}
    alone = parse_policy(policy_of(processes, log_key, 1))
    assert not witnessing.turn(maison.vault, alone, ask).quorum


@pytest.mark.server
def test_a_witness_answers_bounded_requests_and_has_its_folder_to_itself(processes, log_key):
    (one, _) = processes
    assert httpx2.post(f"{one.url}add-checkpoint", content=b"x" * (MAX_REQUEST + 1)).status_code in {400, 413}
    assert httpx2.post(f"{one.url}add-checkpoint", content=b"").status_code == 400
    assert httpx2.get(f"{one.url}add-checkpoint").status_code == 405
    assert httpx2.get(f"{one.url}{'0' * 64}/checkpoint").status_code == 404
    assert httpx2.get(f"{one.url}..%2fkey/checkpoint").status_code == 404
    second = one.run()
    assert (second.returncode, "another process" in second.stderr) == (1, True)
    one.kill()
    printed = one.run("--key", "--json")
    assert json.loads(printed.stdout) == {"key": one.key}
    assert (one.folder / "key").stat().st_mode & 0o077 == 0
    (one.folder / "key").chmod(0o644)
    assert one.run().returncode == 3
    assert one.run("--log", "nonsense").returncode == 2


def answering(said):
    """Witnesses that never were: each answer is made here."""
    return lambda witness, body: said[witness.name] if isinstance(said, dict) else said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answered(0), Said.UNREACHABLE),
        (Answered(503, b"busy"), Said.REFUSED),
        (Answered(403, b"unknown"), Said.REFUSED),
        (Answered(409, b"999999\n"), Said.AHEAD),
        (Answered(409, b"many\n"), Said.INVALID),
        (Answered(409, b"1\n"), Said.REFUSED),
        (Answered(200, b""), Said.INVALID),
        (Answered(200, b"\xff"), Said.INVALID),
        (Answered(200, "— anna.example AAAA\n".encode()), Said.INVALID),
        (Answered(200, "— stranger.example AAAAAAAAAAAA\n".encode()), Said.INVALID),
    ],
)
def test_an_answer_that_is_no_cosignature_is_told_apart(maison, grow, log_key, answer, said):
    grow()
    stranger = _stranger()
    policy = parse_policy(f"log {log_key}\nwitness anna {stranger} https://anna.example\nquorum anna\n".encode())
    done = witnessing.turn(maison.vault, policy, answering(answer))
    assert (done.quorum, done.said) == (False, {"anna": said})
    assert witnessing.newest(maison.vault) is None


def _stranger():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return vkey("anna.example", Ed25519PrivateKey.generate().public_key().public_bytes_raw(), 4)


def test_before_the_first_checkpoint_nobody_is_asked(maison, log_key):
    policy = parse_policy(f"log {log_key}\nquorum none\n".encode())
    with maison.vault.engine.begin() as conn:
        conn.exec_driver_sql("DELETE FROM log_checkpoint")
    assert witnessing.turn(maison.vault, policy, lambda *_: pytest.fail("asked")).size == 0


def test_a_missing_quorum_is_an_alarm_and_an_entry_and_no_request_waits_for_it(
    maison, pos, grow, log_key, tmp_path, clock
):
    (tmp_path / "policy").write_text(f"log {log_key}\nwitness anna {_stranger()} http://127.0.0.1:1/\nquorum anna\n")
    lines = io.BytesIO()
    log = Log(clock, stream=lines)
    watching = Witnesses(maison.vault, tmp_path / "policy", log)
    grow()
    watching.turn()
    assert not watching.missing
    clock.advance(witnessing.LATE_SECONDS)
    watching.turn()
    watching.turn()
    assert watching.missing
    acts = [each.read["act"] for each in maison.entries()]
    assert acts.count("log.quorum_lost") == 1
    assert b"quorum.missing" in lines.getvalue()
    assert pos.created(PERSON, CONSENT)
    (tmp_path / "policy").write_text(f"log {log_key}\nquorum none\n")
    watching.turn()
    assert not watching.missing
    last = maison.entries()[-1].read
    assert (last["act"], last["out"], last["n"]) == ("log.quorum_regained", "allow", 0)


def test_a_process_that_died_missing_the_quorum_leaves_the_end_to_the_next(maison, grow, log_key, tmp_path, clock):
    policy = tmp_path / "policy"
    policy.write_text(f"log {log_key}\nwitness anna {_stranger()} http://127.0.0.1:1/\nquorum anna\n")
    grow()
    for number in range(3):  # each sees it, one says so
        watching = Witnesses(maison.vault, policy, Log(clock, stream=io.BytesIO()))
        watching.turn()
        clock.advance(witnessing.LATE_SECONDS)
        watching.turn()
        assert watching.missing, number
    policy.write_text(f"log {log_key}\nquorum none\n")
    for _ in range(2):
        Witnesses(maison.vault, policy, Log(clock, stream=io.BytesIO())).turn()
    acts = [each.read["act"] for each in maison.entries()]
    assert (acts.count("log.quorum_lost"), acts.count("log.quorum_regained")) == (1, 1)


def test_readiness_says_whether_a_quorum_stands(maison, pos):
    assert pos.http.get("/readyz").json() == {"status": "ready"}
    services = maison.http.app.state.services

    class Seen:
        missing = True

    from dataclasses import replace

    maison.http.app.state.services = replace(services, witnesses=Seen())
    assert pos.http.get("/readyz").json() == {"status": "ready", "witnesses": "missing"}
    Seen.missing = False
    assert pos.http.get("/readyz").json() == {"status": "ready", "witnesses": "quorum"}


def test_a_sealed_vault_asks_nobody(maison, tmp_path, clock):
    class Shut:
        open = False

    lines = io.BytesIO()
    chosen = load({"data_dir": tmp_path, "witness_policy": tmp_path / "no such policy"})
    for door, told in ((Shut(), []), (OpenDoor(), ["CannotDecide"])):
        *_, asks = Vouching(chosen, maison.vault, door, Log(clock, stream=lines)).jobs
        asks.turn()
        assert [json.loads(line)["error"] for line in lines.getvalue().splitlines()] == told


def test_a_policy_names_this_log_and_addresses_that_may_be_called(tmp_path, log_key):
    path = tmp_path / "policy"
    with pytest.raises(CannotDecide):
        read_policy(path, "a.example")
    path.write_text(f"log {log_key}\nquorum none\n")
    assert read_policy(path, parse_vkey(log_key).name).met_by([])
    with pytest.raises(VerificationError, match="another log"):
        read_policy(path, "a.example")
    for url in ("http://witness.example/", "ftp://127.0.0.1/", "https://user@witness.example/"):
        path.write_text(f"witness a {_stranger()} {url}\nquorum a\n")
        with pytest.raises(VerificationError, match="witness a"):
            read_policy(path, "a.example")


def test_without_a_policy_there_is_no_job(maison, tmp_path, clock):
    log = Log(clock, level="error")
    plain = load({"data_dir": tmp_path})
    names = [each._failed for each in Vouching(plain, maison.vault, OpenDoor(), log).jobs]
    assert "witnesses.failed" not in names
    chosen = load({"data_dir": tmp_path, "witness_policy": tmp_path / "policy"})
    assert "witnesses.failed" in [each._failed for each in Vouching(chosen, maison.vault, OpenDoor(), log).jobs]


def test_a_served_vault_with_a_policy_has_its_witnesses_looked_after(opening, bundle, tmp_path, log_of, clock):
    """The whole application, as its settings compose it: the job asks, and readiness tells."""
    from maison_callers import ELSEWHERE, app_of
    from starlette.testclient import TestClient

    path = tmp_path / "policy"
    app = app_of(lambda _: opening(bundle), tmp_path, witness_policy=path)
    with TestClient(app, base_url=ELSEWHERE) as http:
        services = app.state.services
        path.write_text(f"log {log_of(services.vault)}\nwitness anna {_stranger()} http://127.0.0.1:1/\nquorum anna\n")
        assert http.get("/readyz").json() == {"status": "ready", "witnesses": "quorum"}
        services.witnesses.turn()
        clock.advance(witnessing.LATE_SECONDS)
        services.witnesses.turn()
        assert http.get("/readyz").json() == {"status": "ready", "witnesses": "missing"}
        assert witnessing.lag(services.vault) >= witnessing.LATE_SECONDS


@pytest.fixture
def log_of():
    return lambda vault: vkey(vault.origin, vault.keys.public_key(SigningKey.LOG))


def test_the_key_of_a_second_signature_is_told_where_there_is_one(opening, bundle, tmp_path, maison):
    from maison_callers import ELSEWHERE, app_of
    from starlette.testclient import TestClient

    from api.settings import InvalidSettings

    assert "log_ml_dsa" not in maison.http.get("/audit/keys").json()
    app = app_of(lambda _: opening(bundle), tmp_path, witness_policy=tmp_path / "policy", log_ml_dsa=True)
    with TestClient(app, base_url=ELSEWHERE) as http:
        told = http.get("/audit/keys").json()
        assert told["log_ml_dsa"].startswith(f"{told['origin']}+")
    with pytest.raises(InvalidSettings, match="log_ml_dsa"):
        load({"data_dir": tmp_path, "log_ml_dsa": True})


def test_what_waits_is_counted_from_the_first_entry_that_no_quorum_saw(store, tmp_path, clock):
    from vault import clockwatch
    from vault.secondsigner import SecondSigner

    assert witnessing.lag(store) == 0  # nothing is signed
    evidence.sign_checkpoints(store, tmp_path / "kept")
    clock.advance(50)
    assert witnessing.lag(store) == 50
    policy = parse_policy(f"log {vkey(store.origin, store.keys.public_key(SigningKey.LOG))}\nquorum none\n".encode())
    witnessing.turn(store, policy, ask, second=[SecondSigner(store.keys, store.origin)])
    assert witnessing.lag(store) == 0
    clock.advance(7_200)  # a quiet night is no lag
    assert witnessing.lag(store) == 0
    clockwatch.heartbeat(store)
    evidence.sign_checkpoints(store, tmp_path / "kept")
    assert witnessing.lag(store) == 0
    clock.advance(9)
    assert witnessing.lag(store) == 9


def test_a_witness_that_trickles_is_not_waited_for(monkeypatch):
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from api import witnesses
    from audit.cosignature import parse_cosigner
    from audit.quorum import KnownWitness

    released = threading.Event()

    class Trickle(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.end_headers()
            for _ in range(1000):
                if released.wait(0.01):
                    return
                self.wfile.write(b"x")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setattr(witnesses, "ASK_SECONDS", 0.2)
        known = KnownWitness("slow", parse_cosigner(_stranger()), f"http://127.0.0.1:{server.server_port}/")
        assert ask(known, b"old 0\n\n") == Answered(0)
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()
