"""What a thief of an old backup learns of requests and import rows of somebody who was erased: nothing, with every key."""

import threading

import orjson
import pytest
from maison_people import AURELLE, FIELDS, person

from audit.entry import Actor, ActorKind
from vault import idempotency, imports, references, rememberedepochs, remembering, subjects, systems
from vault.errors import IdempotencyMismatch
from vault.idempotency import Asked, Claim, Replay
from vault.imports import Row, Taken
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.systems import NewSystem
from vault.unit import execute, settled

SENTINEL = "zz-sentinel-8c41"
VICTIM = FIELDS | {"email": [f"{SENTINEL}@example.com"], "client_number": "ZZ-8C41", "known_as": SENTINEL}
OTHER = {"email": ["stays@example.com"], "client_number": "AU-7", "known_as": "Blanche"}
KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",  # RFC 8037, appendix A.2
    "kid": "a",
}
SYSTEM, IMPORT = "aurelle-crm", "load-1"
REMEMBERED = ("idempotent_request", "import_row")


def registered(vault):
    with vault.unit() as uow:
        new = NewSystem(SYSTEM, AURELLE, SYSTEM, {"keys": [KEY]}, frozenset({"subject.write"}))
        systems.register(uow, new, Actor(ActorKind.VAULT, "operator"))
        uow.commit()


def resolved(vault, taken):
    with vault.unit() as uow:
        return references.resolve(uow, AURELLE, [taken.references[AURELLE]])[0]


def spelt(fields):
    return orjson.dumps(fields)


def write(vault, fields):
    """A registration under an Idempotency-Key that can be guessed as well: its answer, or what was answered before."""

    def batch(uow, asked):
        (state,) = idempotency.begin(uow, asked)
        if not isinstance(state, Claim):
            return lambda _: [state]
        (made,) = subjects.register(uow, [person(fields)])
        idempotency.finish(uow, [(state, 201, orjson.dumps(dict(made.references)))])
        return lambda _: [made]

    return execute(vault, batch, [Asked(SYSTEM, fields["client_number"], spelt(fields))])[0]


def guess(vault, fields):
    """What the code itself says of a request that may have been: the best that keys and code can do. Keeps nothing."""
    with vault.unit() as uow:
        return idempotency.begin(uow, [Asked(SYSTEM, fields["client_number"], spelt(fields))])[0]


def load(vault, *people):
    asked = [Row(each["client_number"], spelt(each), person(each)) for each in people]
    return execute(vault, settled(lambda uow, rows: imports.take_in(uow, SYSTEM, IMPORT, rows)), asked)


def remembered(vault):
    with vault.reading() as conn:
        return {name: [row._asdict() for row in conn.execute(metadata.tables[name].select())] for name in REMEMBERED}


def steal_back(vault, dump):
    """The thief's own database: rows of an old dump, beside the keys that live."""
    with vault.unit() as uow:
        for name, stolen in dump.items():
            uow.conn.execute(metadata.tables[name].delete())
            insert_rows(uow.conn, metadata.tables[name], stolen)
        uow.commit()


def outcomes(vault, dump):
    """How many outcomes of a dump open, with whatever key is told of in them."""
    count = 0
    for kind, name, key, content in (
        (idempotency.KIND, "idempotent_request", "key_mac", "request_mac"),
        (imports.KIND, "import_row", "row_mac", "content_mac"),
    ):
        for row in dump[name]:
            for epoch in vault.keys.index_epochs():
                handle = remembering.Handle(epoch, row[key], row[content])
                count += remembering.opened(vault.keys, kind, [(handle, row["outcome"])])[0] is not None
            old = vault.keys.open(f"{kind}/outcome/1", [(row[key] + row[content], row["outcome"])])
            count += old != [None]
    return count


@pytest.mark.parametrize("how", ["subject", "field"])
def test_no_request_of_somebody_erased_can_be_guessed_from_an_old_backup(scene, how):
    vault = scene.vault
    registered(vault)
    stays, goes = write(vault, OTHER), write(vault, VICTIM)
    others = [OTHER | {"client_number": "AU-8"}, VICTIM | {"client_number": "ZZ-9"}]
    _, taken = load(vault, *others)
    before = remembered(vault)
    # Positive control: today the thief is answered.
    assert isinstance(guess(vault, VICTIM), Replay)
    assert isinstance(guess(vault, VICTIM | {"known_as": "x"}), IdempotencyMismatch)
    assert outcomes(vault, before) == 4
    for subject in (goes.subject, resolved(vault, taken)):
        scene.whole(subject) if how == "subject" else scene.field(subject, "email")
    scene.run()
    # Who stays is still answered what was answered before, in the new epoch: a retry makes nobody twice.
    assert isinstance(guess(vault, OTHER), Replay)
    (again,) = load(vault, others[0])
    assert again.before
    now = remembered(vault)
    assert {row["epoch"] for name in REMEMBERED for row in now[name]} == {vault.keys.index_epochs()[0]}
    assert outcomes(vault, now) == 2
    # The old backup says nothing of anybody, whatever key lives.
    assert outcomes(vault, before) == 0
    steal_back(vault, before)
    assert all(isinstance(guess(vault, fields), Claim) for fields in (VICTIM, OTHER, *others))
    with vault.unit() as uow:
        (made,) = imports.take_in(uow, SYSTEM, IMPORT, [Row("ZZ-9", spelt(others[1]), person(others[1]))])
    assert isinstance(made, Taken)
    assert not made.before
    labels = ("idempotency/key/1", "idempotency/request/1", "import/key/1", "import/row/1", "import/content/1")
    parts = [SYSTEM, "ZZ-8C41", SYSTEM + "ZZ-8C41", IMPORT]
    stored = {
        value for name in REMEMBERED for row in before[name] for value in row.values() if isinstance(value, bytes)
    }
    for label in labels:
        made = vault.keys.mac(label, [part.encode() for part in parts] + [spelt(VICTIM)])
        assert not stored & {each[:16] for each in made}
    assert stays.references


def test_what_is_asked_while_an_epoch_retires_is_kept_under_both(scene):
    vault = scene.vault
    registered(vault)
    write(vault, OTHER)
    change = scene.changing()
    seen = []

    def before_destroy():
        seen.append(vault.keys.index_epochs())
        assert isinstance(guess(vault, OTHER), Replay)  # still under the old key
        write(vault, VICTIM)
        assert len(remembered(vault)["idempotent_request"]) == 3
        assert rememberedepochs.move(vault) == 1  # the other one is there
        assert rememberedepochs.move(vault) == 0

    change.run(before_destroy)
    assert len(seen[0]) == 2
    assert isinstance(guess(vault, OTHER), Replay)
    assert isinstance(guess(vault, VICTIM), Replay)
    assert isinstance(guess(vault, VICTIM | {"known_as": "x"}), IdempotencyMismatch)


def test_a_write_whose_epoch_ends_under_it_runs_again_and_is_remembered(scene):
    """Both epochs are named, then the old root is destroyed, and only then is the outcome sealed."""
    vault = scene.vault
    registered(vault)
    ready, go, seen = threading.Event(), threading.Event(), []

    def before_destroy():
        ready.set()
        assert go.wait(60)

    changing = threading.Thread(target=lambda: scene.changing().run(before_destroy))
    changing.start()
    assert ready.wait(60)

    class Overtaken:
        """The vault's keys, whose old epoch ends as soon as it was blinded under and the unit goes on."""

        def __getattr__(self, name):
            return getattr(keys, name)

        def blind(self, label, messages, epoch):
            if "/outcome/" in label and not go.is_set():
                go.set()
                changing.join(60)
            seen.append((label, epoch))
            return keys.blind(label, messages, epoch)

    keys = vault.keys
    vault.keys = Overtaken()
    try:
        answer = write(vault, OTHER)
    finally:
        vault.keys = keys
        go.set()
        changing.join(60)
    assert len({epoch for label, epoch in seen if label == f"{idempotency.KIND}/2"}) == 2
    assert len(vault.keys.index_epochs()) == 1
    assert isinstance(answer, subjects.Registered), answer
    (row,) = remembered(vault)["idempotent_request"]
    assert row["epoch"] == vault.keys.index_epochs()[0]
    assert isinstance(guess(vault, OTHER), Replay)
