"""An epoch change through a real key holder: killed at any point, and with a hold in between, it destroys what it should."""

import json
import signal
import time
from contextlib import closing

import pytest
from keyd_processes import PYTHON, Host

from vault.keys.pagefile import PageFile
from vault.runtime import SystemClock

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("keyd")]

# The data plane's side, as a process of the account: does what its arguments say and prints what came of it.
PLANE = """
import json, sys
from pathlib import Path
from vault.keys.keyd.client import KeydClient
from vault.keys.keyd.epochverbs import EPOCH_BEGIN, EPOCH_FINISH
from vault.keys.keyd.remotekeeper import RemoteKeeper
from vault.keys.service import Slot

keys = KeydClient(Path(sys.argv[1]), "keyd-host")
keeper = RemoteKeeper(keys)
told = []
for verb, *arguments in json.loads(sys.argv[2]):
    slots = [Slot(*each[:2]) for each in arguments[0]] if arguments and isinstance(arguments[0], list) else []
    if verb == "make":
        made = keys.reserve(arguments[0])
        told.append([[*slot, wrapped.hex()] for slot, wrapped in zip(made, keys.wrap([(s, bytes(32)) for s in made]))])
    elif verb == "retire":
        told.append(keys.retire(slots))
    elif verb == "recall":
        told.append(keys.recall(slots))
    elif verb == "opened":
        items = [(Slot(number, generation), bytes.fromhex(wrapped)) for number, generation, wrapped in arguments[0]]
        told.append([dek == bytes(32) for dek in keys.unwrap(items)])
    elif verb == "start":  # and do not wait for it
        told.append(keys.ask(EPOCH_FINISH if arguments else EPOCH_BEGIN, *arguments).done)
    elif verb == "begin":
        found = keeper.begin()
        told.append([found.epoch, found.slots])
    elif verb == "finish":
        found = keeper.finish(arguments[0])
        told.append([found.epoch, found.slots, found.copies, found.destruction.destruction_class])
    elif verb == "history":
        told.append([[each.epoch, each.slots] for each in keeper.history()])
    elif verb == "grow":
        told.append(keeper.grow())
print(json.dumps(told))
"""


@pytest.fixture
def host():
    with Host() as made:
        yield made


def plane(host, *asked):
    code, told = host.run(*PYTHON[:1], "-c", PLANE, host.socket, json.dumps(asked))
    assert code == 0, told
    return json.loads(told)


def killed(host, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait(20)


def the_lease_ends(host):
    """Two minutes pass, for whoever held it."""
    with closing(PageFile(host.keystore)) as store:
        later = SystemClock().now() + 600
        assert store.take_lease("later", later, later)
        store.drop_lease("later")
    host.own()


def roots_there(host):
    return {path.name for path in (host.folder / "data").rglob("root-*")}


def test_a_holder_killed_at_the_door_and_a_hold_meanwhile(host):
    holder = host.keyd()
    (made,) = plane(host, ["make", 6])
    gone, held = made[0][:2], made[1][:2]
    before = roots_there(host)
    prospect = plane(host, ["retire", [gone, held]], ["begin"])[1]
    assert prospect == [0, [gone, held]]
    killed(host, holder)
    holder = host.keyd()
    assert plane(host, ["recall", [held]], ["begin"]) == [[True], [0, [gone]]]
    assert plane(host, ["finish", 0]) == [[0, [gone], 2, "C"]]
    host.until(lambda: "keyd.renewed" in host.lines.read_text(), holder)
    assert plane(host, ["opened", made], ["history"]) == [[False] + 5 * [True], [[0, [gone]]]]
    assert holder.poll() is None  # the same process, another image
    left = roots_there(host)
    assert not [name for name in before if name in left and not name.endswith(".gone")]
    assert plane(host, ["finish", 0]) == [[0, [gone], 2, "C"]]  # told again by an image that did not do it


@pytest.mark.parametrize("pause", [0, 0.02, 0.05, 0.1])
def test_a_holder_killed_anywhere_in_either_part(host, pause):
    """Wherever it was: after a restart, and the end of the dead one's lease, both parts run to their end."""
    holder = host.keyd()
    (made,) = plane(host, ["make", 40])
    gone = [each[:2] for each in made[:7]]
    plane(host, ["retire", gone])
    for step in (["start"], ["start", 0]):
        plane(host, step)
        time.sleep(pause)
        killed(host, holder)
        the_lease_ends(host)
        holder = host.keyd()
        if step == ["start"]:
            assert plane(host, ["begin"]) == [[0, gone]]
    assert plane(host, ["finish", 0])[0][:2] == [0, gone]
    assert plane(host, ["opened", made], ["begin"], ["finish", 1], ["opened", made]) == [
        7 * [False] + 33 * [True],
        [1, []],
        [1, [], 2, "C"],
        7 * [False] + 33 * [True],
    ]


def test_a_holder_told_to_stop_leaves_no_lease_behind(host):
    holder = host.keyd()
    plane(host, ["start"])
    holder.send_signal(signal.SIGTERM)
    assert holder.wait(20) == 0
    host.keyd()
    assert plane(host, ["begin"], ["finish", 0])[1][0] == 0


def test_trees_are_added_through_the_holder(host):
    host.keyd()
    assert plane(host, ["grow"], ["make", 1])[0] == 2 * 16**3
