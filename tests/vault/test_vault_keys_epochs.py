"""The change of epoch: five steps, each repeatable; recall until the last moment; nothing destroyed on a guess."""

from contextlib import closing

import pytest
from strict_roots import StrictRoots

from vault.errors import (
    Conflict,
    Damaged,
    KeyUnavailable,
    RootSurvives,
    Sealed,
    StoreUnavailable,
    TooFewCopies,
    WrongDeployment,
)
from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.local import KeyFileProvider
from vault.keys.pagefile import PageFile
from vault.keys.pagestore import ChangeState
from vault.keys.pagetree import Place, slot_number
from vault.keys.provider import DestructionClass, RootState
from vault.keys.service import SigningKey, Slot
from vault.runtime import SystemEntropy

DEPLOYMENT = "epoch-test"
ENTROPY = SystemEntropy()
DEK = bytes(range(32))


class Times:
    def __init__(self):
        self.at = 1_790_000_000

    def now(self):
        return self.at


class Scene:
    """A keystore with two places for copies, and whatever opens it."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "keys.db"
        self.clock = Times()
        self.roots = StrictRoots(ENTROPY, self.clock)
        create_keystore(self.path, self.roots, DEPLOYMENT, Geometry(4, 3), entropy=ENTROPY, clock=self.clock)
        self.places = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            self.places.append(FolderPlace(folder / name, ENTROPY))
        self.opened = []

    def service(self, path=None):
        service = open_keystore(path or self.path, self.roots, DEPLOYMENT)
        self.opened.append(service)
        return service

    def change(self, *, places=None, kind=EpochChange, path=None, **more):
        file = PageFile(path or self.path)
        self.opened.append(file)
        places = self.places if places is None else places
        return kind(file, self.roots, places, clock=self.clock, entropy=ENTROPY, **more)

    def state(self):
        with closing(PageFile(self.path)) as file:
            change = file.change()
            return None if change is None else change.state


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    for each in made.opened:
        each.close()


def wrapped(service, slots):
    return list(zip(slots, service.wrap([(slot, DEK) for slot in slots]), strict=True))


def all_leaves(count=64):
    return [Slot(leaf, 0) for leaf in range(count)]


def until(change, state, scene):
    while scene.state() is not state:
        assert change.step() is None


def test_a_whole_change_destroys_what_was_retired_and_nothing_else(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    gone = [Slot(5, 0), Slot(6, 0), Slot(63, 0)]
    service.retire(gone)
    (ref,) = scene.roots.live
    destroyed = change.run()
    assert (destroyed.epoch, destroyed.root_ref, destroyed.slots, destroyed.copies) == (0, ref, tuple(gone), 2)
    assert destroyed.destruction.destruction_class is DestructionClass.IMMEDIATE
    assert destroyed.destruction.effective_at == scene.clock.now()
    assert service.unwrap(items) == [None if slot in gone else DEK for slot, _ in items]
    assert scene.roots.status(ref).state is RootState.GONE
    status = service.status()
    assert (status.epoch, status.retired, status.retiring, status.change) == (1, 0, None, None)
    assert change.history() == [destroyed]
    with closing(open_keystore(scene.path, scene.roots, DEPLOYMENT)) as again:
        assert again.unwrap(items) == service.unwrap(items)
        assert again.alive([Slot(5, 0), Slot(5, 1), Slot(4, 0)]) == [False, True, True]


def test_a_change_without_anything_retired_rotates_the_root(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    public = [service.public_key(key) for key in SigningKey]
    macs, seals = service.mac("a", [b"m"]), service.seal("a", [(b"c", b"p")])
    for epoch in range(3):
        destroyed = change.run()
        assert (destroyed.epoch, destroyed.slots) == (epoch, ())
    assert len(scene.roots.destroyed) == 3
    assert service.unwrap(items) == [DEK] * 64
    assert [service.public_key(key) for key in SigningKey] == public
    assert (service.mac("a", [b"m"]), service.seal("a", [(b"c", b"p")])) == (macs, seals)


def test_the_steps_are_taken_one_by_one_and_seen_by_services(scene):
    service, change = scene.service(), scene.change()
    service.retire([Slot(5, 0)])
    seen = [service.status().change]
    while (done := change.step()) is None:
        seen.append(service.status().change)
        assert service.status().retiring == (0 if seen[-1] in {"built", "replicated"} else None)
    assert seen == [None, "prepared", "built", "replicated", "destroyed"]
    assert done.slots == (Slot(5, 0),)
    assert service.status().change is None


def test_erasing_leaf_after_leaf_leaves_the_others(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    gone = set()
    for leaf in (0, 63, 17, 16, 18):
        service.retire([Slot(leaf, 0)])
        gone.add(leaf)
        change.run()
        assert service.unwrap(items) == [None if slot.number in gone else DEK for slot, _ in items]
    service.retire([Slot(number, 1) for number in gone])
    assert len(change.run().slots) == 5
    assert service.alive([Slot(0, 1), Slot(0, 2), Slot(1, 0)]) == [False, True, True]


def test_what_names_no_leaf_leaves_the_queue_and_is_not_told(scene):
    service, change = scene.service(), scene.change()
    service.retire([Slot(5, 0)])
    change.run()
    service.retire([Slot(5, 0), Slot(7, 3), Slot(8, 0)])
    assert change.waiting() == 2  # what is known to be gone is not queued
    assert change.run().slots == (Slot(8, 0),)
    assert change.waiting() == 0


# Recall


def test_a_recall_from_the_queue_keeps_a_leaf_out_of_the_change(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    service.retire([Slot(5, 0), Slot(6, 0)])
    assert service.recall([Slot(5, 0)]) == [True]
    assert change.run().slots == (Slot(6, 0),)
    assert service.unwrap(items) == [None if slot.number == 6 else DEK for slot, _ in items]


@pytest.mark.parametrize("state", [ChangeState.BUILT, ChangeState.REPLICATED])
def test_a_recall_after_the_build_carries_the_leaf_over(scene, state):
    service, other, change = scene.service(), scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    service.retire([Slot(5, 0), Slot(6, 0), Slot(40, 0)])
    until(change, state, scene)
    assert other.recall([Slot(5, 0), Slot(40, 0), Slot(9, 0)]) == [True, True, True]
    assert service.alive([Slot(5, 0), Slot(9, 0)]) == [False, True]
    destroyed = change.run()
    assert destroyed.slots == (Slot(6, 0),)
    for each in (service, other, scene.service()):
        assert each.unwrap(items) == [None if slot.number == 6 else DEK for slot, _ in items]
    service.retire([Slot(5, 0)])
    assert change.run().slots == (Slot(5, 0),)


def test_a_recall_by_the_last_hook_is_heard_and_copied(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    service.retire([Slot(5, 0), Slot(6, 0)])
    calls = []

    def hold():
        calls.append(service.index_epochs())
        if len(calls) == 1:
            assert service.recall([Slot(5, 0)]) == [True]

    assert change.run(hold).slots == (Slot(6, 0),)
    assert calls == [(1, 0), (1, 0)]
    for place in scene.places:
        with closing(open_keystore(scene.folder / place.name / "keystore.copy", scene.roots, DEPLOYMENT)) as copy:
            assert copy.unwrap(items) == [None if slot.number == 6 else DEK for slot, _ in items]


def test_nothing_is_recalled_once_the_door_is_closed(scene):
    service, change = scene.service(), scene.change()
    service.retire([Slot(5, 0)])
    until(change, ChangeState.DESTROYED, scene)
    assert service.recall([Slot(5, 0)]) == [False]
    assert change.run().slots == (Slot(5, 0),)
    assert service.recall([Slot(5, 0)]) == [False]


def test_a_recall_between_the_hook_and_the_door_is_heard(scene):
    """The narrowest place: the hook is through, and the door is not closed."""
    service = scene.service()
    items = wrapped(service, all_leaves())
    service.retire([Slot(5, 0), Slot(6, 0)])

    class Late(EpochChange):
        late = True

        def _destroy(self, change):
            if self.late:
                self.late = False
                assert service.recall([Slot(5, 0)]) == [True]
            super()._destroy(change)

    assert scene.change(kind=Late).run().slots == (Slot(6, 0),)
    assert service.unwrap(items) == [None if slot.number == 6 else DEK for slot, _ in items]


def test_what_is_retired_during_a_change_waits_for_the_next(scene):
    service, change = scene.service(), scene.change()
    service.retire([Slot(5, 0)])
    until(change, ChangeState.REPLICATED, scene)
    service.retire([Slot(5, 0), Slot(6, 0)])
    assert change.run().slots == (Slot(5, 0),)
    assert service.status().retired == 1
    assert service.alive([Slot(6, 0)]) == [False]
    assert change.run().slots == (Slot(6, 0),)


def test_a_hook_that_fails_leaves_the_change_to_be_carried_on(scene):
    service, change = scene.service(), scene.change()
    service.retire([Slot(5, 0)])

    def fail():
        raise StoreUnavailable("the data store is away")

    with pytest.raises(StoreUnavailable):
        change.run(fail)
    assert scene.state() is ChangeState.REPLICATED
    assert len(scene.roots.live) == 2
    assert scene.change().run().slots == (Slot(5, 0),)
    assert scene.state() is None


# Search tokens


def test_search_tokens_move_on_while_the_old_epoch_retires_and_die_with_it(scene):
    service, change = scene.service(), scene.change()
    old = service.blind("a", [b"x", b"y"], 0)
    moved = []

    def move():
        assert service.index_epochs() == (1, 0)
        assert service.blind("a", [b"x", b"y"], 0) == old
        moved.extend(service.reblind(old, 0, 1))
        with closing(open_keystore(scene.path, scene.roots, DEPLOYMENT)) as late:
            assert late.index_epochs() == (1, 0)
            assert late.blind("a", [b"x", b"y"], 0) == old

    change.run(move)
    assert service.index_epochs() == (1,)
    assert service.blind("a", [b"x", b"y"], 1) == moved
    assert not set(moved) & set(old)
    with pytest.raises(KeyUnavailable):
        service.blind("a", [b"x"], 0)


# Refusals


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_places_refuse_before_anything_is_begun(scene, count):
    scene.service().retire([Slot(5, 0)])
    with pytest.raises(TooFewCopies):
        scene.change(places=scene.places[:count]).run()
    assert scene.state() is None
    assert len(scene.roots.live) == 1


def test_a_place_that_is_away_keeps_the_old_root_alive_until_it_is_back(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    service.retire([Slot(5, 0)])
    (scene.folder / "two").rename(scene.folder / "away")
    for _ in range(2):
        with pytest.raises(TooFewCopies):
            change.run()
    assert scene.state() is ChangeState.BUILT
    assert len(scene.roots.live) == 2
    assert service.unwrap(items) == [None if slot.number == 5 else DEK for slot, _ in items]
    assert service.recall([Slot(5, 0)]) == [True]
    (scene.folder / "away").rename(scene.folder / "two")
    assert change.run().slots == ()
    assert service.unwrap(items) == [DEK] * 64


def test_three_places_may_lose_one(scene):
    service = scene.service()
    service.retire([Slot(5, 0)])
    change = scene.change(places=[*scene.places, FolderPlace(scene.folder / "absent", ENTROPY)])
    assert change.run().copies == 2


def test_a_lease_lost_while_copying_is_no_fault_of_the_places(scene):
    """Whoever came meanwhile carries the change on; the one that was too slow says so, and not that copies are missing."""
    service = scene.service()
    items = wrapped(service, all_leaves())
    service.retire([Slot(5, 0)])

    class Slow(FolderPlace):
        def put(self, source, **how):
            scene.clock.at += 3600
            with closing(PageFile(scene.path)) as other:
                assert other.take_lease("other", scene.clock.at, scene.clock.at + 3600)
            super().put(source, **how)

    first, last = scene.places
    with pytest.raises(Conflict):
        scene.change(places=[first, Slow(scene.folder / last.name, ENTROPY)]).run()
    assert scene.state() is ChangeState.BUILT
    assert len(scene.roots.live) == 2
    scene.clock.at += 3600
    assert scene.change().run().slots == (Slot(5, 0),)
    assert service.unwrap(items) == [None if slot.number == 5 else DEK for slot, _ in items]


def test_copies_lost_between_two_runs_are_noticed(scene):
    scene.service().retire([Slot(5, 0)])
    until(scene.change(), ChangeState.REPLICATED, scene)
    (scene.folder / "two").rename(scene.folder / "away")
    with pytest.raises(TooFewCopies):
        scene.change().run()
    assert len(scene.roots.live) == 2


def test_two_places_of_one_name_are_refused(scene):
    with pytest.raises(ValueError):
        scene.change(places=[scene.places[0], scene.places[0]])


def test_a_damaged_copy_is_written_anew(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    change.run()
    copy = scene.folder / "one" / "keystore.copy"
    for damage in (lambda content: content[:5000], lambda content: content[:-3000] + bytes(3000), lambda _: b"x"):
        copy.write_bytes(damage(copy.read_bytes()))
        service.retire([Slot(5, 0)])
        assert change.run().copies == 2
        with closing(open_keystore(copy, scene.roots, DEPLOYMENT)) as opened:
            assert opened.unwrap(items) == service.unwrap(items)


def spoil(path, page):
    with closing(PageFile(path)) as file:
        spoilt = file._db.execute("UPDATE page SET body = zeroblob(length(body)) WHERE address = ?", (page.address,))
        assert spoilt.rowcount == 1


def test_of_a_large_copy_all_is_read_back_once_a_day_and_at_once_what_was_written(scene):
    service, change = scene.service(), scene.change(always_whole=0)
    copy = scene.folder / "one" / "keystore.copy"
    change.run()
    spoil(copy, Place(0, 0, 9))
    service.retire([Slot(5, 0)])
    change.run()
    with scene.places[0].opened() as opened:
        assert opened.unread()[0] == []
        assert not any(opened.page(Place(0, 0, 9).address, 0))  # not looked at
    scene.clock.at += 86_400
    change.run()
    with scene.places[0].opened() as opened:
        assert any(opened.page(Place(0, 0, 9).address, 0))


def test_what_a_dead_process_wrote_to_a_large_copy_is_read_back_by_the_next(scene):
    service, change = scene.service(), scene.change(always_whole=0)
    items = wrapped(service, all_leaves())
    change.run()
    service.retire([Slot(5, 0)])
    until(change, ChangeState.BUILT, scene)
    scene.places[0].put(change._store)  # written, and the process died
    with scene.places[0].opened() as opened:
        assert sorted(opened.unread()[0]) == [(Place(0, level, 0 if level else 1).address, 1) for level in range(3)]
    copy = scene.folder / "one" / "keystore.copy"
    spoil(copy, Place(0, 0, 1))
    assert scene.change(always_whole=0).run().copies == 2
    assert scene.service(copy).unwrap(items) == service.unwrap(items)


def test_a_damaged_page_stops_the_change_and_never_goes_over_a_sound_copy(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    change.run()
    damaged = Place(0, 0, 9).address
    with closing(PageFile(scene.path)) as file:
        file._db.execute("UPDATE page SET body = zeroblob(length(body)) WHERE address = ?", (damaged,))
    service.retire([Slot(5, 0)])
    with pytest.raises(Damaged):
        change.run()
    assert len(scene.roots.live) == 2
    for place in scene.places:
        with place.opened() as copy:
            body = copy.page(damaged, 0)
            assert body != bytes(len(body))
    with closing(PageFile(scene.path)) as file:
        file._db.execute("UPDATE page SET body = ? WHERE address = ?", (body, damaged))
    assert change.run().slots == (Slot(5, 0),)
    assert service.unwrap(items)[36:40] == [DEK] * 4


def test_a_leaf_in_a_page_that_does_not_open_is_not_called_erased(scene):
    service, change = scene.service(), scene.change()
    with closing(PageFile(scene.path)) as file:
        file._db.execute("DELETE FROM page WHERE address = ?", (Place(0, 0, 9).address,))
    service.retire([Slot(37, 0)])
    with pytest.raises(Damaged):
        change.run()
    assert scene.state() is ChangeState.PREPARED
    assert service.status().retired == 1


def test_a_copy_of_another_deployment_is_left_alone(scene, tmp_path):
    create_keystore(
        tmp_path / "one" / "keystore.copy", scene.roots, "other", Geometry(2, 1), entropy=ENTROPY, clock=scene.clock
    )
    content = (tmp_path / "one" / "keystore.copy").read_bytes()
    with pytest.raises(WrongDeployment):
        scene.places[0].put(PageFile(scene.path), anew=True)
    with pytest.raises(TooFewCopies):
        scene.change().run()
    assert (tmp_path / "one" / "keystore.copy").read_bytes() == content


class OneRoot(StrictRoots):
    """The mistake that cancels everything: one long-lived key under many names."""

    def _bound(self, ref, context):
        return context

    def create(self, ref):
        super().create(ref)
        first = next(iter([*self.destroyed.values(), *self.live.values()]))
        self.live[ref] = first


def test_a_provider_whose_roots_are_one_is_refused_before_anything_is_switched(tmp_path):
    scene = Scene(tmp_path)
    scene.roots.__class__ = StrictRoots
    one = OneRoot(ENTROPY, scene.clock)
    create_keystore(tmp_path / "one.db", one, DEPLOYMENT, Geometry(4, 2), entropy=ENTROPY, clock=scene.clock)
    scene.roots, scene.path = one, tmp_path / "one.db"
    with pytest.raises(RootSurvives):
        scene.change().run()
    assert scene.state() is ChangeState.PREPARED
    with closing(PageFile(scene.path)) as file:
        assert file.head().epoch == 0


@pytest.mark.parametrize("kept", ["opens", "live"])
def test_a_root_that_outlives_its_destruction_is_told(scene, kept):
    class Hoarding(StrictRoots):
        def destroy(self, ref):
            destruction = super().destroy(ref)
            self.live[ref] = self.destroyed.pop(ref)
            return destruction

        def unwrap(self, ref, wrapped, context):
            if kept == "live" and len(self.live) == 2 and ref == next(iter(self.live)):
                raise Sealed("not now")
            return super().unwrap(ref, wrapped, context)

    service, change = scene.service(), scene.change()
    service.retire([Slot(5, 0)])
    until(change, ChangeState.REPLICATED, scene)
    scene.roots.__class__ = StrictRoots
    hoarding = Hoarding(ENTROPY, scene.clock)
    hoarding.live = scene.roots.live
    change._provider = hoarding
    if kept == "live":
        change._verified = 1
    with pytest.raises(RootSurvives):
        change.run()
    assert scene.state() is ChangeState.DESTROYING
    assert change.history() == []


# The lease


def test_two_changes_do_not_run_at_once(scene):
    one, two = scene.change(), scene.change()

    def meddle():
        with pytest.raises(Conflict):
            two.run()
        with pytest.raises(Conflict):
            two.grow()

    scene.service().retire([Slot(5, 0)])
    assert one.run(meddle).slots == (Slot(5, 0),)
    two.run()


def test_a_lease_that_ended_is_taken_over_and_its_old_owner_writes_nothing_more(scene):
    one, two = scene.change(), scene.change()
    scene.service().retire([Slot(5, 0)])

    def sleep():
        scene.clock.at += 3600
        assert two.run().slots == (Slot(5, 0),)

    with pytest.raises(Conflict):
        one.run(sleep)
    assert len(scene.roots.live) == 1
    assert [each.epoch for each in one.history()] == [0]


# Growth


def test_trees_are_added_without_touching_pages(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    service.reserve(64)
    with pytest.raises(KeyUnavailable):
        service.reserve(1)
    with closing(PageFile(scene.path)) as file:
        before = {each.address: each for each in file.current_pages()}
        assert change.grow(2) == 192
        after = {each.address: each for each in file.current_pages()}
    assert {address: after[address] for address in before} == before
    slots = service.reserve(128)
    assert [slot.number for slot in slots] == [slot_number(tree, leaf) for tree in (1, 2) for leaf in range(64)]
    items += wrapped(service, slots)
    assert len({each for _, each in items}) == 192
    service.retire([Slot(slot_number(2, 7), 0), Slot(3, 0)])
    assert change.run().slots == (Slot(3, 0), Slot(slot_number(2, 7), 0))
    for opened in (service, scene.service(scene.folder / "two" / "keystore.copy")):
        found = opened.unwrap(items)
        assert [slot for (slot, _), dek in zip(items, found, strict=True) if dek is None] == [
            Slot(3, 0),
            Slot(slot_number(2, 7), 0),
        ]


def test_growth_in_the_middle_of_a_change_is_copied_before_the_root_goes(scene):
    service, change = scene.service(), scene.change()
    service.retire([Slot(5, 0)])
    until(change, ChangeState.REPLICATED, scene)
    change.grow()
    assert scene.state() is ChangeState.BUILT
    change.run()
    copy = scene.service(scene.folder / "one" / "keystore.copy")
    assert copy.status().slots_total == service.status().slots_total == 128


def test_growth_without_places_needs_none_and_with_a_place_away_says_so(scene):
    assert scene.change(places=[]).grow() == 128
    (scene.folder / "two").rmdir()
    with pytest.raises(TooFewCopies):
        scene.change().grow()


# Copies


def test_a_copy_is_the_current_epoch_and_opens_as_a_keystore(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    service.retire([Slot(5, 0)])
    change.run()
    for place in scene.places:
        (info,) = place.listed()
        assert (info.deployment, info.epoch) == (DEPLOYMENT, 1)
        copy = scene.folder / place.name / "keystore.copy"
        assert copy.stat().st_mode & 0o777 == 0o600
        assert {each.name for each in copy.parent.iterdir()} == {"keystore.copy"}
        opened = scene.service(copy)
        assert opened.unwrap(items) == service.unwrap(items)
        assert opened.status().change is None


def test_a_copy_taken_in_the_middle_carries_the_change_on(scene):
    """The live keystore is lost after the copies were made and before the old root went."""
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    service.retire([Slot(5, 0)])
    until(change, ChangeState.REPLICATED, scene)
    lost = scene.folder / "one" / "keystore.copy"
    (scene.folder / "three").mkdir()
    places = [scene.places[1], FolderPlace(scene.folder / "three", ENTROPY)]
    restored = scene.service(lost)
    assert restored.recall([Slot(5, 0)]) == [False]  # what could carry it over is lost
    destroyed = scene.change(path=lost, places=places).run()
    assert (destroyed.epoch, destroyed.slots) == (0, (Slot(5, 0),))
    assert len(scene.roots.live) == 1
    assert restored.unwrap(items) == [None if slot.number == 5 else DEK for slot, _ in items]


def test_an_older_copy_opens_no_more(scene):
    content = scene.path.read_bytes()
    scene.change().run()
    old = scene.folder / "old.db"
    old.touch(mode=0o600)
    old.write_bytes(content)
    with pytest.raises(Sealed):
        open_keystore(old, scene.roots, DEPLOYMENT)


# Services while it happens


def test_a_new_root_that_does_not_answer_leaves_the_old_view_in_service(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    service.retire([Slot(5, 0)])
    until(change, ChangeState.REPLICATED, scene)
    away = scene.roots.live.popitem()
    expected = [None if slot.number == 5 else DEK for slot, _ in items]
    assert service.unwrap(items) == expected
    assert service.index_epochs() == (0,)
    scene.roots.live.update([away])
    change.run()
    assert service.unwrap(items) == expected
    assert service.index_epochs() == (1,)


def test_a_root_that_does_not_answer_after_the_change_seals_until_it_does(scene):
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    change.run()
    away = scene.roots.live.popitem()
    for _ in range(2):
        with pytest.raises(Sealed):
            service.unwrap(items)
    scene.roots.live.update([away])
    assert service.unwrap(items) == [DEK] * 64


def test_pages_of_the_old_epoch_are_wiped_from_memory(scene):
    service, change = scene.service(), scene.change()
    service.retire([Slot(5, 0)])
    view = service._view
    service.wrap([(slot, DEK) for slot in all_leaves()])
    pages = [*view.tree._leaves._pages.values(), *view.tree._inner._pages.values()]
    assert pages
    change.run()
    assert any(any(page._bytes) for page in pages)
    service.refresh()
    assert not any(any(page._bytes) for page in pages)
    assert view.index == {}


def test_a_page_purged_in_the_middle_of_a_batch_is_found_again(scene):
    """A batch may be stopped for as long as a whole change takes."""
    service, change = scene.service(), scene.change()
    items = wrapped(service, all_leaves())
    service.close()
    service = scene.service()
    service.retire([Slot(9, 0)])
    fetch, fetched = service._view.tree._fetch, []

    def slow(address, generation):
        fetched.append(address)
        if len(fetched) == 4:
            change.run()
        return fetch(address, generation)

    service._view.tree._fetch = slow
    assert service.unwrap(items) == [None if slot.number == 9 else DEK for slot, _ in items]
    assert service.status().epoch == 1


# Parts that others rely on


def test_a_root_in_a_file_of_its_own_is_overwritten_and_gone(tmp_path):
    scene = Scene(tmp_path)
    scene.roots = KeyFileProvider(tmp_path / "roots", ENTROPY)
    scene.path = tmp_path / "local.db"
    create_keystore(scene.path, scene.roots, DEPLOYMENT, Geometry(4, 2), entropy=ENTROPY, clock=scene.clock)
    with closing(scene.service()) as service:
        items = wrapped(service, all_leaves(16))
        service.retire([Slot(5, 0)])
        destroyed = scene.change().run()
        assert destroyed.slots == (Slot(5, 0),)
        assert destroyed.destruction.destruction_class is DestructionClass.BEST_EFFORT
        assert service.unwrap(items) == [None if slot.number == 5 else DEK for slot, _ in items]
    fresh = KeyFileProvider(tmp_path / "roots", ENTROPY)
    assert fresh.status(destroyed.root_ref).state is RootState.GONE
    with closing(open_keystore(scene.path, fresh, DEPLOYMENT)) as again:
        assert again.unwrap(items) == [None if slot.number == 5 else DEK for slot, _ in items]
    for each in scene.opened[1:]:
        each.close()


def test_a_restored_keystore_gives_out_nothing_below_what_the_data_knows(scene):
    with closing(PageFile(scene.path)) as file:
        file.skip(40)
        file.skip(7)
    assert [slot.number for slot in scene.service().reserve(2)] == [40, 41]


def test_history_tells_of_every_epoch_that_ended(scene):
    service, change = scene.service(), scene.change()
    for leaf in (1, 2):
        service.retire([Slot(leaf, 0)])
        change.run()
    assert [(each.epoch, each.slots) for each in scene.change().history()] == [(0, (Slot(1, 0),)), (1, (Slot(2, 0),))]


def test_the_lease_is_kept_through_a_build_that_takes_longer_than_it_lasts(scene):
    """Each page takes ten seconds; somebody else is after the lease the whole time, and never gets it."""
    service = scene.service()
    rival = PageFile(scene.path)
    scene.opened.append(rival)
    service.retire(all_leaves())
    begun, had = scene.clock.at, []

    class Slow(PageFile):
        def page(self, address, generation):
            if not self._db.in_transaction:  # a copy has its time beforehand
                scene.clock.at += 10
                had.append(rival.take_lease("rival", scene.clock.at, scene.clock.at + 1000))
            return super().page(address, generation)

    slow = Slow(scene.path)
    scene.opened.append(slow)
    change = EpochChange(slow, scene.roots, scene.places, clock=scene.clock, entropy=ENTROPY)
    assert len(change.run().slots) == 64
    assert scene.clock.at - begun > 360
    assert had
    assert not any(had)
    scene.clock.at += 1
    assert rival.take_lease("rival", scene.clock.at, scene.clock.at + 1)  # given back at the end


def test_a_build_that_lost_its_lease_all_the_same_writes_nothing(scene):
    """The machine was asleep in the middle of a page."""
    service = scene.service()
    rival = PageFile(scene.path)
    scene.opened.append(rival)
    service.retire(all_leaves())

    class Asleep(PageFile):
        def page(self, address, generation):
            scene.clock.at += 1000
            rival.take_lease("rival", scene.clock.at, scene.clock.at + 1000)
            return super().page(address, generation)

    asleep = Asleep(scene.path)
    scene.opened.append(asleep)
    change = EpochChange(asleep, scene.roots, scene.places, clock=scene.clock, entropy=ENTROPY)
    with pytest.raises(Conflict):
        change.run()
    assert scene.state() is ChangeState.PREPARED
    assert rival.head().epoch == 0
    assert len(rival.retired()) == 64
