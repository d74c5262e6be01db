"""Erasure through the data plane: from the request to the certificate, and what moving the search tokens costs.

On SQLite, with two copies of the keystore on the same disk. Not at a million subjects, whose import alone takes a
quarter of an hour: an epoch run is the change of epoch, which `keystores` measures at that size, the move of all search
tokens, told here per million, and work that grows with the people erased.
"""

import tempfile
import time
from contextlib import closing
from pathlib import Path

from api import bootstrap
from api.cli.deployment import initialise_from
from api.keepers import keeper_of
from audit.entry import Actor, ActorKind
from tests.bench.keystores import seconds, settings_in
from tests.bench.report import Line
from vault import searchepochs
from vault.erasure import epochrun, requests
from vault.erasure.requests import Erase
from vault.keys.keeper import KeptChange
from vault.subjects import Holding, NewSubject, ingest
from vault.unit import Vault, execute

DPO = Actor(ActorKind.OFFICER, "bench")
BATCH = 200
SUBJECTS, ERASED = 20_000, (1, 100, 1_000)
QUICK_SUBJECTS, QUICK_ERASED = 200, (1, 10)


def measure(*, quick: bool) -> list[Line]:
    """Take people in, erase some, and say how long each part took."""
    subjects, erased = (QUICK_SUBJECTS, QUICK_ERASED) if quick else (SUBJECTS, ERASED)
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="ecrin-bench-") as name:
        settings = settings_in(Path(name))
        initialise_from(settings)
        with closing(bootstrap.open_from(settings)) as vault:
            people = _people(vault, subjects)
            change = KeptChange(keeper_of(settings))
            epochrun.run(vault, change, settings.checkpoint_file, anyway=True)  # the first copies whole
            for count in erased:
                gone, people = people[:count], people[count:]
                asked = seconds(lambda gone=gone: _erase(vault, gone))
                ran = seconds(lambda: epochrun.run(vault, change, settings.checkpoint_file))
                rest = {"ms to be denied": round(asked * 1000, 1)}
                lines.append(Line(f"erase {count:,} of {subjects:,} people, to the certificate", ran, "s", extra=rest))
            lines.append(_move(vault, change))
    return lines


def _people(vault: Vault, count: int) -> list[bytes]:
    found: list[bytes] = []
    for start in range(0, count, BATCH):
        news = [
            NewSubject("bench", "fr", (Holding("aurelle", _values(start + n)),))
            for n in range(min(BATCH, count - start))
        ]
        for each in execute(vault, ingest, news):
            if isinstance(each, Exception):
                raise each
            found.append(each.subject)
    return found


def _values(number: int) -> dict[str, object]:
    return {
        "client_number": f"B-{number}",
        "email": [f"guest{number}@example.com"],
        "phone": [f"+33639{number:06}"],
        "preferred_language": "fr",
        "birth_date": "1984-05-17",
    }


def _erase(vault: Vault, gone: list[bytes]) -> None:
    for start in range(0, len(gone), BATCH):
        for each in requests.erase(vault, [Erase(subject, DPO) for subject in gone[start : start + BATCH]]):
            if isinstance(each, Exception):
                raise each


def _move(vault: Vault, change: KeptChange) -> Line:
    """Time the move alone, which an epoch run has between the copies and the destruction."""
    took: list[tuple[float, float, int]] = []

    def move() -> None:
        began, cpu = time.perf_counter(), time.process_time()
        moved = searchepochs.move(vault)
        took.append((time.perf_counter() - began, time.process_time() - cpu, moved))

    change.run(move)
    wall, cpu, moved = took[0]
    extra = {"tokens": moved, "s of processor": round(cpu / moved * 1e6, 1)}
    return Line("move search tokens to a new epoch, per million", wall / moved * 1e6, "s", extra=extra)
