"""The fault table: each step of each act fails, or succeeds and is not acknowledged. Steps are found, not listed.

Whatever the step: the caller gets a stable code and no value, the database holds all of the act or nothing of it, the
log verifies, and the next request works.
"""

import pytest
from failing_parts import FailingKeys, Steps, connecting, sealed
from fault_scene import ACTS, FAMILY, PHONE, RING, Scene, act_of, added, assert_mute, errors_of
from sqlalchemy import text

from audit.errors import PinUnavailable, SigningRefused
from audit.ledger import head, latest_checkpoint
from vault import evidence
from vault.errors import Sealed, StoreUnavailable, VaultError
from vault.store.engine import open_engine

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def scene(place, opening, bundle, steps):
    """A vault whose connections count their steps."""
    engine = open_engine(place.database, creator=connecting(place.database, steps), pool_size=2)
    return Scene.on(opening(bundle, engine=engine))


def settle(scene, name):
    """Run an act until every later run is like the last: caches are warm, and its people counted in every budget."""
    for _ in range(2):
        succeed(scene, name)


def succeed(scene, name, steps=None):
    """Run an act without faults: how many rows it adds to each table, and the steps it took."""
    before = scene.stored()
    act = act_of(scene, name)
    if steps is not None:
        steps.watch()
    answers = errors_of(scene.run(*act))
    if steps is not None:
        steps.rest()
    assert not [each for each in answers if isinstance(each, VaultError)], answers
    return added(before, scene.stored()), list(steps.seen) if steps is not None else []


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("lost", [False, True], ids=["fails", "acknowledgement lost"])
def test_every_statement_of_every_act(scene, steps, tmp_path, name, lost):
    settle(scene, name)
    whole, taken = succeed(scene, name, steps)
    assert taken[-1] == "COMMIT"
    assert len(taken) > 3
    for at, step in enumerate(taken):
        before = scene.stored()
        act = act_of(scene, name)
        steps.watch(at, lost=lost)
        answers = errors_of(scene.run(*act))
        steps.rest()
        assert {type(each) for each in answers} == {StoreUnavailable}, (step, answers)
        assert {each.code for each in answers} == {"store_unavailable"}
        assert_mute(*answers)
        gained = added(before, scene.stored())
        assert gained == (whole if lost and step == "COMMIT" else {}), (step, gained)
        assert succeed(scene, name)[0] == whole, step
    scene.verify(tmp_path / "pin")


MODES = {
    "fails": {},
    "acknowledgement lost": {"lost": True},
    "sealed": {"broken": sealed},
    "answers none": {"mute": True},
}


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("mode", MODES)
def test_every_call_of_the_key_service(scene, tmp_path, name, mode):
    steps = Steps()  # of the key service alone
    how = dict(MODES[mode])
    lost = how.pop("lost", False)
    real = scene.vault.keys
    succeed(scene, name)
    settle(scene, name)
    scene.vault.keys = FailingKeys(real, steps, **how)
    whole, taken = succeed(scene, name, steps)
    assert taken
    for at, verb in enumerate(taken):
        if mode == "answers none" and verb not in {"wrap", "unwrap", "open"}:
            continue
        scene.vault.keys = real
        before = scene.stored()
        act = act_of(scene, name)
        scene.vault.keys = FailingKeys(real, steps, **how)
        steps.watch(at, lost=lost)
        answers = errors_of(scene.run(*act))
        steps.rest()
        scene.vault.keys = real
        gained = added(before, scene.stored())
        told = {each.code for each in answers if isinstance(each, VaultError)}
        if name == "redeem" and set(taken[at:]) <= {"unwrap", "sign"}:
            # Durable, and the keys failed after it: logged as authorised and attempted, then as failed; the use counts.
            assert gained == {**whole, "log_entry": whole["log_entry"] + 1}, (verb, gained)
        else:
            # Nothing is left of it but, where it was refused for good, the burned proof and an entry that says so.
            assert set(gained) <= {"log_entry", "log_head", "seen_proof"}, (verb, gained)
        for each in answers:
            shown = str(each)
            assert not [secret for secret in (FAMILY, RING, PHONE) if secret in shown], verb
        assert told <= CODES[mode], (verb, told)
        assert_mute(*[each for each in answers if isinstance(each, VaultError)])
        assert succeed(scene, name)[0] == whole, verb
    scene.verify(tmp_path / "pin")


CODES = {
    "fails": {"store_unavailable"},
    "acknowledgement lost": {"store_unavailable"},
    "sealed": {"sealed"},
    "answers none": {"key_unavailable", "integrity_failure", "unknown_reference", "not_granted"},
}


def test_a_lost_acknowledgement_is_made_good_by_the_idempotency_key(scene, steps):
    """The one thing a caller can do about an unanswered commit: ask again under the same key."""
    batch, _ = scene.create()
    steps.watch()
    scene.run(batch, scene.create()[1])
    last = len(steps.seen) - 1
    before = scene.stored()
    steps.watch(last, lost=True)
    (lost,) = scene.run(*scene.create(key="key-once"))
    steps.rest()
    assert isinstance(lost, StoreUnavailable)
    (again,) = scene.run(*scene.create(key="key-once"))
    assert again.replayed
    assert added(before, scene.stored())["subject"] == 1


def test_the_culprit_fails_alone(scene):
    """Three looks in one unit; one subject's log key does not open: two are answered and logged, one is refused."""
    others = [scene.run(*scene.create())[0].answer["reference"] for _ in range(2)]
    for each in others:
        scene.run(*scene.consent(each, "clienteling"))
    held = [scene.token(each) for each in (others[0], scene.reference, others[1])]
    with scene.vault.engine.begin() as conn:
        damage = text("UPDATE subject SET log_key = :nothing WHERE id = :id")
        conn.execute(damage, {"nothing": bytes(40), "id": scene.subject})
    batch, _ = scene.redeem()
    calls = [
        scene.redeem(token, reference)[1]
        for token, reference in zip(held, (others[0], scene.reference, others[1]), strict=True)
    ]
    first, culprit, last = scene.run(batch, *calls)
    assert culprit.code == "key_unavailable"
    assert_mute(culprit)
    for answer in (*first, *last):
        assert answer["fields"][0]["value"] == {"value": RING, "system": "eu"}
    with scene.vault.reading() as conn:
        entries = {bytes(each).hex() for each in conn.scalars(text("SELECT entry_id FROM log_entry"))}
    assert {first[0]["entry"], last[0]["entry"]} <= entries


# --- checkpoints


def test_every_step_of_signing_a_checkpoint(scene, steps, tmp_path):
    pin = tmp_path / "pin"
    evidence.sign_checkpoints(scene.vault, pin)
    scene.run(*scene.search())
    steps.watch()
    assert evidence.sign_checkpoints(scene.vault, pin)
    steps.rest()
    taken = list(steps.seen)
    assert taken[-1] == "COMMIT"
    for lost in (False, True):
        for at, _ in enumerate(taken):
            scene.run(*scene.search())
            steps.watch(at, lost=lost)
            with pytest.raises(StoreUnavailable) as caught:
                evidence.sign_checkpoints(scene.vault, pin)
            steps.rest()
            assert_mute(caught.value)
            scene.verify(pin)  # signs what was left unsigned; a pin ahead of the table is accepted


def test_a_signer_that_fails_leaves_no_checkpoint(scene, tmp_path):
    steps = Steps()
    pin = tmp_path / "pin"
    scene.verify(pin)
    real, before = scene.vault.keys, pin.read_bytes()
    scene.run(*scene.search())
    for broken, error in (
        (sealed, Sealed),
        (lambda: StoreUnavailable("the keystore did not answer"), StoreUnavailable),
    ):
        for lost in (False, True):
            scene.vault.keys = FailingKeys(real, steps, broken)
            steps.watch(0, lost=lost)
            with pytest.raises(error):
                evidence.sign_checkpoints(scene.vault, pin)
            steps.rest()
            scene.vault.keys = real
            assert pin.read_bytes() == before
    scene.verify(pin)
    assert pin.read_bytes() != before


def test_a_pin_that_cannot_be_written_leaves_no_checkpoint(scene, tmp_path):
    pin = tmp_path / "absent" / "pin"
    with scene.vault.reading() as conn:
        before = latest_checkpoint(conn, 0)
    with pytest.raises(PinUnavailable):
        evidence.sign_checkpoints(scene.vault, pin)
    with scene.vault.reading() as conn:
        assert latest_checkpoint(conn, 0) == before
    pin.parent.mkdir()
    scene.verify(pin)


def test_a_pin_written_for_a_lost_commit_never_lets_the_log_shrink(scene, steps, tmp_path):
    """The note was out, the database went back: nothing is signed until the entries are there again."""
    pin = tmp_path / "pin"
    scene.verify(pin)
    with scene.vault.engine.begin() as conn:
        size = head(conn, 0).size
    ahead = tmp_path / "ahead"
    ahead.write_bytes(pin.read_bytes())
    scene.run(*scene.search())
    scene.verify(ahead)
    # A database from before that search, beside a pin from after it.
    with scene.vault.engine.begin() as conn:
        for statement in (
            "DELETE FROM log_entry WHERE idx >= :size",
            "DELETE FROM log_checkpoint WHERE size > :size",
            "UPDATE log_head SET size = :size, stack = (SELECT stack FROM log_checkpoint WHERE size = :size)",
        ):
            conn.execute(text(statement), {"size": size})
    with pytest.raises(SigningRefused):
        evidence.sign_checkpoints(scene.vault, ahead)


# --- the table can tell


def test_a_commit_before_its_entries_would_be_seen(scene, steps):
    """A mutant that commits the data first and the log later leaves part of an act behind at the fault."""
    whole, taken = succeed(scene, "consent", steps)
    before = scene.stored()
    batch, item = scene.consent()

    def hasty(uow, items):
        finish = batch(uow, items)
        uow.conn.commit()
        return finish

    steps.watch(len(taken), lost=False)
    (answer,) = scene.run(hasty, item)
    steps.rest()
    assert isinstance(answer, VaultError)
    assert added(before, scene.stored()) not in ({}, whole)
