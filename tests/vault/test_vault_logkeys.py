"""A new key for the log: both signatures for a while, old and new readers through it, deaths, races, restores."""

import pytest
from maison_people import FIELDS, person, take_in
from mortal_processes import Died, Fuse, MortalVault
from recovery_scene import OPERATOR, Recovery
from sqlalchemy import text

from api.client.receipts import open_signed
from audit import checkpoint, ledger, subtrees
from audit.addcheckpoint import write_request
from audit.checkpoint import open_checkpoint, parse
from audit.cosignature import cosignatures
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from audit.errors import CannotDecide, PinUnavailable, SigningRefused
from audit.findings import Verdict
from audit.note import sign_note, split_note
from audit.quorum import parse_policy
from audit.single import open_known, verify_extension, verify_witnessed
from audit.stamp import stamped_bytes
from audit.verify import verify_log
from audit.witness import Witness
from vault import evidence, logkeys, scrubbing, timestamping, witnessing
from vault.errors import Conflict, KeyUnavailable
from vault.keys.local import KeyFileProvider
from vault.keys.pagetree import Geometry
from vault.keys.service import LAST_GENERATION, SigningKey
from vault.logkeys import DAY, LogSigner
from vault.runtime import SystemEntropy
from vault.secondsigner import SecondSigner, second_signers
from vault.setup import Place, initialise, open_vault
from vault.store.engine import open_engine


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "kept"


def signed(vault, kept):
    """Have something to sign, sign it, and return the note."""
    with vault.unit() as uow:
        uow.record(_something(vault))
        uow.commit()
    (note,) = evidence.sign_checkpoints(vault, kept)
    return note


def _something(vault):
    return Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, vault.deployment))


def keys(vault):
    """Every key, oldest first, as outsiders write them."""
    with vault.reading() as conn:
        return [each.vkey for each in reversed(logkeys.known(vault, conn, 0))]


def told(vault):
    with vault.reading() as conn:
        entries = [decode(each.body) for each in ledger.read(conn, 0, 0, 1000)]
    return [each for each in entries if each["act"].startswith("log.key_")]


def judged(vault, given, pinned=()):
    with vault.reading() as conn:
        return verify_log(ledger.stored_log(conn, 0), given, pinned)


def finish(vault, kept, clock, days=30):
    """Let the time of the old key pass, and end it."""
    signed(vault, kept)
    clock.advance(days * DAY)
    evidence.vouch(vault, kept, None)


# --- what is signed by whom ------------------------------------------------------------------------------------------


def test_the_new_key_signs_beside_the_old_one_until_its_time_is_over(store, kept, clock):
    first = signed(store, kept)
    generation = logkeys.rotate(store, 30, OPERATOR)
    old, new = keys(store)
    both = signed(store, kept)
    assert (generation, old != new) == (2, True)
    assert [len(split_note(each).unverified) for each in (first, both)] == [1, 2]
    for key in (old, new):
        assert open_checkpoint(both, [key], store.origin).size == parse(split_note(both).text).size
        assert open_signed(both, key)  # the client's own reading
    clock.advance(30 * DAY - 1)
    evidence.vouch(store, kept, None)
    assert len(told(store)) == 1
    clock.advance(1)
    evidence.vouch(store, kept, None)
    alone = signed(store, kept)
    assert [line.key_id for line in split_note(alone).unverified] == [logkeys._key(store, store.origin, 2).key_id]
    added, retired = told(store)
    publics = [store.keys.public_key(SigningKey.LOG, each).hex() for each in (1, 2)]
    until = store.clock.now()
    assert added["pol"] == sorted([f"key:{publics[1]}", f"before:{publics[0]}", f"until:{until}"])
    assert retired["pol"] == sorted([f"key:{publics[1]}", f"before:{publics[0]}"])
    assert (added["actor"]["id"], retired["actor"]["k"]) == ("operator", "vault")
    evidence.vouch(store, kept, None)
    assert len(told(store)) == 2  # ended once


def test_the_old_key_does_not_end_before_a_checkpoint_carries_both(store, kept, clock):
    signed(store, kept)
    logkeys.rotate(store, 1, OPERATOR)
    clock.advance(40 * DAY)  # sealed all the while
    assert logkeys.retire_due(store) == 0
    both = signed(store, kept)
    assert len(split_note(both).unverified) == 2
    assert logkeys.retire_due(store) == 1
    assert len(split_note(signed(store, kept)).unverified) == 1


def test_one_change_at_a_time_and_so_many_in_all(store, kept, clock):
    for wrong in (0, -1):
        with pytest.raises(Conflict):
            logkeys.rotate(store, wrong, OPERATOR)
    assert logkeys.rotate(store, 1, OPERATOR) == 2
    with pytest.raises(Conflict, match="under way"):
        logkeys.rotate(store, 1, OPERATOR)
    finish(store, kept, clock, 1)
    assert logkeys.rotate(store, 1, OPERATOR) == 3
    finish(store, kept, clock, 1)
    assert judged(store, [keys(store)[1]]).verdict is Verdict.FINE
    with pytest.raises(KeyUnavailable):
        store.keys.public_key(SigningKey.LOG, LAST_GENERATION + 1)
    with pytest.raises(KeyUnavailable):
        store.keys.sign(SigningKey.LOG, [b"x"], 0)


def test_generations_are_other_keys_and_the_same_after_a_restart(store, opening):
    made = {store.keys.public_key(key, each) for key in SigningKey for each in (1, 2, 3, LAST_GENERATION)}
    assert len(made) == len(SigningKey) * 4
    again = opening()
    assert [again.keys.public_key(SigningKey.LOG, each) for each in (1, 2)] == [
        store.keys.public_key(SigningKey.LOG, each) for each in (1, 2)
    ]


def test_what_is_shown_names_each_key_with_its_time(store, kept, clock):
    begun = clock.now()
    logkeys.rotate(store, 30, OPERATOR)
    new, old = logkeys.shown(store)
    assert (new.in_use, old.in_use, new.since, old.since) == (True, True, begun, None)
    assert (new.until, old.until) == (None, begun + 30 * DAY)
    finish(store, kept, clock)
    new, old = logkeys.shown(store)
    assert (new.in_use, old.in_use, new.until, old.until) == (True, False, None, clock.now())


# --- readers ---------------------------------------------------------------------------------------------------------


def test_readers_with_either_key_verify_the_whole_log_on_its_own_word(store, kept, clock):
    pins = [signed(store, kept)]
    logkeys.rotate(store, 30, OPERATOR)
    old, new = keys(store)
    pins.append(signed(store, kept))
    finish(store, kept, clock)
    pins.append(signed(store, kept))
    for given in ([old], [new], [old, new]):
        result = judged(store, given, pins)
        assert result.verdict is Verdict.FINE, (given, result)
        assert result.signed == result.size
    assert any("on the log's own word" in each for each in judged(store, [old]).notices)
    assert evidence.verify(store, 0, pins).verdict is Verdict.FINE


def test_a_key_that_no_entry_under_a_known_key_names_is_still_tampering(store, kept, clock):
    logkeys.rotate(store, 30, OPERATOR)
    old, _ = keys(store)
    finish(store, kept, clock)
    newest = parse(split_note(signed(store, kept)).text)
    stranger = LogSigner(store.keys, store.origin, 9)
    with store.engine.begin() as conn:
        conn.execute(
            text("UPDATE log_checkpoint SET note = :note WHERE size = :size"),
            {"note": sign_note(checkpoint.format(newest), (stranger,)), "size": newest.size},
        )
    assert judged(store, [old]).verdict is Verdict.TAMPERED


def test_a_line_of_a_brought_in_key_that_was_changed_is_tampering(store, kept, clock):
    logkeys.rotate(store, 30, OPERATOR)
    old, new = keys(store)
    finish(store, kept, clock)
    note = signed(store, kept)
    with store.engine.begin() as conn:
        other = parse(split_note(note).text)
        spoilt = note.replace(note.split("\n")[2], "A" * 43 + "=")
        conn.execute(text("UPDATE log_checkpoint SET note = :n WHERE size = :s"), {"n": spoilt, "s": other.size})
    assert [judged(store, given).verdict for given in ([old], [new])] == [Verdict.TAMPERED] * 2


def test_what_the_old_key_signs_after_its_end_is_tampering(store, kept, clock):
    logkeys.rotate(store, 30, OPERATOR)
    old, new = keys(store)
    finish(store, kept, clock)
    newest = parse(split_note(signed(store, kept)).text)
    thief = sign_note(checkpoint.format(newest), (LogSigner(store.keys, store.origin, 1),))
    for given in ([old], [new], [old, new]):
        result = judged(store, given, [thief])
        assert result.verdict is Verdict.TAMPERED, given
        assert any("ended at entry" in each.message for each in result.findings)


def test_smaller_questions_cannot_be_decided_with_a_key_that_did_not_sign(store, kept, clock):
    before = signed(store, kept)
    logkeys.rotate(store, 30, OPERATOR)
    old, new = (logkeys._key(store, store.origin, each) for each in (1, 2))
    both = signed(store, kept)
    finish(store, kept, clock)
    after = signed(store, kept)
    with pytest.raises(CannotDecide):
        open_known(after, [old])
    assert open_known(both, [new]) == open_known(both, [old])
    with store.reading() as conn:
        proof = subtrees.consistency(conn, 0, open_known(before, [old]).size, open_known(after, [new]).size)
    assert verify_extension(before, after, [old, new], proof)
    with pytest.raises(CannotDecide):
        verify_extension(before, after, [new], proof)


def test_scrubs_and_the_panel_go_on(store, kept, clock):
    signed(store, kept)
    logkeys.rotate(store, 30, OPERATOR)
    for step in (lambda: None, lambda: signed(store, kept), lambda: finish(store, kept, clock)):
        step()
        assert scrubbing.run(store, "full") == []
        assert scrubbing.integrity(store).sound


def test_a_time_stamp_is_over_the_same_bytes_for_holders_of_either_key(store, kept):
    signed(store, kept)
    logkeys.rotate(store, 30, OPERATOR)
    note = signed(store, kept)
    old, new = keys(store)
    asked = []
    timestamping.turn(store, lambda message: asked.append(message) or b"token")
    assert asked == [stamped_bytes(note, [old])] == [stamped_bytes(note, [new])] == [stamped_bytes(note, [new, old])]


# --- witnesses -------------------------------------------------------------------------------------------------------


def watching(store, folder, *generations):
    """A witness that was given these keys of the log."""

    class Key:
        name = "witness.example"
        public_key = store.keys.public_key(SigningKey.ERASURE)

        def sign(self, message):
            return store.keys.sign(SigningKey.ERASURE, [message])[0]

    folder.mkdir(exist_ok=True)
    return Witness(Key(), [logkeys._key(store, store.origin, each) for each in generations], folder, lambda: 1)


def submitted(store, witness, note):
    with store.reading() as conn:
        size = parse(split_note(note).text).size
        path = witness._path(store.origin)
        seen = parse(split_note(path.read_text()).text).size if path.exists() else 0
        proof = subtrees.consistency(conn, 0, seen, size)
    return witness.add_checkpoint(write_request(seen, proof, note)).status


def test_a_witness_with_the_old_key_then_both_then_the_new_one_never_stops(store, kept, clock, tmp_path):
    folder = tmp_path / "witness"
    assert submitted(store, watching(store, folder, 1), signed(store, kept)) == 200
    logkeys.rotate(store, 30, OPERATOR)
    assert submitted(store, watching(store, folder, 1), signed(store, kept)) == 200
    assert submitted(store, watching(store, folder, 1, 2), signed(store, kept)) == 200
    finish(store, kept, clock)
    note = signed(store, kept)
    assert submitted(store, watching(store, folder, 1, 2), note) == 200
    assert submitted(store, watching(store, folder, 2), signed(store, kept)) == 200
    assert submitted(store, watching(store, tmp_path / "late", 1), signed(store, kept)) == 403  # not told in time


def test_a_witness_given_the_new_key_alone_too_early_stops_instead_of_forgetting(store, kept, tmp_path):
    folder = tmp_path / "witness"
    assert submitted(store, watching(store, folder, 1), signed(store, kept)) == 200
    logkeys.rotate(store, 30, OPERATOR)
    with pytest.raises(PinUnavailable):
        watching(store, folder, 2)
    assert submitted(store, watching(store, folder, 1, 2), signed(store, kept)) == 200


def test_a_policy_of_either_key_judges_what_both_signed_with_both_second_lines(store, kept, clock):
    signed(store, kept)
    logkeys.rotate(store, 30, OPERATOR)
    signed(store, kept)
    old, new = keys(store)
    nobody = parse_policy(f"log {old}\nlog {new}\nquorum none\n".encode())
    seconds = second_signers(store)
    assert [each.key.public_key for each in seconds] == [
        SecondSigner(store.keys, store.origin, each).key.public_key for each in (1, 2)
    ]
    assert witnessing.turn(store, nobody, lambda *_: pytest.fail("asked"), second=seconds).quorum
    note = witnessing.newest(store).note
    for log, second in ((old, seconds[0]), (new, seconds[1])):
        asking = parse_policy(f"log {log}\nwitness later {second.key.vkey}\nquorum later\n".encode())
        assert verify_witnessed(note, asking).quorum
    assert len(cosignatures(note, [each.key for each in seconds])) == 2
    finish(store, kept, clock)
    assert [each.key for each in second_signers(store)] == [seconds[1].key]


# --- deaths and races ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_either_commit_leaves_the_whole_step_or_nothing(store, kept, clock, opening, after):
    signed(store, kept)
    with pytest.raises(Died):
        logkeys.rotate(MortalVault(store, Fuse(1, after=after)), 1, OPERATOR)
    again = opening()
    assert [len(told(again)), len(logkeys.shown(again))] == ([1, 2] if after else [0, 1])
    if not after:
        assert logkeys.rotate(again, 1, OPERATOR) == 2
    signed(again, kept)
    clock.advance(DAY)
    with pytest.raises(Died):
        logkeys.retire_due(MortalVault(again, Fuse(1, after=after)))
    last = opening()
    assert len(told(last)) == (2 if after else 1)
    assert logkeys.retire_due(last) == (0 if after else 1)
    signed(last, kept)
    for given in keys(last):
        assert judged(last, [given]).verdict is Verdict.FINE


def test_a_rotation_cut_off_between_two_shards_is_carried_on(databases, kept, clock, bundle, tmp_path):
    databases.template("empty", lambda url: open_engine(url).dispose())
    url, drop = databases.cut("empty", tmp_path)
    place = Place(url, tmp_path / "sharded.keystore", KeyFileProvider(tmp_path / "sharded.roots", SystemEntropy()))
    initialise(place, "ecrin", clock=clock, entropy=SystemEntropy(), shards=2, geometry=Geometry(fanout=16, depth=3))
    vault = open_vault(place, bundle, clock=clock, entropy=SystemEntropy())
    try:
        with pytest.raises(Died):
            logkeys.rotate(MortalVault(vault, Fuse(1, after=True)), 1, OPERATOR)
        with vault.reading() as conn:
            assert [logkeys.in_use(conn, shard) for shard in (0, 1)] == [(1, 2), (1,)]
        assert logkeys.rotate(vault, 1, OPERATOR) == 2
        with vault.reading() as conn:
            assert [logkeys.in_use(conn, shard) for shard in (0, 1)] == [(1, 2), (1, 2)]
        evidence.sign_checkpoints(vault, kept)
        for shard in (0, 1):
            assert evidence.verify(vault, shard, []).verdict is Verdict.FINE
    finally:
        vault.close()
        drop()


def test_processes_take_it_up_with_their_next_checkpoint(store, kept, opening, clock):
    other = opening()
    signed(other, kept)
    logkeys.rotate(store, 1, OPERATOR)
    assert len(split_note(signed(other, kept)).unverified) == 2
    clock.advance(DAY)
    assert [logkeys.retire_due(each) for each in (store, other)] == [1, 0]
    assert len(split_note(signed(other, kept)).unverified) == 1
    assert len(told(store)) == 2


# --- restores --------------------------------------------------------------------------------------------------------


@pytest.fixture
def recovery(vault, place, tmp_path, clock, databases):
    scene = Recovery(vault, place, tmp_path, clock, databases)
    yield scene
    scene.close()


def test_a_backup_from_before_the_change_goes_on_with_the_key_that_signed_last(recovery, clock):
    take_in(recovery.vault, person(FIELDS))
    evidence.sign_checkpoints(recovery.vault, recovery.outside)
    recovery.back_up()
    logkeys.rotate(recovery.vault, 1, OPERATOR)
    finish(recovery.vault, recovery.outside, clock, 1)
    signed(recovery.vault, recovery.outside)
    restored, done = recovery.restore()
    assert done.successions[0].last is not None
    note = signed(restored, recovery.outside)
    new = logkeys._key(restored, restored.origin, 2)
    assert [line.key_id for line in split_note(note).unverified] == [new.key_id]
    assert judged(restored, [new]).verdict is Verdict.FINE
    assert logkeys.rotate(restored, 1, OPERATOR) == 3


def test_a_base_backup_from_before_the_change_is_not_signed_by_the_old_key(recovery, clock):
    take_in(recovery.vault, person(FIELDS))
    evidence.sign_checkpoints(recovery.vault, recovery.outside)
    recovery.back_up()
    logkeys.rotate(recovery.vault, 1, OPERATOR)
    finish(recovery.vault, recovery.outside, clock, 1)
    signed(recovery.vault, recovery.outside)
    restored = recovery.open(recovery.load())
    with pytest.raises(SigningRefused):
        evidence.sign_checkpoints(restored, recovery.outside)
