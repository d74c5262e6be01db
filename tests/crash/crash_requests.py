"""Victims that take one step of a request and are killed at one moment of it: the nth statement, or the nth commit.

Run as a script it imports the project once and forks a victim for each line on its standard input. A victim opens the
vault itself, counts its moments from the beginning of the act, and kills itself with SIGKILL at the one it was given.
"""

import json
import os
import signal
import sys
from pathlib import Path

from crash_writers import _die_with_parent, opened
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import event
from sqlalchemy.engine import Engine

from api import bundles
from api.observability.logs import Log
from api.packages.archive import archive_of
from api.post.carrier import Carrier
from audit.entry import Actor, ActorKind
from policies.rights import Assurance, Right
from vault import evidence, logkeys
from vault.governance import officerkeys
from vault.reports import runs
from vault.requests import acts, delivering, erasing, handling
from vault.requests.intake import Ask, of_system, received
from vault.requests.records import Source
from vault.requests.steps import by_officer
from vault.runtime import SystemClock
from vault.unit import execute


class Dying:
    """Counts moments, and dies at one."""

    def __init__(self, at):
        self.at, self.now = at, -1
        event.listen(Engine, "before_cursor_execute", self.moment)
        event.listen(Engine, "commit", self.moment)

    def moment(self, *_):
        self.now += 1
        if self.now == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


class Posted:
    """A port that has handed a letter over once its line is in the file."""

    def __init__(self, path):
        self.path = path

    def send(self, address, subject, text):
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(file, json.dumps(text).encode() + b"\n")
        os.close(file)
        return ""


def act(vault, order):
    """Do the act that the order names."""
    what = order["act"]
    if what in KEEPING:
        KEEPING[what](vault, Path(order["pin"]))
        return
    request = bytes.fromhex(order["request"])

    def by(officer):
        key = load_pem_private_key(order["keys"][officer].encode(), None)
        return by_officer(officer, lambda message: officerkeys.sign(key, message))

    first, second = order["keys"]
    if what == "receive":
        asked = Ask(
            order["reference"], "aurelle", Right.ACCESS, of_system("aurelle-pos"), Source.BRAND, Assurance.SIGNED_IN
        )
        execute(vault, received, [asked])
    elif what == "refuse":
        handling.decide_refusal(vault, request, by(second), confirm=True)
    elif what == "rectify":
        acts.rectify(vault, request, by(first))
    elif what == "fetch":
        gathered, _ = delivering.fetch(vault, order["secret"])
        archive_of(vault, gathered)
    elif what == "erase":
        erasing.execute(vault, request, by(first), without_letter=True)
    elif what == "carry":
        Carrier(vault, {"email": Posted(Path(order["posted"]))}, Log(SystemClock(), level="error"), "").turn()


KEEPING = {  # what keeps a log and its reports: acts of the vault's own processes
    "rotate": lambda vault, _: logkeys.rotate(vault, 1, Actor(ActorKind.VAULT, "operator")),
    "retire": lambda vault, _: logkeys.retire_due(vault),
    "sign": evidence.sign_checkpoints,
    "report": lambda vault, _: runs.turn(vault),
}


def breed():
    """Fork a victim per line, wait for it, and answer how it ended."""
    bundle = bundles.load()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _die_with_parent()
            code = 1
            try:
                vault = opened(order, bundle)
                Dying(order["at"])
                act(vault, order)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": status}), flush=True)


if __name__ == "__main__":
    breed()
