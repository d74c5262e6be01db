"""A witness that others wrote (litewitness of filippo.io/torchwood, in Go) cosigns this log, through a change of its key too.

It is not a part of the project. `go install filippo.io/torchwood/cmd/litewitness@v0.6.1` and `witnessctl` of the same place
put it where `PATH`, or `LITEWITNESS_FOLDER`, finds it; without it and OpenSSH's agent this is skipped, and says so. Neither
Debian nor PyPI nor npm has it, so a machine set up from these alone skips it: there `test_api_independent_witness.py` asks
another witness, which PyPI has.
"""

import base64
import os
import shutil
import socket
import subprocess
import time

import pytest

from api.witnesses import ask
from audit.cosignature import ED25519_COSIGNATURE, CosignerKey
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.quorum import parse_policy
from audit.single import verify_witnessed
from vault import evidence, logkeys, witnessing
from vault.witnessing import Said

NAME = "foreign.example/witness"
PATH = os.pathsep.join([os.environ.get("LITEWITNESS_FOLDER", ""), os.environ.get("PATH", "")])
PROGRAMS = {
    name: shutil.which(name, path=PATH) for name in ("litewitness", "witnessctl", "ssh-agent", "ssh-add", "ssh-keygen")
}

MISSING = [name for name, path in PROGRAMS.items() if path is None]

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(MISSING), reason=f"*** NOT TESTED AGAINST LITEWITNESS *** not found: {', '.join(MISSING)}"),
]


def listening(address, process):
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "it ended"
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as probe:
            if probe.connect_ex(address) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Foreign:
    """The other program with its key in an SSH agent, its own database, and a port of its own."""

    def __init__(self, folder):
        self.folder = folder
        agent = str(folder / "agent")
        self.processes = [subprocess.Popen([PROGRAMS["ssh-agent"], "-a", agent, "-D"], stdout=subprocess.DEVNULL)]
        listening(agent, self.processes[0])
        key = folder / "key"
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        self.run("ssh-add", "-q", str(key), SSH_AUTH_SOCK=agent)
        fingerprint = self.run("ssh-keygen", "-lf", f"{key}.pub").split()[1]
        public = base64.b64decode((folder / "key.pub").read_text().split()[1])[-32:]
        self.key = CosignerKey(NAME, ED25519_COSIGNATURE, public)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        command = [PROGRAMS["litewitness"], "-db", str(folder / "db"), "-name", NAME, "-key", fingerprint]
        command += ["-ssh-agent", agent, "-listen", f"127.0.0.1:{port}"]
        self.processes.append(
            subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        listening(("127.0.0.1", port), self.processes[1])

    def run(self, name, *arguments, **environment):
        done = subprocess.run(
            [PROGRAMS[name], *arguments],
            cwd=self.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tell(self, what, *arguments):
        self.run("witnessctl", what, "-db", str(self.folder / "db"), *arguments)

    def close(self):
        for each in reversed(self.processes):
            each.terminate()
            each.wait(20)


@pytest.fixture
def foreign(tmp_path_factory):
    made = Foreign(tmp_path_factory.mktemp("w"))  # short: a socket's path may have a hundred bytes
    yield made
    made.close()


def test_a_foreign_witness_cosigns_through_a_change_of_the_logs_key(store, foreign, tmp_path, clock):
    kept = tmp_path / "kept"

    def grown():
        with store.unit() as uow:
            for _ in range(300):
                uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")))
            uow.commit()
        evidence.sign_checkpoints(store, kept)

    def cosigned():
        grown()
        done = witnessing.turn(store, policy, ask)
        if done.quorum:
            note = witnessing.newest(store).note
            assert verify_witnessed(note, policy, [each.key for each in logkeys.shown(store)]).quorum
        return done.said["foreign"]

    def policy_of():
        logs = "".join(f"log {each.key.vkey}\n" for each in logkeys.shown(store))
        return parse_policy(f"{logs}witness foreign {foreign.key.vkey} {foreign.url}\nquorum foreign\n".encode())

    policy = policy_of()
    assert cosigned() is Said.REFUSED  # it was not told of the log
    first = logkeys.shown(store)[0].key.vkey
    foreign.tell("add-log", "-origin", store.origin)
    foreign.tell("add-key", "-origin", store.origin, "-key", first)
    assert [cosigned() for _ in range(3)] == [Said.COSIGNED] * 3
    logkeys.rotate(store, 1, Actor(ActorKind.VAULT, "operator"))
    policy = policy_of()
    assert cosigned() is Said.COSIGNED  # by the old key, which it has
    foreign.tell("add-key", "-origin", store.origin, "-key", logkeys.shown(store)[0].key.vkey)
    assert cosigned() is Said.COSIGNED
    clock.advance(logkeys.DAY)
    assert logkeys.retire_due(store) == 1
    assert cosigned() is Said.COSIGNED  # by the new key alone
    foreign.tell("del-key", "-origin", store.origin, "-key", first)
    assert cosigned() is Said.COSIGNED
