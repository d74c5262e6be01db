"""A log whose old bodies are gone: what still verifies, what is found all the same, and what cannot be told any more."""

import pytest
from tamperable_log import ORIGIN, START, Copy, Ed25519Signer, body, entry_id, make_log, signed

from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode, sref
from audit.errors import CannotDecide
from audit.findings import Fault, Verdict, report
from audit.keychange import spelt
from audit.merkle import Frontier, leaf_hash
from audit.note import parse_vkey
from audit.prunedpart import CARRIED_OVER, pruning_rules
from audit.subjectentries import verify_subject
from audit.verify import verify_log

SIGNER = Ed25519Signer(ORIGIN)
VAULT = Actor(ActorKind.VAULT, "vault")
COM = b"\x05" * 32
KEYS = (parse_vkey(SIGNER.vkey),)
POLICY = "ab" * 32
FIRST = 512
SIZE = 700
KEY = b"\x07" * 32  # of the person whom `body` writes of


def told(at, first, carried=0, **more):
    entry = Entry(Act.LOG_PRUNED, Outcome.ALLOW, VAULT, pol=pruning_rules(POLICY, 12, carried, ["cd" * 32]), n=first)
    return encode(entry, entry_id(at), START + at, None)


def again(at, com=COM):
    entry = Entry(Act.ERASURE_CARRIED, Outcome.ALLOW, VAULT, pol=(CARRIED_OVER,), com=com)
    return encode(entry, entry_id(at), START + at, None)


def bodies(size=SIZE, **at):
    """Ordinary entries, with one carried over and a pruning to 512 at 600 and 601; `at` replaces entries by index."""
    made = [body(index) for index in range(size)]
    made[600], made[601] = again(600), told(601, FIRST, 1)
    for index, content in at.items():
        made[int(index[1:])] = content
    return made


def log(checkpoints=(100, 300, 600, SIZE), size=SIZE, **at):
    return make_log(SIGNER, size, checkpoints, bodies=bodies(size, **at))


def blanked(made, first=0, end=FIRST):
    entries = [each._replace(body=b"") if first <= each.idx < end else each for each in made.entries]
    return Copy(entries, made.checkpoints, made.size, made.stack)


def check(made, pinned=(), keys=(SIGNER.vkey,)):
    return verify_log(made.stored(), keys, pinned, ORIGIN)


def pin(size, made):
    return signed(SIGNER, ORIGIN, size, Frontier().extend(each.leaf for each in made.entries[:size]).root())


def kinds(result):
    return {each.kind for each in result.findings}


def test_hashes_stand_for_what_was_pruned_and_every_checkpoint_is_still_checked():
    made = log()
    whole, result = check(made), check(blanked(made), pinned=[pin(size, made) for size in (7, 256, 400, 512, 650)])
    assert (result.verdict, result.root, result.size) == (Verdict.FINE, whole.root, SIZE)
    assert (result.pruned, result.checkpoints, result.signed) == (FIRST, 9, SIZE)
    assert f"entries 0 to 511 pruned under policy {POLICY} (entry 601): hashes verified, bodies not" in result.notices
    assert "pruned under policy" in report(result)


def test_between_the_steps_of_a_pruning_bodies_that_are_left_are_checked():
    result = check(blanked(log(), end=256))
    assert result.verdict is Verdict.FINE
    assert any("256 bodies are there all the same, and were checked" in each for each in result.notices)
    assert check(log()).verdict is Verdict.FINE  # told, and nothing is gone yet


@pytest.mark.parametrize("index", [0, 99, 100, 255, 256, 511])
def test_a_changed_hash_within_the_pruned_part_is_found(index):
    made = blanked(log())
    leaf = made.entries[index].leaf
    made.entries[index] = made.entries[index]._replace(leaf=leaf[:-1] + bytes([leaf[-1] ^ 1]))
    result = check(made)
    assert result.verdict is Verdict.TAMPERED
    assert kinds(result) == {Fault.CHANGED}
    before = [size for size in (0, 100, 300, 600) if size <= index][-1]
    assert result.first_bad_index == before


@pytest.mark.parametrize("content", [body(4), b"{}", b"\x00"])
def test_a_body_put_back_that_is_not_the_one_is_found(content):
    made = blanked(log())
    made.entries[3] = made.entries[3]._replace(body=content)
    result = check(made)
    assert (result.verdict, result.first_bad_index) == (Verdict.TAMPERED, 3)
    made.entries[3] = made.entries[3]._replace(body=body(3))
    assert check(made).verdict is Verdict.FINE


@pytest.mark.parametrize(("first", "end", "named"), [(512, 513, 512), (620, 640, 620), (699, 700, 699), (0, 514, 512)])
def test_a_body_that_is_gone_without_a_word_is_found(first, end, named):
    result = check(blanked(log(), first, end))
    assert (result.verdict, kinds(result), result.first_bad_index) == (Verdict.TAMPERED, {Fault.MISSING}, named)


def test_a_log_of_which_no_entry_tells_a_pruning_has_none():
    made = log(i600=body(600), i601=body(601))
    result = check(blanked(made))
    assert (result.verdict, result.first_bad_index, result.pruned) == (Verdict.TAMPERED, 0, 0)
    assert "entries 0 to 511 are not there, and no entry says that they were pruned" in result.findings[0].message


def test_dropped_or_repeated_rows_of_the_pruned_part_are_found():
    made = blanked(log())
    del made.entries[40]
    assert check(made).first_bad_index == 40
    made = blanked(log())
    made.entries[41] = made.entries[41]._replace(entry_id=made.entries[40].entry_id)
    result = check(made)
    assert (kinds(result), result.first_bad_index) == ({Fault.DUPLICATE}, 41)
    made = blanked(log())
    made.entries[40], made.entries[41] = (
        made.entries[40]._replace(leaf=made.entries[41].leaf),
        made.entries[41]._replace(leaf=made.entries[40].leaf),
    )
    assert check(made).verdict is Verdict.TAMPERED


def test_the_word_of_an_entry_that_no_checkpoint_covers_is_not_enough():
    result = check(blanked(log(checkpoints=(100, 300, 600))))
    assert result.verdict is Verdict.UNDECIDED
    assert "by the word of an entry that no checkpoint covers" in "".join(result.doubts)
    assert check(blanked(log()), keys=()).verdict is Verdict.UNDECIDED


def test_a_fork_at_the_same_size_is_found_by_whoever_kept_a_checkpoint():
    made = blanked(log(checkpoints=(600, SIZE)))
    forked = [leaf_hash(b"other")] * 300
    note = signed(SIGNER, ORIGIN, 300, Frontier().extend(forked).root())
    assert kinds(check(made, pinned=[note])) == {Fault.FORKED}


@pytest.mark.parametrize("content", [None, b"again"])
def test_a_pruning_that_carried_over_fewer_erasures_than_it_says_is_found(content):
    """What a program that skips them would write, or somebody who cuts them out before signing."""
    made = log(i600=body(600)) if content is None else log(i599=again(599, b"\x06" * 32))
    result = check(blanked(made))
    assert (result.verdict, kinds(result)) == (Verdict.TAMPERED, {Fault.MISSING})
    assert "erasures were carried over" in result.findings[0].message


@pytest.mark.parametrize("first", [500, 768, 0])
def test_a_pruning_that_cannot_have_been_is_found(first):
    result = check(log(i601=told(601, first, 1)))
    assert (result.verdict, result.first_bad_index) == (Verdict.TAMPERED, 601)


def test_the_later_of_two_prunings_counts_and_none_goes_back():
    made = log(size=1100, checkpoints=(600, 1000, 1100), i1000=told(1000, 768))
    result = check(blanked(made, end=768))
    assert (result.verdict, result.pruned) == (Verdict.FINE, 768)
    assert len([each for each in result.notices if "pruned under" in each]) == 1
    back = log(size=1100, checkpoints=(600, 1000, 1100), i1000=told(1000, 256))
    assert (check(back).verdict, check(back).first_bad_index) == (Verdict.TAMPERED, 1000)


def test_one_persons_entries_are_told_as_far_as_they_are_left():
    made = log()
    whole, left = (verify_subject(each.stored(), KEYS, KEY) for each in (made, blanked(made)))
    assert left.entries == tuple(each for each in whole.entries if each[0] >= FIRST)
    assert left.log.verdict is Verdict.FINE
    assert left.log.pruned == FIRST
    with pytest.raises(CannotDecide, match="in what is left of it: entries 0 to 511 are pruned"):
        verify_subject(blanked(made).stored(), KEYS, b"\x08" * 32)


def test_a_commitment_that_was_carried_over_is_found_as_the_erasure_was():
    from audit.commitment import subject_commitment

    made = blanked(log(i600=again(600, subject_commitment(b"\x09" * 32))))
    seen = verify_subject(made.stored(), KEYS, b"\x09" * 32)
    assert (seen.entries, seen.log.verdict) == ((), Verdict.FINE)


def test_a_reader_with_the_old_key_alone_cannot_decide_once_the_change_is_pruned():
    """Not tampering: what brought the new key in is not there to be read. Told again, it serves who has the new key."""
    new = Ed25519Signer(ORIGIN, b"\x02" * 32)
    change = Entry(Act.LOG_KEY_ADDED, Outcome.ALLOW, VAULT, pol=spelt(new.public_key, SIGNER.public_key))
    retired = Entry(Act.LOG_KEY_RETIRED, Outcome.ALLOW, VAULT, pol=spelt(new.public_key, SIGNER.public_key))
    made = log(
        checkpoints=(100,), i120=encode(change, entry_id(120), START + 120, None), i130=encode(retired, entry_id(130), START + 130, None),
    )  # fmt: skip
    leaves = [each.leaf for each in made.entries]
    for size in (125, 600, SIZE):
        root = Frontier().extend(leaves[:size])
        note = signed(new, ORIGIN, size, root.root())
        made.checkpoints.append(type(made.checkpoints[0])(size, note, root.pack()))
    assert check(made, keys=(SIGNER.vkey, new.vkey)).verdict is Verdict.FINE
    gone = blanked(made)
    assert check(gone, keys=(SIGNER.vkey, new.vkey)).verdict is Verdict.FINE
    result = check(gone)
    assert (result.verdict, result.findings) == (Verdict.UNDECIDED, ())
    assert check(gone, keys=(new.vkey,)).verdict is Verdict.TAMPERED  # nothing tells of the older key
    carried = (*spelt(new.public_key, SIGNER.public_key), CARRIED_OVER)
    told_again = [
        encode(Entry(act, Outcome.ALLOW, VAULT, pol=carried), entry_id(at), START + at, None)
        for at, act in ((598, Act.LOG_KEY_ADDED), (599, Act.LOG_KEY_RETIRED))
    ]
    restated = make_log(SIGNER, SIZE, (100,), bodies=bodies(i598=told_again[0], i599=told_again[1]))
    leaves = [each.leaf for each in restated.entries]
    for size in (300, SIZE):
        root = Frontier().extend(leaves[:size])
        restated.checkpoints.append(
            type(restated.checkpoints[0])(size, signed(new, ORIGIN, size, root.root()), root.pack())
        )
    assert check(blanked(restated), keys=(new.vkey,)).verdict is Verdict.FINE


def test_the_bodies_of_a_log_say_nothing_of_the_subject_once_pruned():
    made = blanked(log())
    left = b"".join(each.body for each in made.entries)
    assert sref(KEY, entry_id(5)).hex().encode() not in left
