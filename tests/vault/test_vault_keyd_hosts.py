"""Two hosts, each with a key holder of its own, on one keystore in PostgreSQL: real processes, one changes the epoch."""

import json
import signal
import subprocess
from contextlib import closing

import psycopg
import pytest
from keyd_processes import PYTHON, Host

from vault.keys.pagebase import PageBase

pytestmark = [pytest.mark.server, pytest.mark.postgresql, pytest.mark.xdist_group("keyd")]

# Makes, retires, opens and changes the epoch as it is told, through the holder of its host; prints what came of it.
PLANE = """
import json, sys
from pathlib import Path
from vault.errors import VaultError
from vault.keys.keyd.client import KeydClient
from vault.keys.keyd.remotekeeper import RemoteKeeper
from vault.keys.service import Slot

keys, dek = KeydClient(Path(sys.argv[1]), "keyd-host"), bytes(range(32))
keeper = RemoteKeeper(keys)
verb, given = sys.argv[2], json.loads(sys.argv[3])
slots = [Slot(*each[:2]) for each in given] if isinstance(given, list) else []
try:
    if verb == "make":
        made = keys.reserve(given)
        told = [[*slot, wrapped.hex()] for slot, wrapped in zip(made, keys.wrap([(slot, dek) for slot in made]))]
    elif verb == "retire":
        told = keys.retire(slots)
    elif verb == "opened":
        told = [each == dek for each in keys.unwrap([(s, bytes.fromhex(g[2])) for s, g in zip(slots, given)])]
    elif verb == "change":
        found = keeper.begin()
        done = keeper.finish(found.epoch)
        told = [done.epoch, sorted(done.slots), done.copies]
    elif verb == "status":
        told = [keys.status().epoch, keys.status().retired]
except VaultError as error:
    told = error.code
print(json.dumps(told))
"""

# Opens what it was given, over and over, and takes leaves, until it is told to stop; counts what went wrong.
READER = """
import json, sys
from pathlib import Path
from vault.keys.keyd.client import KeydClient
from vault.keys.service import Slot

keys, dek, stop = KeydClient(Path(sys.argv[1]), "keyd-host"), bytes(range(32)), Path(sys.argv[2])
given = json.loads(sys.argv[3])
items = [(Slot(*each[:2]), bytes.fromhex(each[2])) for each in given]
told = {"reads": 0, "wrong": 0, "epochs": [], "given": []}
print("ready", flush=True)
while not stop.exists():
    told["wrong"] += sum(each != dek for each in keys.unwrap(items))
    (slot,) = keys.reserve(1)
    told["wrong"] += keys.unwrap([(slot, keys.wrap([(slot, dek)])[0])]) != [dek]
    told["given"].append(slot.number)
    told["reads"] += 1
    epoch = keys.status().epoch
    if epoch not in told["epochs"]:
        told["epochs"].append(epoch)
print(json.dumps(told))
"""

# Another host's process at the door of a change: everything is ready, and nothing was destroyed.
AT_THE_DOOR = """
import sys, time
from pathlib import Path
from sqlalchemy.engine import make_url
from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.local import KeyFileProvider
from vault.keys.pagebase import PageBase
from vault.runtime import SystemClock, SystemEntropy

entropy = SystemEntropy()
places = [FolderPlace(Path(each), entropy) for each in sys.argv[3:]]
provider = KeyFileProvider(Path(sys.argv[2]), entropy)
change = EpochChange(PageBase(make_url(sys.argv[1])), provider, places, clock=SystemClock(), entropy=entropy)

def door():
    print("door", flush=True)
    time.sleep(60)

change.run(door)
"""


@pytest.fixture
def hosts(empty_base, second_postgres):
    second_postgres.home.chmod(0o711)
    keystore = empty_base()
    url = keystore.render_as_string(hide_password=False)
    with Host(keystore_url=url) as one:
        shared = {"root_folder": one.folder / "data" / "roots", "keystore_copies": ",".join(map(str, one.copies))}
        with Host(keystore_url=url, **shared) as two:
            one.keyd()
            two.keyd()
            one.own()
            yield one, two, keystore


def plane(host, verb, given=None):
    code, told = host.run(*PYTHON[:1], "-c", PLANE, host.socket, verb, json.dumps(given))
    assert code == 0, told
    return json.loads(told)


def test_one_host_changes_the_epoch_and_the_other_serves_through_it(hosts):
    one, two, _ = hosts
    made = plane(one, "make", 200)
    kept, gone = made[:150], made[150:]
    stop = two.folder / "stop"
    reader = two.start(*PYTHON[:1], "-c", READER, two.socket, stop, json.dumps(kept), stdout=subprocess.PIPE, text=True)
    assert reader.stdout.readline() == "ready\n"
    for epoch in range(3):
        leaving = gone[epoch::3]
        plane(one, "retire", leaving)
        assert plane(two, "opened", leaving) == [False] * len(leaving)
        told, slots, copies = plane(one, "change")
        assert (told, copies) == (epoch, 2)
        assert slots == sorted(each[:2] for each in leaving)
        two.until(lambda epoch=epoch: plane(two, "status")[0] == epoch + 1)
    stop.touch()
    out, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0, two.lines.read_text(errors="replace")[-2000:]
    told = json.loads(out)
    assert told["wrong"] == 0
    assert told["reads"] > 10
    assert len(told["epochs"]) > 1
    assert not set(told["given"]) & {each[0] for each in made}
    for host in (one, two):
        assert plane(host, "opened", made) == [True] * 150 + [False] * 50


def test_the_change_of_a_killed_host_is_carried_on_by_another(hosts):
    one, two, keystore = hosts
    made = plane(one, "make", 20)
    plane(one, "retire", made[:5])
    url = keystore.render_as_string(hide_password=False)
    changing = one.start(
        *PYTHON[:1],
        "-c",
        AT_THE_DOOR,
        url,
        one.folder / "data" / "roots",
        *one.copies,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert changing.stdout.readline() == "door\n"
    assert plane(two, "change") == "conflict"  # somebody is at it
    changing.send_signal(signal.SIGKILL)
    changing.communicate()
    assert plane(two, "change") == "conflict"  # and nobody can know that it is gone, until its lease ends
    for host in (one, two):
        assert plane(host, "opened", made) == [False] * 5 + [True] * 15
    address = keystore.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as db:
        db.execute("UPDATE ecrin_keystore.lease SET expires_at = 0")
    assert plane(two, "change") == [0, sorted(each[:2] for each in made[:5]), 2]
    for host in (one, two):
        host.until(lambda host=host: plane(host, "status")[0] == 1)
        assert plane(host, "opened", made) == [False] * 5 + [True] * 15
    with closing(PageBase(keystore)) as store:
        assert store.change() is None


def test_a_holder_outlives_its_database(hosts, empty_base, second_postgres):
    """Every connection is cut; the next request is answered, and the holder is the same process."""
    one, _, keystore = hosts
    made = plane(one, "make", 5)
    for _ in range(3):
        address = keystore.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address) as db:
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert plane(one, "opened", made) == [True] * 5
    assert one.running[0].poll() is None


def test_a_holder_beside_the_data_does_not_start(empty_base, second_postgres):
    """By name it is refused with the settings; by another name of the same server once both are asked."""
    second_postgres.home.chmod(0o711)
    keystore, data = empty_base("keys"), empty_base("data")
    other = second_postgres.home.with_name(second_postgres.home.name + "-again")
    other.symlink_to(second_postgres.home)
    try:
        with Host(keystore_url=keystore.render_as_string(hide_password=False)) as host:
            for folder, said in ((second_postgres.home, "same server"), (other, "point-in-time")):
                beside = data.update_query_dict({"host": str(folder)})
                host._settings["database_url"] = beside.render_as_string(hide_password=False)
                for arguments in (("keyd", "--init"), ("keyd",)):
                    code, told = host.command(*arguments)
                    assert (code, said in told) in {(3, True), (1, True)}, told
    finally:
        other.unlink()
