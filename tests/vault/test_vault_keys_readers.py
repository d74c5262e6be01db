"""Other processes read, write and allocate through one epoch change after another, and what was purged is on no disk."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from strict_roots import FolderRoots, StrictRoots

from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.pagefile import PageFile
from vault.keys.service import Slot
from vault.runtime import SystemClock, SystemEntropy

ROOT = Path(__file__).parents[2]
DEPLOYMENT = "readers-test"
ENTROPY, CLOCK = SystemEntropy(), SystemClock()
GEOMETRY = Geometry(16, 3)
DEK = bytes(range(32))

# Reads what it was given over and over, allocates and wraps, blinds and moves; stops when it is told.
WORKER = """
import json, sys
from pathlib import Path
from strict_roots import FolderRoots
from vault.errors import KeyUnavailable
from vault.keys.keystore import open_keystore
from vault.keys.service import Slot
from vault.runtime import SystemClock, SystemEntropy

folder, wrapped = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
roots = FolderRoots(folder / "roots", SystemEntropy(), SystemClock())
service = open_keystore(folder / "keys.db", roots, "readers-test", leaf_pages=8)
dek = bytes(range(32))
items = [(Slot(16 * page, 0), wrapped[40 * page : 40 * page + 40]) for page in range(256)]
told = {"reads": 0, "wrong": 0, "epochs": [], "given": []}
print("ready", flush=True)
while not (folder / "stop").exists():
    told["wrong"] += sum(each != dek for each in service.unwrap(items))
    told["reads"] += 1
    if told["reads"] < 500:
        (slot,) = service.reserve(1)
        told["given"].append(slot.number)
        told["wrong"] += service.unwrap([(slot, service.wrap([(slot, dek)])[0])]) != [dek]
    epoch, *older = service.index_epochs()
    if epoch not in told["epochs"]:
        told["epochs"].append(epoch)
    try:
        (token,) = service.blind("a", [b"x"], epoch)
        for old in older:
            told["wrong"] += service.reblind(service.blind("a", [b"x"], old), old, epoch) != [token]
    except KeyUnavailable:
        pass  # it ended between two calls
print(json.dumps(told))
service.close()
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("roots", "one", "two"):
        (tmp_path / name).mkdir()
    roots = FolderRoots(tmp_path / "roots", ENTROPY, CLOCK)
    create_keystore(tmp_path / "keys.db", roots, DEPLOYMENT, GEOMETRY, entropy=ENTROPY, clock=CLOCK)
    return tmp_path


def test_readers_in_other_processes_notice_nothing(folder):
    roots = FolderRoots(folder / "roots", ENTROPY, CLOCK)
    places = [FolderPlace(folder / name, ENTROPY) for name in ("one", "two")]
    with closing(open_keystore(folder / "keys.db", roots, DEPLOYMENT)) as service:
        service.reserve(2048)  # ours: the workers get what comes after
        wrapped = b"".join(service.wrap([(Slot(16 * page, 0), DEK) for page in range(256)]))
        environment = {"PATH": os.defpath, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'vault'}"}
        workers = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", WORKER, str(folder), wrapped.hex()],
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
            )
            for _ in range(2)
        ]
        assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
        with closing(PageFile(folder / "keys.db")) as file:
            change = EpochChange(file, roots, places, clock=CLOCK, entropy=ENTROPY)
            for turn in range(1, 8):
                service.retire([Slot(16 * page + turn, 0) for page in range(0, 128, 3)])
                assert len(change.run().slots) == 43
            change.grow()
        (folder / "stop").touch()
        told = []
        for worker in workers:
            told.append(json.loads(worker.communicate(timeout=60)[0]))
            assert worker.returncode == 0
    assert [each["wrong"] for each in told] == [0, 0]
    assert all(each["reads"] > 0 for each in told)
    assert all(len(each["epochs"]) > 1 for each in told)
    assert not set(told[0]["given"]) & set(told[1]["given"])


def raw(folder):
    """Every byte of keystore, journal and copies."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\0".join(path.read_bytes() for path in files)


def test_what_was_purged_is_in_no_file(tmp_path):
    roots = StrictRoots(ENTROPY, CLOCK)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    places = [FolderPlace(tmp_path / name, ENTROPY) for name in ("one", "two")]
    create_keystore(tmp_path / "keys.db", roots, DEPLOYMENT, Geometry(8, 2), entropy=ENTROPY, clock=CLOCK)
    with (
        closing(open_keystore(tmp_path / "keys.db", roots, DEPLOYMENT)) as service,
        closing(PageFile(tmp_path / "keys.db")) as file,
    ):
        change = EpochChange(file, roots, places, clock=CLOCK, entropy=ENTROPY)
        change.run()
        leaves = [bytes(service._view.tree.leaf_page(0, leaf // 8).key(leaf % 8)) for leaf in range(64)]
        assert len(service.wrap([(Slot(leaf, 0), DEK) for leaf in range(64)])) == 64
        old_pages = {page.address: page.body for page in file.current_pages()}
        old = file.epoch(1)
        service.retire([Slot(3, 0), Slot(60, 0)])
        before = raw(tmp_path)
        assert old_pages.values() and all(body in before for body in old_pages.values())
        change.run()
        after = raw(tmp_path)
        drawn = {page.address for page in file.current_pages() if page.generation}
        assert len(drawn) == 3
        for address, body in old_pages.items():
            # Any piece: a row that was purged may have been torn by what came over it.
            pieces = [body[at : at + 24] for at in range(0, len(body) - 24, 24)]
            assert [piece in after for piece in pieces] == [address not in drawn] * len(pieces)
        assert old.top_key not in after
        assert old.top not in after
        assert old.service not in after
        for each in (before, after):
            assert not any(leaf in each for leaf in leaves)
