"""Any story of enrolling, retiring, recalling, growing, changing and crashing keeps its promises."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from keystore_adversary import DEK, ENTROPY, GEOMETRY, Connection, Crash, Scene

from vault.keys.keystore import open_keystore
from vault.keys.pagefile import PageFile

LIMIT = 100  # leaves given to people in one story


class Stories(RuleBasedStateMachine):
    """The model is a set: whom an erasure was asked for and not taken back."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.scene = Scene(self.folder)
        self.other = open_keystore(self.scene.path, self.scene.roots, "adversary")
        self.wrapped = {}
        self.trees = 1

    def teardown(self):
        if not hasattr(self, "folder"):
            return
        scene = self.scene
        scene.fuse.at = None
        try:
            assert scene.change()  # finishes what was left
            assert scene.change()  # takes what was queued meanwhile
            scene.snapshot()
            assert scene.leaked() == (set(), set())
            assert scene.lost() == {}
            self.everybody_is_served_who_should_be()
        finally:
            self.other.close()
            scene.close()
            shutil.rmtree(self.folder)

    def living(self):
        return sorted(self.scene.survivors())

    @precondition(lambda self: len(self.wrapped) < min(LIMIT, self.trees * GEOMETRY.leaves))
    @rule(count=st.integers(1, 6))
    def enrol(self, count):
        count = min(count, self.trees * GEOMETRY.leaves - len(self.wrapped))
        slots = self.scene.service.reserve(count)
        assert not set(slots) & set(self.wrapped)
        self.scene.enrol(slots)
        self.wrapped.update(zip(slots, self.other.wrap([(slot, DEK) for slot in slots]), strict=True))

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def retire(self, data):
        self.scene.erase(data.draw(st.lists(st.sampled_from(self.living()), min_size=1, max_size=4, unique=True)))

    @precondition(lambda self: self.scene.erased)
    @rule(data=st.data())
    def retire_again(self, data):
        self.other.retire([data.draw(st.sampled_from(sorted(self.scene.erased)))])

    @precondition(lambda self: self.scene.erased)
    @rule(data=st.data())
    def recall(self, data):
        slot = data.draw(st.sampled_from(sorted(self.scene.erased)))
        if self.other.recall([slot]) == [True]:
            self.scene.erased.discard(slot)
            for token in [token for token, of in self.scene.token_of.items() if of == slot]:
                del self.scene.old_tokens[token], self.scene.token_of[token]

    @rule()
    def change(self):
        self.scene.fuse.at = None
        assert self.scene.change()

    @rule(at=st.integers(0, 200))
    def change_and_crash(self, at):
        self.scene.fuse.count, self.scene.fuse.at = 0, at
        self.scene.change()
        self.scene.fuse.at = None
        self.scene.snapshot()

    @precondition(lambda self: self.trees < 3)
    @rule(at=st.one_of(st.none(), st.integers(0, 30)))
    def grow(self, at):
        file = PageFile(self.scene.path)
        raw, file._db = file._db, Connection(file._db, self.scene.fuse, self.scene.blobs)
        self.scene.fuse.count, self.scene.fuse.at = 0, at
        change = self.scene.kind(file, self.scene.roots, self.scene.places, clock=self.scene.clock, entropy=ENTROPY)
        try:
            change.grow()
        except Crash:
            self.scene.clock.at += 3600
        finally:
            raw.close()
            self.scene.fuse.at = None
        self.trees = self.scene.service.status().slots_total // GEOMETRY.leaves

    @rule()
    def start_another_process(self):
        self.other.close()
        self.other = open_keystore(self.scene.path, self.scene.roots, "adversary")

    @invariant()
    def everybody_is_served_who_should_be(self):
        if not hasattr(self, "folder"):
            return
        carried = self.pending()
        for service in (self.scene.service, self.other):
            found = service.unwrap(list(self.wrapped.items()))
            for slot, dek in zip(self.wrapped, found, strict=True):
                if slot not in carried:
                    assert (dek == DEK) is (slot not in self.scene.erased), slot

    def pending(self):
        """Recalled after the build, and not carried over yet: refused, and safe."""
        file = PageFile(self.scene.path)
        try:
            retiring = file.head().retiring
            return set() if retiring is None else {slot for slot, recalled in file.leaving(retiring) if recalled}
        finally:
            file.close()


TestStories = Stories.TestCase
TestStories.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
