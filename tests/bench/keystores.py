"""The keystore at the size of a group: building it, reading leaves, ending epochs, moving what is sealed to fresh leaves.

A million subjects of eight categories are nine million leaves, with the one of each subject's log key: six trees. What
is timed of an erasure is the change of epoch, with two copies on the same disk; a person's nine leaves lie together.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from api import bootstrap
from api.cli.deployment import initialise_from
from api.keepers import own_keeper
from api.roots import provider_of
from api.settings import Settings, load
from tests.bench.report import Line, Verdict
from vault.keys.keeper import KeptChange
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.pagetree import slot_number
from vault.keys.service import KeyService, Slot
from vault.rotation.rekeying import rekey_all
from vault.runtime import SystemClock, SystemEntropy
from vault.subjects import Holding, NewSubject, ingest
from vault.unit import execute

LEAVES = 9  # of a subject: eight categories and the log key
BATCH = 64
SHAPE, TREES, SUBJECTS = Geometry(), 6, 1_000_000
QUICK_SHAPE, QUICK_TREES, QUICK_SUBJECTS = Geometry(16, 3), 2, 800
ERASED = (1, 100, 1_000, 10_000)
QUICK_ERASED = (1, 10)
HELD = {1: 1.0, 1_000: 3.0}  # seconds (design §12)


def measure(*, quick: bool) -> list[Line]:
    """Build a keystore, read it, and end epochs of it."""
    shape, trees, subjects = (QUICK_SHAPE, QUICK_TREES, QUICK_SUBJECTS) if quick else (SHAPE, TREES, SUBJECTS)
    rng = random.Random(1)  # noqa: S311 - which people are erased, not a key
    with tempfile.TemporaryDirectory(prefix="ecrin-bench-") as name:
        settings = settings_in(Path(name))
        provider = provider_of(settings)
        keeper = own_keeper(settings, provider)

        def build() -> None:
            entropy, clock = SystemEntropy(), SystemClock()
            create_keystore(settings.keystore_path, provider, settings.deployment, shape, entropy=entropy, clock=clock)
            keeper.grow(trees - 1)

        built = seconds(build)
        size = {"MB each": round(settings.keystore_path.stat().st_size / 1e6, 1)}
        lines = [Line(f"build: {shape.leaves * trees:,} leaves, with two copies", built, "s", extra=size)]
        with closing(open_keystore(settings.keystore_path, provider, settings.deployment)) as keys:
            lines += _reads(keys, shape, subjects, rng, rounds=50 if quick else 500)
        change = KeptChange(keeper)
        change.run()  # the first copies whole, as once a day
        people = rng.sample(range(subjects), sum(QUICK_ERASED if quick else ERASED))
        for count in QUICK_ERASED if quick else ERASED:
            gone, people = people[:count], people[count:]
            with closing(open_keystore(settings.keystore_path, provider, settings.deployment)) as keys:
                keys.retire([slot for person in gone for slot in _leaves(person, shape)])
            ended = seconds(change.run)
            held = [] if quick or count not in HELD else [Verdict("s", ended, HELD[count], at_most=True, ratio=False)]
            aim = 0.1 if count == 1 and not quick else None
            title = f"erase {count:,} of {subjects:,} subjects, {LEAVES * count:,} leaves"
            lines.append(Line(title, ended, "s", holds=held, aim=aim, aim_at_most=True))
    return [*lines, _rekeying(quick=quick)]


def _reads(keys: KeyService, shape: Geometry, subjects: int, rng: random.Random, rounds: int) -> list[Line]:
    """Wrap a key under one leaf each of 64 people, spread over all of them; then of the same 64 again and again."""

    def timed(items: list[tuple[Slot, bytes]]) -> float:
        began = time.perf_counter()
        keys.wrap(items)
        return (time.perf_counter() - began) / BATCH * 1e6

    chosen = [[(_leaves(rng.randrange(subjects), shape)[0], bytes(32)) for _ in range(BATCH)] for _ in range(rounds)]
    cold = [timed(items) for items in chosen]
    warm = [timed(chosen[0]) for _ in range(rounds)]
    return [
        Line(f"read a leaf and wrap under it, {BATCH} people of all at a time", statistics.median(cold), "µs"),
        Line("  the same people again", statistics.median(warm[1:]), "µs"),
    ]


def _rekeying(*, quick: bool) -> Line:
    """Move compartments and log keys of some people, on SQLite, one unit of 100 people after the other."""
    count = 100 if quick else 2000
    with tempfile.TemporaryDirectory(prefix="ecrin-bench-") as name:
        settings = settings_in(Path(name))
        initialise_from(settings)
        with closing(bootstrap.open_from(settings)) as vault:
            for start in range(0, count, 100):
                people = [
                    NewSubject("bench", "fr", (Holding("aurelle", {"email": [f"guest{start + n}@example.com"]}),))
                    for n in range(100)
                ]
                if refused := [each for each in execute(vault, ingest, people) if isinstance(each, Exception)]:
                    raise refused[0]
            began = time.perf_counter()
            *_, last = rekey_all(vault)
            rate = last.done / (time.perf_counter() - began)
    return Line(f"re-key {last.done:,} leaves in the background: compartments and log keys", rate, "/s")


def settings_in(folder: Path) -> Settings:
    copies = [folder / "one", folder / "two"]
    for each in copies:
        each.mkdir()
    return load({"data_dir": folder, "keystore_copies": tuple(copies), "log_level": "error"})


def _leaves(person: int, shape: Geometry) -> list[Slot]:
    first = person * LEAVES
    return [Slot(slot_number(*divmod(first + n, shape.leaves)), 0) for n in range(LEAVES)]


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
