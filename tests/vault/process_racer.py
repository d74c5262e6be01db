"""Processes that race on one database for something of which there is only so much: `race` starts them and counts.

As a script it is one of them: prints `r` when ready, tries `TRIES` times from the first line of input on, each in a unit of
its own, and prints how often it got what it raced for.
"""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from vault import budgets, clockwatch, predicates, systems, tokens, witnessing
from vault.budgets import Looked
from vault.predicates import Questions
from vault.runtime import SystemEntropy
from vault.store.engine import open_engine
from vault.tokens import Credential, Session
from vault.unit import Vault

TRIES = 20
SYSTEM = "till"
SUBJECT = (1).to_bytes(16)
JKT = "k" * 43


def race(database, now, what, detail="", *, processes=2):
    """How often each of several processes got what they raced for."""
    command = [sys.executable, __file__, database, str(now), what, detail]
    racers = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in range(processes)
    ]
    for each in racers:
        assert each.stdout.read(1) == b"r"  # ready: all are at the line before any runs
    for each in racers:
        each.stdin.write(b"go\n")
        each.stdin.flush()
    return [int(each.communicate(timeout=60)[0]) for each in racers]


def _people(unit, till, attempt, number, _detail):
    subject = (number * 1000 + attempt).to_bytes(16)
    return budgets.charge(unit, [Looked(till, subject, "", "", 7, 1)]) == [None]


def _questions(unit, _till, attempt, number, _detail):
    asked = frozenset({f"field.question_{number}_{attempt}"})
    return predicates.charge(unit, [Questions(SYSTEM, SUBJECT, asked)]) == [None]


def _uses(unit, _till, _attempt, _number, detail):
    return tokens.consume(unit, [(bytes.fromhex(detail), SUBJECT)]) == [True]


def _proofs(unit, _till, attempt, _number, detail):
    shown = Credential(bytes.fromhex(detail), JKT, attempt.to_bytes(16), 2_000_000_000)
    return isinstance(tokens.authenticate(unit, [shown])[0], Session)


def _losses(unit, _till, attempt, _number, _detail):
    return witnessing.record(unit.vault, lost=attempt % 2 == 0)


def _heartbeats(unit, _till, _attempt, _number, _detail):
    clockwatch.heartbeat_due(unit.vault)
    return 0


PRIZES = {
    "people": _people,
    "questions": _questions,
    "uses": _uses,
    "proofs": _proofs,
    "losses": _losses,
    "heartbeats": _heartbeats,
}


def main():
    url, now, what, detail, number = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
    clock = SimpleNamespace(now=lambda: now)
    vault = Vault(open_engine(url), None, None, clock=clock, entropy=SystemEntropy(), deployment="t", origin="t")
    with vault.reading() as conn:
        till = systems.get(conn, SYSTEM)
    sys.stdout.write("r")
    sys.stdout.flush()
    sys.stdin.readline()
    got = 0
    for attempt in range(TRIES):
        with vault.unit() as unit:
            got += PRIZES[what](unit, till, attempt, number, detail)
            unit.commit()
    sys.stdout.write(str(got))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
