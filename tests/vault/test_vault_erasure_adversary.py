"""Who holds every byte of keystore and data, of every moment, and every root that is left: T1, T2 and T7 on a whole vault.

The closure tries each known key on each blob of both stores until nothing new opens: pages, epochs, wrapped data keys and
log keys. With what it knows then it opens values, tests search tokens against a dictionary, and guesses requests.
"""

from contextlib import closing, suppress

import pytest
from erasure_scene import Scene
from keystore_adversary import Blobs, closure
from maison_people import AURELLE, FIELDS, person, rows, take_in, value
from strict_roots import StrictRoots
from test_vault_erasure_remembered import IMPORT, SYSTEM, load, registered, resolved, spelt, write
from test_vault_keys_adversary import KeptIndexKey

from vault import envelope, idempotency, imports, leftleaves, remembering
from vault.compartments import domain
from vault.envelope import FieldContext
from vault.erasure import requests
from vault.erasure.records import LeafState
from vault.erasure.rekeying import delete_field
from vault.errors import VaultError
from vault.keys.epochs import EpochChange
from vault.keys.pagefile import PageFile
from vault.keys.pagetree import Geometry
from vault.keys.service import Slot
from vault.keys.servicekeys import IndexKey, ServiceKeys
from vault.rotation.rekeying import rekey_all
from vault.runtime import SystemEntropy
from vault.search import message
from vault.setup import Place, initialise, open_vault

DEPLOYMENT = "ecrin-test"
SHAPE = Geometry(fanout=5, depth=3)  # 125 leaves
VICTIM = FIELDS | {"email": ["zz-8c41@example.com"], "client_number": "ZZ-8C41", "known_as": "zz-sentinel"}
HELD = FIELDS | {"email": ["zz-held@example.com"], "client_number": "ZZ-1", "known_as": "zz-rekeyed"}
OTHER = {"email": ["stays@example.com"], "client_number": "AU-7", "known_as": "Blanche"}
IMPORTED = VICTIM | {"client_number": "ZZ-2"}
DICTIONARY = [each["email"][0] for each in (VICTIM, HELD, OTHER)]
FIRST, SECOND = (b"zz-8c41@example.com", b"ZZ-8C41", b"zz-sentinel"), (b"zz-held@example.com",)


class Known:
    """A key service of what the adversary knows: one set of service keys and one index key."""

    def __init__(self, service, key):
        self._service, self._key = service, IndexKey(key)

    def index_epochs(self):
        return (0,)

    def blind(self, label, messages, epoch):
        base, blocks = self._service.hmac(label), b""
        for each in messages:
            mac = base.copy()
            mac.update(each)
            blocks += mac.finalize()[:16]
        made = self._key.blind(blocks)
        return [made[at : at + 16] for at in range(0, len(made), 16)]


class Adversary:
    """`stored`: sealed values with where they belong; `tokens` and `marks`: what search and requests are found by."""

    def __init__(self, vault, home, copies, fanout=SHAPE.fanout):
        self.vault, self.home, self.copies, self.fanout = vault, home, copies, fanout
        self.blobs, self.stored, self.tokens, self.marks = Blobs(), set(), set(), set()

    def learn_of(self, other):
        """Take what another one has."""
        for name in ("pages", "epochs", "wrapped"):
            getattr(self.blobs, name).update(getattr(other.blobs, name))
        for name in ("stored", "tokens", "marks"):
            getattr(self, name).update(getattr(other, name))

    def look(self):
        """Take everything there is, of both stores and of every copy."""
        for path in (self.home, *(copy for copy in self.copies if copy.exists())):
            self.blobs.snapshot(path)
        with suppress(VaultError):  # the data are being written to: the next moment is as good
            self._look_at_data()

    def _look_at_data(self):
        vault = self.vault
        query = (
            "SELECT holder, subject_id, category_id, field_id, item, schema_version, version, envelope FROM field_value"
        )
        for holder, subject, *rest, sealed in rows(vault, query):
            self.blobs.wrapped.add(bytes(sealed)[envelope.WRAPPED])
            self.stored.add((FieldContext(domain(vault.deployment, holder), bytes(subject), *rest), bytes(sealed)))
        self.blobs.wrapped |= {bytes(each) for (each,) in rows(vault, "SELECT log_key FROM subject")}
        self.tokens |= {bytes(each) for (each,) in rows(vault, "SELECT token FROM search_token")}
        self.marks |= {bytes(each) for (each,) in rows(vault, "SELECT key_mac FROM idempotent_request")}
        self.marks |= {bytes(each) for (each,) in rows(vault, "SELECT row_mac FROM import_row")}

    def learns(self, roots):
        """What follows from these roots: all keys, the plaintexts, the e-mails found, the requests guessed."""
        known, services = closure(self.blobs, roots, DEPLOYMENT.encode(), self.fanout)
        plain = set()
        for context, sealed in self.stored:
            found = envelope.open_each([sealed] * len(known), known, [context] * len(known))
            plain |= {each for each in found if each is not None}
        emails, guessed = set(), set()
        field = self.vault.bundle.catalogue.field("email")
        for service in map(ServiceKeys, services):
            for key in known:
                keys = Known(service, key)
                made = keys.blind(f"search/{AURELLE}/{field.id}/{field.search}", self._terms(field), 0)
                emails |= {each for each, token in zip(DICTIONARY, made, strict=True) if token in self.tokens}
                guessed |= {number for number in self._guesses(keys) if number is not None}
        return known, plain, emails, guessed

    @staticmethod
    def _terms(field):
        return [message(field, each) for each in DICTIONARY]

    def _guesses(self, keys):
        for fields in (VICTIM, HELD, IMPORTED):
            number = fields["client_number"]
            asked = [((SYSTEM, number), spelt(fields))]
            ((request,),) = remembering.handles(keys, idempotency.KIND, asked)
            ((row,),) = remembering.handles(keys, imports.KIND, [((SYSTEM, IMPORT, number), spelt(fields))])
            yield number if {request.key, row.key} & self.marks else None


class Watched(EpochChange):
    """A change after each step of which the adversary looks."""

    look = None

    def _next(self, before_destroy):
        done = super()._next(before_destroy)
        self.look()
        return done


@pytest.fixture
def attacked(databases, bundle, tmp_path, clock):
    """A vault on roots that can be asked for everything they ever were, and its adversary."""
    from vault.store.schema import migrate

    databases.template("migrated", migrate)
    url, drop = databases.cut("migrated", tmp_path)
    roots = StrictRoots(SystemEntropy(), clock)
    place = Place(url, tmp_path / "vault.keystore", roots)
    initialise(place, DEPLOYMENT, clock=clock, entropy=SystemEntropy(), geometry=SHAPE)
    with (
        closing(open_vault(place, bundle, clock=clock, entropy=SystemEntropy())) as vault,
        closing(Scene(vault, place, tmp_path, clock)) as scene,
    ):
        copies = [tmp_path / copy.name / "keystore.copy" for copy in scene.copies]
        scene.adversary = Adversary(vault, place.keystore, copies)
        scene.roots, scene.kind = roots, Watched

        def changing():
            scene.stores.append(PageFile(place.keystore))
            change = scene.kind(scene.stores[-1], roots, scene.copies, clock=clock, entropy=SystemEntropy())
            change.look = scene.adversary.look
            return change

        scene.changing = changing
        yield scene
    drop()


def contains(plain, needles):
    return {needle for needle in needles if any(needle in each for each in plain)}


def story(scene):
    """One person goes, another who was imported too; and one field of a third, whose other fields live on re-keyed.

    Before, everybody is moved to other leaves, twice.

    Returns the subjects that asked, the one that stays, and the log keys that there were.
    """
    vault, adversary = scene.vault, scene.adversary
    registered(vault)
    goes, held = write(vault, VICTIM), write(vault, HELD)
    (row,) = load(vault, IMPORTED)
    (stays,) = take_in(vault, person(OTHER))
    subjects = [resolved(vault, each) for each in (goes, row, held)]
    adversary.look()
    log_keys = opened_log_keys(vault)
    for _ in range(2):  # what this leaves waits for a backup, which nobody makes
        list(rekey_all(vault))
        adversary.look()
    scene.whole(subjects[0])
    scene.whole(subjects[1])
    scene.field(subjects[2], "email")
    adversary.look()
    for _ in range(2):
        scene.run(anyway=True)
        adversary.look()
    return subjects, stays, log_keys


def test_nothing_of_whom_was_erased_follows_from_every_byte_and_every_root_left(attacked):
    scene, adversary = attacked, attacked.adversary
    subjects, stays, log_keys = story(scene)
    assert value(scene.vault, stays.subject, "known_as") == "Blanche"
    known, plain, emails, guessed = adversary.learns(scene.roots.live.values())
    assert not contains(plain, FIRST + SECOND)
    assert contains(plain, (b"Blanche", b"zz-rekeyed")) == {b"Blanche", b"zz-rekeyed"}  # who stays is there
    assert not {log_keys[each] for each in subjects[:2]} & known
    assert log_keys[subjects[2]] in known
    assert emails == {"stays@example.com"}  # of the epoch that lives
    assert guessed == set()


def test_the_adversary_of_both_stores_is_not_blind(attacked):
    """The positive control: had the roots been kept, everything would be known."""
    scene, adversary = attacked, attacked.adversary
    subjects, _, log_keys = story(scene)
    everything = {*scene.roots.live.values(), *scene.roots.destroyed.values()}
    known, plain, emails, guessed = adversary.learns(everything)
    assert contains(plain, FIRST + SECOND) == {*FIRST, *SECOND}
    assert {log_keys[each] for each in subjects} <= known
    assert emails == set(DICTIONARY)
    assert guessed == {"ZZ-8C41", "ZZ-1", "ZZ-2"}
    assert adversary.learns(set())[:2] == (set(), set())


def test_an_index_key_that_is_kept_gives_search_terms_and_requests_away(attacked):
    class Kept(Watched, KeptIndexKey):
        pass

    attacked.kind = Kept
    story(attacked)
    _, plain, emails, guessed = attacked.adversary.learns(attacked.roots.live.values())
    assert not contains(plain, FIRST + SECOND)
    assert emails == set(DICTIONARY)
    assert guessed == {"ZZ-8C41", "ZZ-1", "ZZ-2"}


def test_a_leaf_that_a_rekeying_left_and_nobody_queued_opens_the_field(attacked, monkeypatch):
    def forgetful(*arguments):
        leaf = delete_field(*arguments)
        leaf.state = LeafState.DESTROYED  # so it says; nobody gives it to the key service
        return leaf

    monkeypatch.setattr(requests, "delete_field", forgetful)
    story(attacked)
    _, plain, *_ = attacked.adversary.learns(attacked.roots.live.values())
    assert contains(plain, FIRST + SECOND) == set(SECOND)


def test_leaves_that_wait_for_a_backup_although_somebody_went_open_everything_of_them(attacked, monkeypatch):
    monkeypatch.setattr(leftleaves, "release", lambda *_: None)
    monkeypatch.setattr(leftleaves, "behind", lambda *_: set())
    subjects, _, log_keys = story(attacked)
    known, plain, *_ = attacked.adversary.learns(attacked.roots.live.values())
    assert contains(plain, FIRST + SECOND) == {*FIRST, *SECOND}
    assert {log_keys[each] for each in subjects} <= known


def opened_log_keys(vault):
    found = rows(vault, "SELECT id, log_slot, log_generation, log_key FROM subject")
    keys = vault.keys.unwrap([(Slot(slot, generation), bytes(wrapped)) for _, slot, generation, wrapped in found])
    return {bytes(row[0]): key for row, key in zip(found, keys, strict=True)}
