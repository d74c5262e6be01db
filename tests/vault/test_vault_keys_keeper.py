"""An epoch change in two parts, wherever the keys live: stops at its door, may be repeated, destroys only what was meant."""

import sqlite3
import threading
from contextlib import closing

import pytest
from key_homes import HOLDER, HOMES, HeldClient
from strict_roots import StrictRoots

from vault.errors import Conflict, Damaged, KeyHolderUnavailable, Sealed, TooFewCopies
from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.keeper import ChangeKeeper, KeptChange
from vault.keys.keyd.epochwork import EpochWork
from vault.keys.keyd.holder import Unattended
from vault.keys.keyd.remotekeeper import RemoteKeeper
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.pagefile import PageFile
from vault.keys.pagestore import ChangeState
from vault.keys.provider import RootState
from vault.keys.service import Slot
from vault.runtime import SystemClock, SystemEntropy

DEPLOYMENT = "kept"
ENTROPY = SystemEntropy()
DEK = bytes(range(32))
GONE, HELD, OTHER = Slot(5, 0), Slot(6, 0), Slot(7, 0)


class Scene:
    """A keystore with two places for copies, its keeper in one home, and a key service beside it."""

    def __init__(self, folder, home="process", **limits):
        self.path = folder / "keys.db"
        self.roots = StrictRoots(ENTROPY, SystemClock())
        create_keystore(self.path, self.roots, DEPLOYMENT, Geometry(4, 3), entropy=ENTROPY, clock=SystemClock())
        self.folders = [folder / "one", folder / "two"]
        for each in self.folders:
            each.mkdir()
        self.service = self.open()
        self.client = None
        self.keeper = self.own()
        if home == HOLDER:
            self.client = HeldClient(
                self.open, DEPLOYMENT, unsealer=Unattended(self.roots), keeper=lambda _: self.own(), limits=limits
            )
            self.keeper = RemoteKeeper(self.client)

    def open(self):
        return open_keystore(self.path, self.roots, DEPLOYMENT)

    def own(self, kind=ChangeKeeper):
        places = [FolderPlace(each, ENTROPY) for each in self.folders]
        return kind(lambda: PageFile(self.path), self.roots, places, clock=SystemClock(), entropy=ENTROPY)

    def stepped(self, state):
        """Bring a change to a state and leave it there, as a crash does; the lease is given back."""
        with closing(PageFile(self.path)) as store:
            places = [FolderPlace(each, ENTROPY) for each in self.folders]
            change = EpochChange(store, self.roots, places, clock=SystemClock(), entropy=ENTROPY)
            while (row := store.change()) is None or row.state is not state:
                if state is ChangeState.DESTROYING and row is not None and row.state is ChangeState.REPLICATED:
                    now = SystemClock().now()
                    assert store.take_lease("crashed", now, now + 100)
                    assert store.destroying("crashed")
                    store.drop_lease("crashed")
                else:
                    assert change.step() is None

    def state(self):
        with closing(PageFile(self.path)) as store:
            change = store.change()
            return None if change is None else change.state

    def close(self):
        for each in (self.service, self.client):
            if each is not None:
                each.close()


@pytest.fixture(params=HOMES)
def scene(request, tmp_path):
    made = Scene(tmp_path, request.param)
    yield made
    made.close()


def wrapped(service):
    slots = [Slot(leaf, 0) for leaf in range(64)]
    return list(zip(slots, service.wrap([(slot, DEK) for slot in slots]), strict=True))


def opened(service, items):
    return {slot for (slot, _), dek in zip(items, service.unwrap(items), strict=True) if dek == DEK}


def test_nothing_is_destroyed_at_the_door_and_what_was_named_behind_it(scene):
    items = wrapped(scene.service)
    scene.service.retire([GONE, HELD])
    assert (scene.keeper.status().waiting, scene.keeper.status().change) == (2, None)
    prospect = scene.keeper.begin()
    assert (prospect.epoch, prospect.slots, prospect.copies) == (0, (GONE, HELD), 2)
    assert scene.roots.status(prospect.root_ref).state is RootState.LIVE
    status = scene.keeper.status()
    assert (status.epoch, status.change, status.ends, status.leaving, status.copies) == (1, "replicated", 0, 2, 2)
    destroyed = scene.keeper.finish(prospect.epoch)
    assert (destroyed.epoch, destroyed.root_ref, destroyed.slots) == (0, prospect.root_ref, (GONE, HELD))
    assert scene.roots.status(prospect.root_ref).state is RootState.GONE
    assert opened(scene.service, items) == {slot for slot, _ in items} - {GONE, HELD}
    assert scene.keeper.history() == [destroyed]
    assert scene.keeper.history(1) == []
    assert (scene.keeper.status().change, scene.keeper.status().destroyed) == (None, 1)


def test_a_hold_between_the_two_parts_keeps_its_leaf_and_it_is_copied_before_the_end(scene):
    items = wrapped(scene.service)
    scene.service.retire([GONE, HELD])
    prospect = scene.keeper.begin()
    assert scene.service.recall([HELD]) == [True]
    assert scene.keeper.begin().slots == (GONE,)
    assert scene.keeper.finish(prospect.epoch).slots == (GONE,)
    assert opened(scene.service, items) == {slot for slot, _ in items} - {GONE}
    for folder in scene.folders:
        with closing(open_keystore(folder / "keystore.copy", scene.roots, DEPLOYMENT)) as copy:
            assert HELD in opened(copy, items)


def test_either_part_may_be_repeated(scene):
    scene.service.retire([GONE])
    first = scene.keeper.begin()
    scene.service.retire([OTHER])  # waits for the change after this one
    assert scene.keeper.begin() == first
    destroyed = scene.keeper.finish(first.epoch)
    assert scene.keeper.finish(first.epoch) == destroyed
    assert scene.state() is None
    second = scene.keeper.begin()
    assert (second.epoch, second.slots) == (1, (OTHER,))
    assert scene.keeper.finish(first.epoch) == destroyed  # and leaves the second at its door
    assert scene.state() is ChangeState.REPLICATED
    assert scene.service.recall([OTHER]) == [True]


def test_what_was_not_begun_cannot_be_finished(scene):
    scene.service.retire([GONE])
    for epoch in (0, 1, 7, -1):
        with pytest.raises(Conflict):
            scene.keeper.finish(epoch)
    scene.stepped(ChangeState.PREPARED)
    with pytest.raises(Conflict):
        scene.keeper.finish(0)
    assert scene.state() is ChangeState.PREPARED
    assert scene.service.recall([GONE]) == [True]


@pytest.mark.parametrize("state", list(ChangeState))
def test_a_change_that_a_crash_left_anywhere_is_carried_on(scene, state):
    items = wrapped(scene.service)
    scene.service.retire([GONE])
    scene.stepped(state)
    prospect = scene.keeper.begin()
    behind = state in {ChangeState.DESTROYING, ChangeState.DESTROYED}
    assert prospect.epoch == (1 if behind else 0)  # what was behind its door is over: the next one waits
    assert [each.slots for each in scene.keeper.history()] == ([(GONE,)] if behind else [])
    assert scene.keeper.finish(prospect.epoch).slots == (() if behind else (GONE,))
    assert opened(scene.service, items) == {slot for slot, _ in items} - {GONE}
    assert [each.epoch for each in scene.keeper.history()] == list(range(prospect.epoch + 1))


@pytest.mark.parametrize("state", [ChangeState.DESTROYING, ChangeState.DESTROYED])
def test_what_a_crash_left_behind_the_door_is_finished_by_name_too(scene, state):
    scene.service.retire([GONE])
    scene.stepped(state)
    assert KeptChange(scene.keeper).run(pytest.fail).slots == (GONE,)  # the data plane did its part before the door
    assert scene.keeper.finish(0).slots == (GONE,)
    assert scene.state() is None


def test_the_part_of_the_data_plane_comes_between_and_its_failure_leaves_the_change_at_its_door(scene):
    scene.service.retire([GONE, HELD])

    def fails():
        raise Sealed("the data plane")

    change = KeptChange(scene.keeper)
    assert change.waiting() == 2
    with pytest.raises(Sealed):
        change.run(fails)
    assert scene.state() is ChangeState.REPLICATED
    told = change.run(lambda: scene.service.recall([HELD]))
    assert told.slots == (GONE,)
    assert (change.waiting(), change.history()) == (0, [told])


def test_another_process_at_it_is_a_conflict_and_its_crash_ends_with_its_lease(scene):
    with closing(PageFile(scene.path)) as other:
        now = SystemClock().now()
        assert other.take_lease("other", now, now + 100)
        with pytest.raises(Conflict):
            scene.keeper.begin()
        assert other.take_lease("other", now, now - 1)  # its time is over; nobody gave it back
    assert scene.keeper.begin().epoch == 0


def test_a_copy_too_few_says_so_wherever_it_is_noticed(scene):
    scene.service.retire([GONE])
    prospect = scene.keeper.begin()
    (scene.folders[1] / "keystore.copy").unlink()
    scene.folders[1].rmdir()
    with pytest.raises(TooFewCopies):
        scene.keeper.finish(prospect.epoch)
    assert scene.roots.status(prospect.root_ref).state is RootState.LIVE
    with pytest.raises(TooFewCopies):
        scene.keeper.grow()
    scene.folders[1].mkdir()
    assert scene.keeper.finish(prospect.epoch).copies == 2


@pytest.mark.parametrize(("wait", "again"), [(5, False), (601, True)])
def test_copies_are_read_back_again_after_a_wait_and_not_in_the_same_minutes(tmp_path, wait, again):
    made = Scene(tmp_path, HOMES[0])
    try:
        clock = Stopped()
        put = []

        class Place(FolderPlace):
            def put(self, source, *, anew=False, pages=True):
                put.append(pages)
                super().put(source, anew=anew, pages=pages)

        places = [Place(each, ENTROPY) for each in made.folders]
        keeper = ChangeKeeper(lambda: PageFile(made.path), made.roots, places, clock=clock, entropy=ENTROPY)
        made.service.retire([GONE])
        prospect = keeper.begin()
        begun = put.count(True)
        clock.at += wait
        assert keeper.finish(prospect.epoch).copies == 2
        assert (put.count(True) > begun) is again
    finally:
        made.close()


class Stopped:
    at = 1_790_000_000

    def now(self):
        return self.at


def test_trees_are_added_and_given_out(scene):
    assert scene.keeper.grow(2) == 192
    assert len(scene.service.reserve(100)) == 100


def test_a_damaged_keystore_says_so(scene):
    with closing(PageFile(scene.path)) as store:
        addresses = [row.address for row in store.current_pages()]
    with closing(sqlite3.connect(scene.path)) as file:
        file.execute("UPDATE page SET body = zeroblob(length(body)) WHERE address = ?", (addresses[0],))
        file.commit()
    scene.service.retire([GONE])
    with pytest.raises(Damaged):
        scene.keeper.begin()


@pytest.mark.parametrize("home", HOMES)
def test_a_long_history_and_many_leaves_cross_in_pieces(tmp_path, home):
    with closing(Scene(tmp_path, home, most_slots=3, most_ended=2)) as scene:
        for leaf in range(5):
            scene.service.retire([Slot(leaf * 8 + each, 0) for each in range(7)])
            KeptChange(scene.keeper).run()
        assert [each.epoch for each in scene.keeper.history()] == [0, 1, 2, 3, 4]
        assert {len(each.slots) for each in scene.keeper.history(1)} == {7}


# The work in the holder


class Slow(ChangeKeeper):
    """Waits at the beginning until it is told to go on."""

    gate = None

    def begin(self):
        self.gate.wait(20)
        return super().begin()


def test_work_is_joined_and_other_work_is_refused_while_the_holder_serves_on(tmp_path):
    scene = Scene(tmp_path)
    slow = scene.own(Slow)
    slow.gate = threading.Event()
    work = EpochWork(lambda: slow, ENTROPY)
    one = work.epoch_begin()
    assert (one.done, work.busy, work.epoch_begin().ticket) == (False, True, one.ticket)
    with pytest.raises(Conflict):
        work.epoch_finish(0)
    with pytest.raises(Conflict):
        work.grow(1)
    assert work.epoch_status().change is None  # answered at once
    slow.gate.set()
    work.wait(20)
    assert work.work(one.ticket).done
    assert work.work(one.ticket + 1).lost
    assert not work.busy
    scene.close()


def test_a_defect_ends_the_work_and_not_the_holder():
    class Broken:
        def begin(self):
            raise ZeroDivisionError("holds a secret")

    work = EpochWork(Broken, ENTROPY)
    ticket = work.epoch_begin().ticket
    work.wait(20)
    with pytest.raises(Exception, match=r"^ZeroDivisionError$"):
        work.work(ticket)


def test_without_a_root_there_is_no_change(tmp_path):
    scene = Scene(tmp_path, HOLDER)
    scene.client.seal_vault()
    with pytest.raises((Sealed, KeyHolderUnavailable)):
        scene.keeper.begin()
    scene.close()


def test_a_holder_that_changes_no_epoch_says_so(tmp_path):
    scene = Scene(tmp_path)
    with closing(HeldClient(scene.open, DEPLOYMENT)) as client, pytest.raises(Conflict):
        RemoteKeeper(client).begin()
    scene.close()


def test_a_holder_that_forgets_its_work_each_time_is_given_up(tmp_path):
    with closing(Scene(tmp_path, HOLDER, kept=0)) as scene, pytest.raises(KeyHolderUnavailable):
        scene.keeper.begin()


def test_patience_ends_and_the_work_goes_on(tmp_path):
    with closing(Scene(tmp_path, HOLDER)) as scene:
        with pytest.raises(KeyHolderUnavailable):
            RemoteKeeper(scene.client, patience=-1).begin()
        assert scene.keeper.begin().epoch == 0
