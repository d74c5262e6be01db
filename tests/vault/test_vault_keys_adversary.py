"""Whoever holds every byte ever written and every root left learns nothing of the erased, wherever it crashed."""

from dataclasses import replace

import psycopg
import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from keystore_adversary import ENTROPY, FusedRoots, Scene, slot

from vault.errors import Damaged, IntegrityFailure, Sealed
from vault.keys.epochs import EpochChange
from vault.keys.redraw import Leaf, Redraw

ROUNDS = ([slot(1), slot(2)], [slot(3), slot(20)], [slot(9), slot(12), slot(26)])


def story(scene, crash_at=None):
    """Three erasures; the process of the second change is ended before its event number `crash_at`.

    Slot 1 is given to somebody else after its first owner was erased, and the erasure of that one is repeated, as a
    reconciler does that does not know how far it came. Returns how many events the second change took.
    """
    scene.enrol([slot(leaf) for leaf in range(27)])
    taken = 0
    for number, gone in enumerate(ROUNDS):
        scene.erase(gone)
        scene.fuse.count = 0
        scene.fuse.at = crash_at if number == 1 else None
        if not scene.change():
            scene.fuse.at = None
            scene.snapshot()
            assert whole_somewhere(scene)
            assert scene.service.alive(gone) == [False] * len(gone)
            assert scene.change()
        if number == 1:
            taken = scene.fuse.count
        scene.fuse.at = None
        scene.snapshot()
        scene.back_up()
        if number == 0:
            reuse(scene, slot(1))
    return taken


def reuse(scene, old):
    """Give the place of an erased leaf to somebody else, at the generation that it has now."""
    (again,) = (each for each in (old, slot(1, 1)) if scene.service.alive([each]) == [True])
    scene.reused = again
    if again == old:  # only a mutant's
        scene.erased.discard(old)
    scene.enrol([again])
    scene.service.retire([old])
    assert scene.service.alive([again]) == [True]


def whole_somewhere(scene):
    """Whether somebody who lost the live keystore at this moment could have it again."""
    wanted = len(scene.survivors())
    return any(scene.held(path) == wanted for path in list(scene.sources())[1:])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def home_of(request):
    """Where a scene's keystore lives: in its folder, or in a database that is emptied for each."""
    if request.param == "sqlite":
        return lambda: None
    address = request.getfixturevalue("empty_base")()

    def emptied():
        with psycopg.connect(address.set(drivername="postgresql").render_as_string(hide_password=False)) as db:
            db.execute("DROP SCHEMA IF EXISTS ecrin_keystore CASCADE")
        return address

    return emptied


@pytest.fixture
def scenes(tmp_path, home_of):
    made = []

    def make(**kinds):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        for each in made:
            each.close()  # one database serves one scene
        made.append(Scene(folder, home=home_of(), **kinds))
        return made[-1]

    yield make
    for scene in made:
        scene.close()


def test_nothing_leaks_and_nothing_is_lost(scenes):
    scene = scenes()
    story(scene)
    assert len(scene.erased) == 7
    assert scene.leaked() == (set(), set())
    assert scene.lost() == {}


def test_the_adversary_is_not_blind(scenes):
    """The positive control: had the old roots been kept, everything would be known."""
    scene = scenes()
    story(scene)
    leaves, terms = scene.leaked({*scene.roots.live.values(), *scene.roots.destroyed.values()})
    assert leaves == terms == scene.erased
    known = scene.leaked(set())
    assert known == (set(), set())


def events(tmp_path_factory):
    folder = tmp_path_factory.mktemp("count")
    scene = Scene(folder)
    try:
        return story(scene)
    finally:
        scene.close()


@pytest.mark.parametrize("part", range(8))
def test_wherever_it_crashes_nothing_leaks_and_nothing_is_lost(scenes, tmp_path_factory, home_of, part):
    total = events(tmp_path_factory)
    assert total > 100
    # A database takes seconds for a story: one crash in seven there, of all on the file, whose verbs are the same code.
    for at in range(part, total, 8 if home_of() is None else 56):
        scene = scenes()
        story(scene, at)
        assert scene.leaked() == (set(), set()), at
        assert scene.lost() == {}, at
        scene.close()


# Mutants: each is one mistake that was thought of, and the same story must show it


class ReusedPageKey(EpochChange):
    """Draws the leaf anew, and seals the page that held it under the key it had."""

    def _redraw(self, opened):
        class Reusing(Redraw):
            def _page_key(self, key):
                return bytes(key)

        return _as(Reusing, super()._redraw(opened))


class ReusedBelowTheRoot(EpochChange):
    """Draws leaf and root page key anew, and keeps the page keys between."""

    def _redraw(self, opened):
        class Reusing(Redraw):
            def _page_key(self, key):
                return super()._page_key(key) if bytes(key) in roots else bytes(key)

        roots = {root.key for root in opened.top.roots}
        return _as(Reusing, super()._redraw(opened))


class KeptLeaf(EpochChange):
    """Steps the generation and keeps the key: denied by everybody, destroyed by nobody."""

    def _redraw(self, opened):
        class Keeping(Redraw):
            def _next_leaf(self, key, generation):
                return Leaf(bytes(key), generation + 1)

        return _as(Keeping, super()._redraw(opened))

    def _prove_survivors(self, head, current):
        pass


class KeptIndexKey(EpochChange):
    """Takes the index key along."""

    def _drawn(self, name, change, old, drawn):
        new = super()._drawn(name, change, old, drawn)
        return replace(new, top=replace(new.top, index_key=old.top.index_key))


class Escrowed(FusedRoots):
    """Wraps each root under a recovery key that somebody keeps for bad days, and leaves what comes of it in storage."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self.escrow = ENTROPY.bytes(32)

    def create(self, ref):
        super().create(ref)
        self.blobs.wrapped.add(aes_key_wrap(self.escrow, self.live[ref]))

    def keys(self):
        return super().keys() | {self.escrow}


class SkippedCopies(EpochChange):
    """Destroys before the copies hold the next epoch."""

    def _replicate(self):
        head = self._store.head()
        self._store.replicated(self._lease.owner, head.structure, 2)
        self._verified = head.structure

    def _record(self, change):
        places, self._copies = self._copies, ()
        try:
            return super()._record(change)
        finally:
            self._copies = places


class StuckGeneration(EpochChange):
    """Draws the leaf anew and leaves its generation: the old name then means somebody else."""

    def _redraw(self, opened):
        class Sticking(Redraw):
            def _next_leaf(self, key, generation):
                return Leaf(super()._next_leaf(key, generation).key, generation)

        return _as(Sticking, super()._redraw(opened))

    def _prove_survivors(self, head, current):
        pass


def _as(kind, redraw):
    redraw.__class__ = kind
    return redraw


@pytest.mark.parametrize("mutant", [ReusedPageKey, ReusedBelowTheRoot, KeptLeaf])
def test_a_mutant_that_keeps_a_key_leaks_every_leaf(scenes, mutant):
    scene = scenes(kind=mutant)
    story(scene)
    leaves, _ = scene.leaked()
    assert leaves
    if mutant is not ReusedBelowTheRoot:
        assert leaves == scene.erased


def test_a_mutant_that_keeps_the_index_key_lets_old_tokens_be_tested(scenes):
    scene = scenes(kind=KeptIndexKey)
    story(scene)
    leaves, terms = scene.leaked()
    assert (leaves, terms) == (set(), scene.erased)


def test_a_forgotten_escrow_opens_everything(scenes):
    """Nobody hands over a root: the closure finds each in its wrap, among all other blobs."""
    scene = scenes(roots=Escrowed)
    story(scene)
    gone = set(scene.roots.destroyed.values())
    assert len(gone) == len(ROUNDS)
    assert not gone & scene.roots.keys()
    leaves, terms = scene.leaked()
    assert leaves == terms == scene.erased
    assert scene.leaked(scene.roots.keys() - {scene.roots.escrow}) == (
        set(),
        set(),
    )  # without the key the wraps are noise


def test_a_mutant_that_destroys_before_it_copies_loses_the_living(scenes):
    scene = scenes(kind=SkippedCopies)
    story(scene)
    assert scene.lost() == {"keystore.copy": len(scene.survivors())}
    assert not whole_somewhere_of_older(scene)


def whole_somewhere_of_older(scene):
    return any(scene.held(path) for path in list(scene.sources())[1:-1])


def test_a_mutant_that_does_not_step_generations_confuses_two_people(scenes):
    """The erasure of the second owner of a slot is taken for that of the first, which was done long ago."""
    scene = scenes(kind=StuckGeneration)
    story(scene)
    assert scene.reused == slot(1)
    scene.service.retire([scene.reused])
    scene.erased.add(scene.reused)
    assert scene.change()
    scene.snapshot()
    leaves, _ = scene.leaked()
    assert leaves == {scene.reused}


def test_the_second_owner_of_a_slot_is_erased_for_himself(scenes):
    scene = scenes()
    story(scene)
    assert scene.reused == slot(1, 1)
    scene.erase([scene.reused])
    assert scene.change()
    scene.snapshot()
    assert scene.leaked() == (set(), set())
    assert scene.lost() == {}


@pytest.mark.parametrize("mutant", [KeptLeaf, StuckGeneration])
def test_mistakes_in_leaves_are_found_before_the_root_goes(scenes, mutant):
    """With the production check in place these two never get as far as destroying."""
    checked = type("Checked", (mutant,), {"_prove_survivors": EpochChange._prove_survivors})
    scene = scenes(kind=checked)
    scene.enrol([slot(leaf) for leaf in range(27)])
    scene.erase([slot(1)])
    with pytest.raises(Damaged):
        scene.change()
    assert len(scene.roots.live) == 2


def test_the_roots_of_these_tests_refuse_what_a_good_provider_must(scenes):
    roots = scenes().roots
    (ref,) = roots.live
    wrapped = roots.wrap(ref, bytes(32), b"context")
    with pytest.raises(IntegrityFailure):
        roots.unwrap(ref, wrapped, b"another")
    roots.destroy(ref)
    for verb in (roots.wrap, roots.unwrap):
        for unknown in ("00" * 16, ref):
            with pytest.raises(Sealed):
                verb(unknown, bytes(32), b"context")
    with pytest.raises(Sealed):
        roots.create(ref)
    with pytest.raises(Sealed):
        roots.destroy("00" * 16)
