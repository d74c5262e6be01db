"""A whole vault on the brink of an epoch change, brought back to it as often as wanted, and an adversary who holds all of it.

A process is ended before any event: a statement to the keystore, to a copy of it or to the data, a COMMIT, a verb of the
root's provider (also between its effect and its answer). Nothing is left of it but what is stored; another one comes,
looks, and carries on. The adversary has every byte of every moment, committed or not, of the keystore and its copies, all
that was ever committed to the data, and the roots that are left.
"""

import shutil
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import psycopg
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from erasure_scene import DPO
from keystore_adversary import Connection, Crash
from maison_people import find_all, person, rows, take_in, value
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.engine import make_url
from strict_roots import StrictRoots
from test_vault_erasure_adversary import (
    DEPLOYMENT,
    FIRST,
    HELD,
    IMPORTED,
    OTHER,
    SECOND,
    VICTIM,
    Adversary,
    contains,
    opened_log_keys,
)
from test_vault_erasure_remembered import load, registered, resolved, write

from vault import envelope
from vault.erasure import epochrun, requests
from vault.errors import VaultError
from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.home import open_store
from vault.keys.keystore import open_keystore
from vault.keys.pagefile import create_file
from vault.keys.pagetree import Geometry, split_slot
from vault.keys.service import Slot
from vault.rotation.rekeying import rekey_all
from vault.runtime import SystemEntropy
from vault.setup import Place, initialise, open_vault

SHAPE = Geometry(4, 3)  # 64 leaves in 16 pages under 4 under 1
ENTROPY = SystemEntropy()
LEASE = 600


class Hand:
    """A clock that stands until it is turned."""

    def __init__(self):
        self.seconds = 1_790_000_000

    def now(self):
        return self.seconds

    def advance(self, seconds):
        self.seconds += seconds


class Fuse:
    """Counts events and ends the process before number `at`. `lasting`: the events before which something came to last."""

    def __init__(self):
        self.count, self.at, self.lasting = 0, None, {0}

    def burn(self):
        if self.at is not None and self.count >= self.at:
            raise Crash
        self.count += 1

    def lasts(self):
        self.lasting.add(self.count)


class Watched(Connection):
    """A keystore's connection that says what came to last: a COMMIT, or what is written outside of a transaction."""

    def execute(self, statement, values=()):
        alone = not self._db.in_transaction
        done = super().execute(statement, values)
        if statement == "COMMIT" or (alone and statement.split(maxsplit=1)[0] in {"INSERT", "UPDATE", "DELETE"}):
            self._fuse.lasts()
        return done


class WatchedPlace(FolderPlace):
    """A folder for a copy, whose writes are events."""

    def __init__(self, folder, fuse, blobs):
        super().__init__(folder, ENTROPY)
        self._fuse, self._blobs = fuse, blobs

    @contextmanager
    def opened(self):
        with super().opened() as copy:
            raw, copy._db = copy._db, Watched(copy._db, self._fuse, self._blobs)
            try:
                yield copy
            finally:
                copy._db = raw

    def _write(self, source):
        self._fuse.burn()
        super()._write(source)
        self._fuse.lasts()
        self._fuse.burn()


class Roots(StrictRoots):
    """Roots whose verbs are events. `escrowed`: each as a recovery key would have it, in no storage but that of a mutant."""

    def __init__(self, clock, fuse, other=None):
        super().__init__(ENTROPY, clock)
        self.escrow = other.escrow if other else ENTROPY.bytes(32)
        self.escrowed = set(other.escrowed) if other else set()
        self.fuse = fuse
        if other:
            self.live, self.destroyed = dict(other.live), dict(other.destroyed)

    def create(self, ref):
        self._lasting(super().create, ref)
        self.escrowed.add(aes_key_wrap(self.escrow, self.live[ref]))
        self.fuse.burn()

    def destroy(self, ref):
        destruction = self._lasting(super().destroy, ref)
        self.fuse.burn()
        return destruction

    def unwrap(self, ref, wrapped, context):
        self.fuse.burn()
        return super().unwrap(ref, wrapped, context)

    def _lasting(self, verb, ref):
        self.fuse.burn()
        answer = verb(ref)
        self.fuse.lasts()
        return answer


class Rows:
    """The rows of a PostgreSQL schema, kept and brought back: a tenth of what a database made anew would take."""

    def __init__(self, url, schema):
        self.address, self.schema = (
            make_url(url).set(drivername="postgresql").render_as_string(hide_password=False),
            schema,
        )
        self.kept = {}
        with psycopg.connect(self.address) as db:
            names = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
            for (name,) in names:
                with db.cursor().copy(self._of("COPY {} TO STDOUT (FORMAT BINARY)", name)) as copy:
                    self.kept[name] = b"".join(bytes(each) for each in copy)

    def bring_back(self):
        with psycopg.connect(self.address) as db:
            db.execute("SET session_replication_role = replica")  # tables in any order
            for name, kept in self.kept.items():
                db.execute(self._of("DELETE FROM {}", name))
                with db.cursor().copy(self._of("COPY {} FROM STDIN (FORMAT BINARY)", name)) as copy:
                    copy.write(kept)

    def _of(self, statement, name):
        return sql.SQL(statement).format(sql.Identifier(self.schema, name))


@dataclass
class Victims:
    """Whom the attack is about. `gone` go as a whole, of `part` one field does; `leaves` are the keys of `slots`, which go."""

    gone: tuple
    part: bytes
    stays: bytes
    log_keys: dict
    slots: tuple
    leaves: frozenset


class Brink:
    """A deployment of four people, of whom two go and of a third a field: all is asked for, and nothing has begun.

    Before, everybody was moved to other leaves and an epoch has ended, so that there are old copies of everything.
    `database`, `keystore`: PostgreSQL databases, or None for files.
    """

    def __init__(self, folder, bundle, database=None, keystore=None):
        self.folder, self.bundle, self.clock = folder, bundle, Hand()
        clock = self.clock
        self.database, self.keystore = database, keystore
        self.home, self.count, self.old, self._moments = folder / "home", 0, (), None
        self.home.mkdir()
        begun = Life(self, self.home)
        initialise(begun.place, DEPLOYMENT, clock=clock, entropy=ENTROPY, geometry=SHAPE)
        with closing(begun):
            self.victims = self._story(begun)
        self.roots, self.adversary, self.now = begun.roots, begun.adversary, clock.seconds
        self.old = (keystore_file(begun.place.keystore, folder / "old.keystore"),)
        self.kept = [Rows(self.database, "public")] if database else []
        self.kept += [Rows(keystore.render_as_string(hide_password=False), "ecrin_keystore")] if keystore else []

    @staticmethod
    def _story(life):
        vault = life.open()
        registered(vault)
        goes, part = write(vault, VICTIM), write(vault, HELD)
        (row,) = load(vault, IMPORTED)
        (stays,) = take_in(vault, person(OTHER))
        life.look()
        list(rekey_all(vault))
        life.look()
        life.run(anyway=True)
        life.look()  # a backup of the epoch that is to end
        gone, part = (resolved(vault, goes), resolved(vault, row)), resolved(vault, part)
        log_keys, before = opened_log_keys(vault), hung(vault)
        leaves = {slot: leaf(vault, slot) for slot in before}
        asked = [requests.Erase(each, DPO) for each in gone]
        asked.append(requests.of_field(vault.bundle.catalogue, part, "email", DPO))
        assert not [each for each in requests.erase(vault, asked) if isinstance(each, Exception)]
        life.look()
        slots = tuple(before - hung(vault))
        return Victims(gone, part, stays.subject, log_keys, slots, frozenset(leaves[slot] for slot in slots))

    def moments(self):
        """The events at which something that was not before is stored, in a run that nobody ends."""
        if self._moments is None:
            life = self.life()
            with closing(life):
                life.attacked()
                self._moments = sorted(each for each in life.fuse.lasting if each < life.events)
        return self._moments

    def life(self, kind=EpochChange, at=None):
        """Bring all of it back as it was, with a process that is ended before event `at`."""
        self.count += 1
        folder = self.folder / f"life-{self.count}"
        shutil.copytree(self.home, folder)
        for each in self.kept:
            each.bring_back()
        self.clock.seconds = self.now
        return Life(self, folder, kind, at)


class Life:
    """One life of the deployment, from the brink on; whoever closes it leaves nothing of it."""

    def __init__(self, brink, folder, kind=EpochChange, at=None):
        self.brink, self.folder, self.kind, self.fuse = brink, folder, kind, Fuse()
        self.fuse.at = at
        self.roots = Roots(brink.clock, self.fuse, getattr(brink, "roots", None))
        database = brink.database or f"sqlite:///{folder}/data.db"
        self.place = Place(database, brink.keystore or folder / "vault.keystore", self.roots)
        folders = [folder / name for name in ("copy-one", "copy-two")]
        for each in folders:
            each.mkdir(exist_ok=True)
        self.copies = [each / "keystore.copy" for each in folders]
        self.adversary = Adversary(None, self.place.keystore, self.copies, SHAPE.fanout)
        if hasattr(brink, "adversary"):
            self.adversary.learn_of(brink.adversary)
        self.blobs = self.adversary.blobs
        self.places = [WatchedPlace(each, self.fuse, self.blobs) for each in folders]
        self.vault, self.store, self.events = None, None, 0

    # Processes

    def open(self):
        """Begin a process."""
        clock, keys = self.brink.clock, self.place.keystore
        self.vault = self.adversary.vault = open_vault(
            self.place, self.brink.bundle, clock=clock, entropy=ENTROPY, pool_size=2
        )
        event.listen(self.vault.engine, "before_cursor_execute", lambda *_: self.fuse.burn())
        event.listen(self.vault.engine, "commit", lambda _: (self.fuse.burn(), self.fuse.lasts()))
        self.store = open_store(keys)
        for each in (self.store, self.vault.keys._store):
            each._db = Watched(each._db, self.fuse, self.blobs)
        return self.vault

    def end(self):
        """Whatever a process was at, its connections are gone, and with them what was not committed."""
        if self.vault is not None:
            self.vault.engine.dispose()
            for store in filter(None, (self.store, self.vault.keys._store)):
                with suppress(VaultError):
                    store.close()
        self.vault = self.adversary.vault = self.store = None

    def run(self, **options):
        """Run an epoch in the process that there is."""
        change = self.kind(self.store, self.roots, self.places, clock=self.brink.clock, entropy=ENTROPY)
        epochrun.run(self.vault, change, self.folder / "checkpoint", **options)

    def attacked(self):
        """Run what is to be attacked, carried on by another process if the first is ended. Returns whether it was."""
        died, at, self.fuse.at = False, self.fuse.at, None
        self.open()
        self.fuse.at = at  # whoever only opened has changed nothing
        try:
            self.run()
        except Crash:
            died = True
        self.fuse.at, self.events = None, self.fuse.count
        self.end()
        if died:
            self.brink.clock.advance(LEASE)
            assert self.whole_somewhere(), "nobody who lost the keystore now could have it again"
            self.open()
            self.look()
            self.serves()
            self.run()
        else:
            self.open()
        self.look()
        return died

    def close(self):
        self.end()
        if self.folder != self.brink.home:
            shutil.rmtree(self.folder)

    # What is asked

    def look(self):
        """Take everything there is."""
        self.adversary.look()

    def serves(self):
        """Whoever stays is served and found, whoever asked is denied, whatever moment this is."""
        victims, vault = self.brink.victims, self.vault
        assert value(vault, victims.stays, "known_as") == "Blanche"
        assert value(vault, victims.part, "known_as") == "zz-rekeyed"
        assert find_all(vault, "email", "stays@example.com") == [victims.stays]
        for email in ("zz-8c41@example.com", "zz-held@example.com"):
            assert find_all(vault, "email", email) == []
        assert not any(vault.keys.alive(victims.slots))

    def learned(self, keys=None):
        """What whoever holds all of it learns of the erased, by these keys or by the roots that are left."""
        victims = self.brink.victims
        roots = self.roots.live.values() if keys is None else keys
        known, plain, emails, guessed = self.adversary.learns(roots)
        found = {
            "leaves": bool(victims.leaves & known),
            "values": bool(contains(plain, FIRST + SECOND)),
            "log keys": bool({victims.log_keys[each] for each in victims.gone} & known),
            "search terms": bool(emails - {"stays@example.com"}),
            "requests": bool(guessed),
        }
        if keys is None:  # who stays is there: the adversary is not blind
            assert contains(plain, (b"Blanche", b"zz-rekeyed")) == {b"Blanche", b"zz-rekeyed"}
            assert victims.log_keys[victims.part] in known
        return {name for name, is_so in found.items() if is_so}

    def troubles(self):
        """What is not as it must be when an epoch has ended: survivors whom a keystore does not open, erasures half done."""
        wanted = len(self._survivors())
        found = {"lost" for each in (self.place.keystore, *self.copies) if self._held(each) != wanted}
        if any(self.vault.keys.alive(self.brink.victims.slots)):
            found.add("alive")
        done = rows(self.vault, "SELECT count(*) FROM erasure WHERE state <> 'done' OR certificate IS NULL")
        return found | ({"unfinished"} if done != [(0,)] else set())

    def whole_somewhere(self):
        """Whether a copy or an old backup of the keystore opens every survivor by the roots that are left."""
        self.open()
        wanted = len(self._survivors())
        self.end()
        return any(self._held(each) == wanted for each in (*self.copies, *self.brink.old))

    def _survivors(self):
        query = (
            "SELECT c.slot, c.generation, v.envelope FROM field_value v JOIN compartment c"
            " ON c.subject_id = v.subject_id AND c.category_id = v.category_id WHERE c.state = 'active'"
        )
        found = rows(self.vault, query)
        self.items = [(Slot(slot, step), bytes(sealed)[envelope.WRAPPED]) for slot, step, sealed in found]
        return self.items

    def _held(self, keystore):
        try:
            service = open_keystore(keystore, self.roots, DEPLOYMENT)
        except VaultError:
            return 0
        try:
            return sum(each is not None for each in service.unwrap(self.items))
        finally:
            service._store.close()


def hung(vault):
    """Every leaf that something of somebody hangs on who is not being erased."""
    compartments = rows(vault, "SELECT slot, generation FROM compartment WHERE state = 'active'")
    logs = rows(vault, "SELECT log_slot, log_generation FROM subject WHERE state = 'active'")
    return {Slot(*each) for each in compartments + logs}


def leaf(vault, slot):
    tree, number = split_slot(slot.number)
    position, child = divmod(number, SHAPE.fanout)
    return bytes(vault.keys._view.tree.leaf_page(tree, position).key(child))


def keystore_file(home, path):
    """The keystore as a file: itself as it is now, or what a backup of its database would be."""
    with closing(open_store(home)) as store, store.reading():
        create_file(path, "old", store.rows(), store.current_pages())
    return path
