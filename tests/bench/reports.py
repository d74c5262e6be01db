"""Reports and evidence over a long log: time and memory of each, at a million entries.

The log is written through the ledger in batches of what a busy group logs: looks at all levels, refusals, searches, tokens,
of forty systems over ninety days. A report is run whole: read, counted, recorded, signed. Memory is what the process grew by
at its highest, each in a process of its own so that none hides another's.
"""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from api import bootstrap
from api.cli.deployment import initialise_from
from api.settings import load
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode, sref
from audit.ledger import append
from audit.reports import document
from audit.reports.asked import Asked
from tests.bench.keystores import settings_in
from tests.bench.report import Line
from vault import evidence, export, systems
from vault.reports import catalog, running
from vault.systems import NewSystem
from vault.unit import Vault

ENTRIES, QUICK = 1_000_000, 20_000
BATCH = 5_000
SYSTEMS = 40
DAYS = 90
DAY = 86_400
OFFICER = Actor(ActorKind.OFFICER, "bench")
_KINDS = (
    (Act.FIELD_DISCLOSED, Outcome.ALLOW, ("phone:masked", "name:raw"), ("clienteling.contact",)),
    (Act.FIELD_DISCLOSED, Outcome.ALLOW, ("ring_size:raw", "birth_date:generalised"), ("clienteling.sizes",)),
    (Act.FIELD_DENIED, Outcome.DENY, ("advisor_notes:raw",), ("floor.consent",)),
    (Act.TOKEN_ISSUED, Outcome.ALLOW, ("phone:masked",), ("clienteling.contact",)),
    (Act.SUBJECT_SEARCHED, Outcome.ALLOW, ("phone",), ()),
)


def measure(*, quick: bool) -> list[Line]:
    """Write the log once, then run each report on it in a process of its own."""
    count = QUICK if quick else ENTRIES
    with tempfile.TemporaryDirectory(prefix="ecrin-bench-") as name:
        settings = settings_in(Path(name))
        initialise_from(settings)
        with closing(bootstrap.open_from(settings)) as vault:
            _systems(vault)
            began = time.perf_counter()
            _fill(vault, count)
            evidence.sign_checkpoints(vault, settings.checkpoint_file)
            filled = time.perf_counter() - began
        lines = [Line(f"write {count:,} entries and sign them", filled, "s")]
        for each in (*catalog.DEFINITIONS, "evidence"):
            told = subprocess.run(
                [sys.executable, "-m", "tests.bench.reports", name, each], check=True, capture_output=True, text=True
            )
            ran = json.loads(told.stdout)
            extra = {"MB": ran["megabytes"], "rows": ran["rows"]}
            lines.append(Line(f"{each} over {count:,} entries", ran["seconds"], "s", extra=extra))
    return lines


def _systems(vault: Vault) -> None:
    with vault.unit() as uow:
        for number in range(SYSTEMS):
            key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "k"}
            purposes = frozenset({"clienteling.in_store", "service.repair"})
            new = NewSystem(_name(number), "aurelle", "bench", {"keys": [key]}, frozenset({"lookup"}), purposes)
            systems.register(uow, new, OFFICER)
        uow.commit()


def _name(number: int) -> str:
    return f"bench-{number % SYSTEMS}"


def _fill(vault: Vault, count: int) -> None:
    now = vault.clock.now()
    first = now - DAYS * DAY
    for start in range(0, count, BATCH):
        bodies = []
        for number in range(start, min(start + BATCH, count)):
            act, out, fields, rules = _KINDS[number % 7 % len(_KINDS)]
            entry_id = vault.entropy.bytes(16)
            actor = Actor(ActorKind.SYSTEM, _name(number * 31))
            entry = Entry(act, out, actor, fields, "clienteling.in_store", "consent", rules, n=1 if not rules else None)
            at = first + number * DAYS * DAY // count
            bodies.append((entry_id, encode(entry, entry_id, at, sref(bytes([number % 251]) * 32, entry_id))))
        with vault.engine.begin() as conn:
            append(conn, 0, bodies, now)


def _one(folder: str, name: str) -> dict[str, object]:
    settings = load({"data_dir": Path(folder), "log_level": "error"})
    with closing(bootstrap.open_from(settings)) as vault:
        now = vault.clock.now()
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten: opening took some
        before = _memory("VmRSS")
        began = time.perf_counter()
        if name == "evidence":
            # A week of it: what an authority asks for.
            asked = Asked(now - 30 * DAY, now - 23 * DAY)
            done = export.export(vault, asked, OFFICER, "bench", settings.checkpoint_file)
            with (Path(folder) / "bundle.zip").open("wb") as file:
                export.write(vault, done, {}, file.write)
            rows = done.rows
        else:
            system = "bench-1" if name == "blast_radius" else ""
            report = running.run(vault, name, Asked(0, now + 1, system=system), OFFICER)
            document.to_json(report)
            rows = len(report.body.rows) + report.body.more
        took = time.perf_counter() - began
        grown = _memory("VmHWM") - before
    return {"seconds": round(took, 2), "megabytes": round(grown / 1024), "rows": rows}


def _memory(name: str) -> int:
    """Return a line of /proc/self/status in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_one(*sys.argv[1:])))
