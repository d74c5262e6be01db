"""Whoever holds every byte ever written and every root that still exists; and a keystore that crashes where it is told.

The adversary knows all formats, so where a blob stood tells it what to try; it tries every key it knows on every blob,
until nothing new opens. The scene records what is handed to a database, committed or not: more than any backup holds.
"""

import itertools
from contextlib import closing, contextmanager, suppress

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from strict_roots import StrictRoots, open_wrapped

from vault.errors import IntegrityFailure, VaultError
from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.home import open_store
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.message import bind, open_message
from vault.keys.pagefile import create_file
from vault.keys.pagestore import EpochRow, PageRow
from vault.keys.pagetree import OpenPage, Place, page_context, slot_number, split_slot
from vault.keys.service import Slot
from vault.keys.servicekeys import IndexKey, ServiceKeys
from vault.keys.toppage import TopPage, root_context
from vault.runtime import SystemEntropy

DEPLOYMENT = "adversary"
DOMAIN = DEPLOYMENT.encode()
ENTROPY = SystemEntropy()
GEOMETRY = Geometry(3, 3)  # 27 leaves in 9 pages under 4
DEK = bytes(range(32))
LABEL = "search/aurelle/email/1"


class Crash(BaseException):
    """The process is gone."""


class Fuse:
    """Counts what is done to stores and provider, and ends the process before number `at` of it."""

    def __init__(self):
        self.count = 0
        self.at = None

    def burn(self):
        if self.at is not None and self.count >= self.at:
            raise Crash
        self.count += 1


class Connection:
    """A store's connection that records what it is given and dies with the fuse."""

    def __init__(self, db, fuse, blobs):
        self._db, self._fuse, self._blobs = db, fuse, blobs

    def __getattr__(self, name):
        return getattr(self._db, name)

    def execute(self, statement, values=()):
        self._fuse.burn()
        self._blobs.take(statement, values)
        return self._db.execute(statement, values)

    def executemany(self, statement, rows):
        self._fuse.burn()

        def watched():
            for row in rows:
                self._fuse.burn()
                self._blobs.take(statement, row)
                yield row

        return self._db.executemany(statement, watched())


class Blobs:
    """Everything sealed that was ever stored: pages and epochs, and keys wrapped by some other key (RFC 3394)."""

    def __init__(self):
        self.pages, self.epochs, self.wrapped = set(), set(), set()

    def take(self, statement, values):
        if "INTO page" in statement:
            self.pages.add(PageRow(*values))
        elif "INTO epoch" in statement:
            self.epochs.add(EpochRow(*values))
        elif "UPDATE epoch SET top" in statement:
            self.epochs.update(row._replace(top=values[0]) for row in list(self.epochs) if row.epoch == values[1])

    def snapshot(self, home):
        with suppress(VaultError), closing(open_store(home)) as store:
            self.pages.update(map(PageRow._make, store._db.execute("SELECT address, generation, body FROM page")))
            self.epochs.update(
                map(EpochRow._make, store._db.execute("SELECT epoch, root_ref, top_key, top, service FROM epoch"))
            )


class FusedRoots(StrictRoots):
    """Roots that the fuse may part from whoever asks, before and after each answer. `blobs`: what they leave in storage."""

    def __init__(self, entropy, clock, fuse, blobs):
        super().__init__(entropy, clock)
        self._fuse, self.blobs = fuse, blobs

    def keys(self):
        """Every key that still exists."""
        return set(self.live.values())


def _fused(verb):
    def call(self, *args):
        self._fuse.burn()
        answer = getattr(StrictRoots, verb)(self, *args)
        self._fuse.burn()
        return answer

    return call


for _verb in ("create", "wrap", "unwrap", "status", "destroy"):
    setattr(FusedRoots, _verb, _fused(_verb))


class FusedPlace(FolderPlace):
    """A place whose copies are written through a recording, fused connection."""

    def __init__(self, folder, fuse, blobs):
        super().__init__(folder, ENTROPY)
        self._fuse, self._blobs = fuse, blobs

    @contextmanager
    def opened(self):
        with super().opened() as copy:
            copy._db = Connection(copy._db, self._fuse, self._blobs)
            try:
                yield copy
            finally:
                copy._db = copy._db._db

    def _write(self, source):
        self._fuse.burn()
        super()._write(source)
        self._fuse.burn()


class Times:
    def __init__(self):
        self.at = 1_790_000_000

    def now(self):
        return self.at


class Scene:
    """A keystore under attack: people with leaves and search tokens, some of whom are erased."""

    def __init__(self, folder, kind=EpochChange, roots=FusedRoots, home=None):
        self.folder, self.kind = folder, kind
        self.path = folder / "keys.db"
        self.home = home or self.path
        self.clock, self.fuse, self.blobs = Times(), Fuse(), Blobs()
        self.roots = roots(ENTROPY, self.clock, self.fuse, self.blobs)
        create_keystore(self.home, self.roots, DEPLOYMENT, GEOMETRY, entropy=ENTROPY, clock=self.clock)
        self.places = []
        for name in ("one", "two"):
            (folder / name).mkdir(exist_ok=True)
            self.places.append(FusedPlace(folder / name, self.fuse, self.blobs))
        self.blobs.snapshot(self.home)
        self.service = open_keystore(self.home, self.roots, DEPLOYMENT)
        self.leaves = {}  # slot -> key, for all that was ever given to somebody
        self.erased = set()
        self.old_tokens = {}  # token -> epoch
        self.token_of = {}  # token -> slot
        self.backups = []
        self.back_up()

    def close(self):
        self.fuse.at = None
        self.service.close()

    def back_up(self):
        """Keep the keystore as it is now: the file, or a file of the database."""
        if self.home is not self.path:
            self.path.unlink(missing_ok=True)
            with closing(open_store(self.home)) as store, store.reading():
                create_file(self.path, "backup", store.rows(), store.current_pages())
        self.backups.append(self.path.read_bytes())

    def enrol(self, slots):
        """Give leaves to people, and note what a thief would like to know."""
        for slot in slots:
            tree, leaf = split_slot(slot.number)
            position, child = divmod(leaf, GEOMETRY.fanout)
            assert self.service.alive([slot]) == [True]
            self.leaves[slot] = bytes(self.service._view.tree.leaf_page(tree, position).key(child))

    def erase(self, slots):
        """Ask for erasure: from now on nobody gets the leaf."""
        (epoch, *_) = self.service.index_epochs()
        for slot in slots:
            (token,) = self.service.blind(LABEL, [self.term(slot)], epoch)
            self.old_tokens[token] = epoch
            self.token_of[token] = slot
        self.service.retire(slots)
        self.erased.update(slots)
        assert self.service.alive(slots) == [False] * len(slots)

    @staticmethod
    def term(slot):
        return f"{slot.number}.{slot.generation}@example.com".encode()

    def change(self):
        """Run a change in a process of its own, which the fuse may end: then nothing of it is left but what is stored."""
        file = open_store(self.home)
        raw, file._db = file._db, Connection(file._db, self.fuse, self.blobs)
        change = self.kind(file, self.roots, self.places, clock=self.clock, entropy=ENTROPY)
        try:
            change.run()
        except Crash:
            self.clock.at += 3600  # the lease of a dead process ends
            return False
        else:
            return True
        finally:
            raw.close()

    def snapshot(self):
        for path in (self.home, *(self.folder / place.name / "keystore.copy" for place in self.places)):
            self.blobs.snapshot(path)

    def survivors(self):
        return {slot: key for slot, key in self.leaves.items() if slot not in self.erased}

    def sources(self):
        """Every place from which the keystore could be had again: itself, copies, old backups of it."""
        yield self.home
        for place in self.places:
            yield self.folder / place.name / "keystore.copy"
        for number, content in enumerate(self.backups):
            old = self.folder / f"backup-{number}"
            if not old.exists():
                old.touch(mode=0o600)
                old.write_bytes(content)
            yield old

    def held(self, path):
        """How many survivors a keystore file opens with the roots that still exist."""
        try:
            service = open_keystore(path, self.roots, DEPLOYMENT)
        except VaultError:
            return 0
        try:
            wanted = self.survivors()
            with_new = service.wrap([(slot, DEK) for slot in wanted])
            return sum(one == aes_key_wrap(key, DEK) for one, key in zip(with_new, wanted.values(), strict=True))
        finally:
            service.close()

    # What is asked of every story

    def leaked(self, keys=None):
        """What the adversary learns of the erased: leaves, and search terms that match an old token."""
        known, services = closure(self.blobs, self.roots.keys() if keys is None else keys)
        leaves = {slot for slot in self.erased if self.leaves[slot] in known}
        terms = set()
        for service in services:
            mac = ServiceKeys(service).hmac(LABEL)
            for slot in self.erased:
                keyed = mac.copy()
                keyed.update(self.term(slot))
                block = keyed.finalize()[:16]
                terms.update(slot for key in known if IndexKey(key).blind(block) in self.old_tokens)
        return leaves, terms

    def lost(self):
        """Survivors that the live keystore, or any of two copies, does not open."""
        wanted = len(self.survivors())
        return {
            getattr(path, "name", "database"): wanted - held
            for path in itertools.islice(self.sources(), 3)
            if (held := self.held(path)) != wanted
        }


def closure(blobs, keys, domain=DOMAIN, fanout=GEOMETRY.fanout):
    """Try every known key on every blob until nothing new opens. Returns keys, and service keys that opened."""
    known = set(keys)
    pages, epochs, wrapped, services = set(blobs.pages), set(blobs.epochs), set(blobs.wrapped), set()
    fresh = set(known)
    while fresh:
        found = set()
        for key in fresh:
            for row in epochs:
                found |= _top(key, row, domain)
                with suppress(IntegrityFailure):
                    services.add(open_message(key, _part(b"ecrin/service-keys/v1", row.epoch, domain), row.service))
            for row in pages:
                with suppress(IntegrityFailure):
                    context = page_context(domain, Place.at(row.address), row.generation)
                    page = OpenPage(open_message(key, context, row.body), fanout)
                    found.update(bytes(page.key(child)) for child in range(fanout))
            for each in wrapped:
                with suppress(InvalidUnwrap):
                    found.add(aes_key_unwrap(key, each))
        fresh = found - known
        known |= fresh
    return known, services


def _part(label, epoch, domain):
    return bind(label, domain, epoch.to_bytes(8, "big"))


def _top(key, row, domain):
    """What a key opens of an epoch: as its root, and as its top key."""
    found = set()
    with suppress(IntegrityFailure):
        found.add(
            open_wrapped(key, row.top_key, bind(b"strict", row.root_ref.encode(), root_context(domain, row.epoch)))
        )
    with suppress(IntegrityFailure):
        top = TopPage.decode(open_message(key, _part(b"ecrin/top-page/v2", row.epoch, domain), row.top))
        found |= {top.service_key, top.index_key, *(root.key for root in top.roots)}
    return found


def slot(leaf, generation=0, tree=0):
    return Slot(slot_number(tree, leaf), generation)
