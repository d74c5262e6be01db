"""The key holder beside keys in the process: one round trip, and one disclosure's whole use of keys."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api import roots
from api.settings import Settings, child_environment, load
from tests.bench.report import Line
from vault.errors import VaultError
from vault.keys.keyd.client import KeydClient
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.service import KeyService, SigningKey, Slot
from vault.runtime import SystemClock, SystemEntropy

FIELDS = 5  # of one disclosure, as in `tests.bench.disclosures`
BATCH = 20
START_SECONDS = 30


def measure(*, quick: bool) -> list[Line]:
    """Time verbs on one keystore in both homes, in turns; the holder is `ecrin keyd` in a process of its own."""
    rounds, count = (3, 200) if quick else (9, 1000)
    with tempfile.TemporaryDirectory(prefix="ecrin-bench-") as folder, homes(Path(folder)) as (near, far):
        slots = near.reserve(BATCH)
        wrapped = near.wrap([(slot, bytes(32)) for slot in slots])
        items = [(slot, each) for slot, each in zip(slots, wrapped, strict=True) if each is not None]
        trip = _time(rounds, count, lambda: far.mac("bench", [b"m"]), lambda: near.mac("bench", [b"m"]))
        batch = _time(rounds, count, lambda: far.unwrap(items), lambda: near.unwrap(items))
        whole = _time(rounds, count, lambda: disclose(far, items), lambda: disclose(near, items))
    return [
        _line("round trip: one MAC", trip),
        _line(f"round trip: {BATCH} data keys unwrapped", batch),
        _line(f"keys of one disclosure of {FIELDS} fields, alone in its batch", whole),
        Line("  more than in the process, for each disclosure alone", whole[0] - whole[1], "µs"),
    ]


def disclose(keys: KeyService, items: list[tuple[Slot, bytes]]) -> None:
    """Ask of the key service what one disclosure that has the batch to itself asks of it."""
    keys.mac("reference/aurelle", [b"r"])
    keys.open("pointer/aurelle", [(b"c", bytes(32))])
    keys.unwrap(items[:1])  # the subject's log key
    keys.mac("audit/request/1", [b"q"])
    keys.unwrap(items[:FIELDS])
    keys.sign(SigningKey.RECEIPT, [b"receipt"])


@contextmanager
def homes(folder: Path) -> Iterator[tuple[KeyService, KeydClient]]:
    """Make a keystore and open it in this process and in a key holder."""
    settings = load({"data_dir": folder, "keyd_socket": folder / "keyd.sock", "log_level": "error"})
    provider = roots.provider_of(settings)
    create_keystore(
        settings.keystore_path, provider, settings.deployment, Geometry(64, 3), entropy=SystemEntropy(),
        clock=SystemClock(),
    )  # fmt: skip
    near = open_keystore(settings.keystore_path, provider, settings.deployment)
    with holding(settings) as far:
        try:
            yield near, far
        finally:
            near.close()


@contextmanager
def holding(settings: Settings) -> Iterator[KeydClient]:
    """Run `ecrin keyd` on these settings."""
    socket = settings.keyd_socket
    if socket is None:
        raise ValueError("the settings name no socket")
    holder = subprocess.Popen([sys.executable, "-m", "api.keyholder"], env=child_environment(settings), cwd=os.getcwd())  # noqa: PTH109
    client = KeydClient(socket, settings.deployment)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                client.status()
                break
            except VaultError:
                if time.monotonic() > deadline or holder.poll() is not None:
                    raise RuntimeError("the key holder to be measured did not start") from None
                time.sleep(0.05)
        yield client
    finally:
        client.close()
        holder.terminate()
        holder.wait(20)


def _time(
    rounds: int, count: int, far: Callable[[], object], near: Callable[[], object]
) -> tuple[float, float, float, float]:
    """Median microseconds of one call in the holder and in the process; p50 and p99 of the holder in milliseconds."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        for call, times in ((far, ours), (near, theirs)):
            for _ in range(count):
                began = time.perf_counter()
                call()
                times.append(time.perf_counter() - began)
    percentiles = statistics.quantiles(ours, n=100)
    return statistics.median(ours) * 1e6, statistics.median(theirs) * 1e6, percentiles[49] * 1e3, percentiles[98] * 1e3


def _line(name: str, timed: tuple[float, float, float, float]) -> Line:
    far, near, p50, p99 = timed
    extra = {"µs in the process": round(near, 1)}
    return Line(name, far, "µs", [], p50_ms=p50, p99_ms=p99, extra=extra)
