"""Slots are given out once: across two processes on one keystore, and across processes killed while reserving."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from vault.errors import LeavesExhausted
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.local import KeyFileProvider
from vault.keys.service import Slot
from vault.runtime import SystemClock, SystemEntropy

ROOT = Path(__file__).parents[2]
DEPLOYMENT = "reserve-test"
GEOMETRY = Geometry(64, 3)  # 262 144 slots, so blocks of 1024

# Writes each slot it was given to its own file, unbuffered, before it asks for more.
WORKER = """
import sys
import time
from pathlib import Path
from vault.keys.keystore import open_keystore
from vault.keys.local import KeyFileProvider
from vault.runtime import SystemEntropy

folder, out, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
service = open_keystore(folder / "keys.db", KeyFileProvider(folder / "root", SystemEntropy()), "reserve-test")
service._given_out.block = int(sys.argv[4])  # small blocks: nearly every moment is inside a reservation
pause = 0.0005 if service._given_out.block < 10 else 0
with open(out, "ab", buffering=0) as log:
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(count):
        slots = service.reserve(1 + turn % 7)
        log.write(b"".join(b"%d\\n" % slot.number for slot in slots))
        time.sleep(pause)  # lets the other process in: SQLite's waiting for a lock is not fair
service.close()
"""


@pytest.fixture
def folder(tmp_path):
    provider = KeyFileProvider(tmp_path / "root", SystemEntropy())
    create_keystore(tmp_path / "keys.db", provider, DEPLOYMENT, GEOMETRY, entropy=SystemEntropy(), clock=SystemClock())
    return tmp_path


def start(folder, name, count, block=1024):
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(folder / name), str(count), str(block)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
    )
    assert worker.stdout.readline() == b"ready\n"
    return worker


def release(worker):
    worker.stdin.write(b"\n")
    worker.stdin.close()


def finish(worker):
    with worker.stdout:
        return worker.wait(timeout=60)


def numbers(folder):
    """What was given out, whole lines only: a killed process may have been cut while it wrote one."""
    found = []
    for log in sorted(folder.glob("worker-*")):
        content = log.read_bytes()
        found += [int(line) for line in content[: content.rfind(b"\n") + 1].split()]
    return found


def test_two_processes_never_share_a_slot(folder):
    workers = [start(folder, f"worker-{n}", 5000) for n in range(2)]
    for worker in workers:
        release(worker)
    assert [finish(worker) for worker in workers] == [0, 0]
    given_out = numbers(folder)
    assert len(given_out) == len(set(given_out)) == 2 * sum(1 + turn % 7 for turn in range(5000))
    assert max(given_out) < GEOMETRY.leaves


@pytest.mark.crash
def test_killed_processes_lose_slots_but_never_give_one_out_twice(folder):
    for turn in range(8):
        workers = [start(folder, f"worker-{turn}-{n}", 1_000_000, block=4) for n in range(2)]
        for worker in workers:
            release(worker)
        logs = [folder / f"worker-{turn}-{n}" for n in range(2)]
        while not all(log.stat().st_size for log in logs):
            assert all(worker.poll() is None for worker in workers)
            time.sleep(0.001)
        time.sleep(0.003 * turn)
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
        assert [finish(worker) for worker in workers] == [-signal.SIGKILL] * 2
    given_out = numbers(folder)
    assert len(given_out) > 16
    assert len(given_out) == len(set(given_out))
    provider = KeyFileProvider(folder / "root", SystemEntropy())
    with closing(open_keystore(folder / "keys.db", provider, DEPLOYMENT)) as service:
        status = service.status()
        assert status.slots_reserved > max(given_out)
        assert service.reserve(1)[0].number not in given_out


def test_a_leaf_that_was_retired_before_anybody_got_it_is_given_to_nobody(folder):
    """Of a block that was set aside before, and of one that was given back and is set aside again."""
    provider = KeyFileProvider(folder / "root", SystemEntropy())
    with (
        closing(open_keystore(folder / "keys.db", provider, DEPLOYMENT)) as service,
        closing(open_keystore(folder / "keys.db", provider, DEPLOYMENT)) as other,
    ):
        (first,) = service.reserve(1)
        waiting = [Slot(first.number + after, 0) for after in range(1, 6)]
        other.retire(waiting)
        given_out = service.reserve(3)
        assert [slot.number - first.number for slot in given_out] == [6, 7, 8]
        assert service.alive(given_out) == [True] * 3
        other.retire([Slot(first.number + 10, 0)])
    with closing(open_keystore(folder / "keys.db", provider, DEPLOYMENT)) as again:
        assert [slot.number - first.number for slot in again.reserve(2)] == [9, 11]


def test_too_few_left_takes_none_though_some_were_retired(folder):
    provider = KeyFileProvider(folder / "root", SystemEntropy())
    create_keystore(
        folder / "small.db", provider, DEPLOYMENT, Geometry(2, 3), entropy=SystemEntropy(), clock=SystemClock()
    )
    with closing(open_keystore(folder / "small.db", provider, DEPLOYMENT)) as service:
        service.retire([Slot(number, 0) for number in range(3)])
        with pytest.raises(LeavesExhausted, match="exhausted"):
            service.reserve(6)
        assert service.reserve(5) == [Slot(number, 0) for number in range(3, 8)]
        with pytest.raises(LeavesExhausted, match="exhausted"):
            service.reserve(1)
