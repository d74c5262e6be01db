"""Every way to change a stored log: found, filed under the right verdict, and the entry named where it can be."""

import pytest
from tamperable_log import ORIGIN, Ed25519Signer, body, entry_id, make_log, signed

from audit.findings import Fault, Verdict, report
from audit.merkle import Frontier, leaf_hash
from audit.stored import StoredCheckpoint, StoredEntry
from audit.verify import verify_log

SIZE = 60
SIGNED = (20, 45)  # the last 15 entries rest on the head alone
SIGNER = Ed25519Signer(ORIGIN)


def fresh(size=SIZE, checkpoints=SIGNED, **options):
    return make_log(SIGNER, size, checkpoints, **options)


def check(log, pinned=(), keys=(SIGNER.vkey,), origin=ORIGIN):
    return verify_log(log.stored(), keys, pinned, origin)


def flips(content):
    """The content with each byte flipped in turn, another bit each time."""
    for place, byte in enumerate(content):
        yield content[:place] + bytes([byte ^ 1 << place % 8]) + content[place + 1 :]


def kinds(result):
    return {each.kind for each in result.findings}


def pin(size, log=None, signer=SIGNER):
    leaves = [entry.leaf for entry in (log or fresh()).entries[:size]]
    return signed(signer, signer.name, size, Frontier().extend(leaves).root())


def reindexed(entries):
    return [entry._replace(idx=index) for index, entry in enumerate(entries)]


def repaired(entry, content):
    """What a careful attacker stores: the recorded hash follows the body."""
    return entry._replace(body=content, leaf=leaf_hash(content))


def test_a_sound_log_is_fine():
    result = check(fresh(), pinned=[pin(20), pin(45), pin(7)])
    assert result.verdict is Verdict.FINE
    assert (result.size, result.signed, result.checkpoints) == (SIZE, 45, 5)
    assert result.root == Frontier().extend(leaf_hash(body(index)) for index in range(SIZE)).root()
    assert result.first_bad_index is None


@pytest.mark.parametrize("index", range(SIZE))
def test_any_byte_of_any_body_flipped_names_the_entry(index):
    log = fresh()
    entry = log.entries[index]
    for content in flips(entry.body):
        log.entries[index] = entry._replace(body=content)
        result = check(log)
        assert result.verdict is Verdict.TAMPERED
        assert result.first_bad_index == index
        assert kinds(result) == {Fault.CHANGED}


@pytest.mark.parametrize("column", ["leaf", "entry_id"])
def test_any_byte_beside_any_entry_flipped_names_the_entry(column):
    log = fresh()
    for index, entry in enumerate(log.entries):
        for content in flips(getattr(entry, column)):
            log.entries[index] = entry._replace(**{column: content})
            result = check(log)
            assert result.verdict is Verdict.TAMPERED
            assert result.first_bad_index == index
        log.entries[index] = entry


def test_any_byte_of_any_checkpoint_flipped_is_tampering():
    log = fresh()
    for place, stored in enumerate(log.checkpoints):
        for content in flips(stored.note.encode()):
            log.checkpoints[place] = stored._replace(note=content.decode("utf-8", "replace"))
            result = check(log)
            assert result.verdict is Verdict.TAMPERED, content
            assert kinds(result) == {Fault.CHECKPOINT}
        for content in flips(stored.stack):
            log.checkpoints[place] = stored._replace(stack=content)
            assert check(log).verdict is Verdict.TAMPERED
        log.checkpoints[place] = stored._replace(size=stored.size + 1)
        assert check(log).verdict is Verdict.TAMPERED
        log.checkpoints[place] = stored


def test_any_byte_of_the_only_checkpoint_flipped_is_tampering_and_not_doubt():
    log = fresh(checkpoints=(SIZE,))
    (stored,) = log.checkpoints
    for content in flips(stored.note.encode()):
        log.checkpoints[0] = stored._replace(note=content.decode("utf-8", "replace"))
        assert check(log).verdict is Verdict.TAMPERED, content


def test_any_byte_of_the_head_flipped_is_tampering():
    log = fresh()
    sound = log.stack
    for content in flips(sound):
        log.stack = content
        assert check(log).verdict is Verdict.TAMPERED
    log.stack = sound
    for size in (0, SIZE - 1, SIZE + 1, 1 << 40, -1):
        log.size = size
        assert check(log).verdict is Verdict.TAMPERED
    log.size = SIZE
    for origin in flips(ORIGIN.encode()):
        log.origin = origin.decode("utf-8", "replace")
        assert check(log).verdict is Verdict.TAMPERED


@pytest.mark.parametrize("index", range(SIZE))
def test_a_change_with_its_recorded_hash_is_found_between_two_checkpoints(index):
    log = fresh()
    log.entries[index] = repaired(log.entries[index], body(index).replace(b'"v":1', b'"v":1').replace(b"2026", b"2025"))
    result = check(log)
    assert result.verdict is Verdict.TAMPERED
    assert result.first_bad_index == max(size for size in (0, *SIGNED) if size <= index)
    assert kinds(result) == ({Fault.HEAD} if index >= SIGNED[-1] else {Fault.CHANGED})


@pytest.mark.parametrize("index", range(SIZE))
def test_a_dropped_entry_is_missing(index):
    log = fresh()
    del log.entries[index]
    result = check(log)
    assert result.verdict is Verdict.TAMPERED
    assert result.first_bad_index == index
    assert kinds(result) == ({Fault.TRUNCATED} if index == SIZE - 1 else {Fault.MISSING})


@pytest.mark.parametrize("index", range(SIZE))
def test_a_dropped_entry_whose_gap_was_closed_is_found(index):
    log = fresh()
    log.entries = reindexed(log.entries[:index] + log.entries[index + 1 :])
    log.size = SIZE - 1
    log.stack = Frontier().extend(entry.leaf for entry in log.entries).pack()
    result = check(log)
    if index >= SIGNED[-1]:
        # Nobody vouched for these entries yet: the database's word is all there is, until somebody holds a checkpoint.
        assert result.verdict is Verdict.FINE
        assert result.signed == SIGNED[-1]
        result = check(log, pinned=[pin(SIZE)])
    assert result.verdict is Verdict.TAMPERED
    if index >= SIGNED[-1]:
        assert kinds(result) == {Fault.TRUNCATED}
        assert "any entry from 45 on" in result.findings[0].message
    else:
        assert result.first_bad_index == max(size for size in (0, *SIGNED) if size <= index)


@pytest.mark.parametrize("index", range(0, SIZE, 7))
def test_a_repeated_entry_is_named(index):
    log = fresh()
    log.entries = reindexed([*log.entries[: index + 1], log.entries[index], *log.entries[index + 1 :]])
    log.size = SIZE + 1
    log.stack = Frontier().extend(entry.leaf for entry in log.entries).pack()
    result = check(log)
    assert result.verdict is Verdict.TAMPERED
    assert Fault.DUPLICATE in kinds(result)
    assert index + 1 in {each.index for each in result.findings if each.kind is Fault.DUPLICATE}


@pytest.mark.parametrize(("left", "right"), [(0, 1), (3, 17), (19, 20), (5, 50), (46, 59), (58, 59)])
def test_bodies_that_changed_places_are_named_as_such(left, right):
    log = fresh()
    one, two = log.entries[left], log.entries[right]
    log.entries[left] = one._replace(body=two.body)
    log.entries[right] = two._replace(body=one.body)
    result = check(log)
    assert kinds(result) == {Fault.REORDERED}
    assert {each.index for each in result.findings} == {left, right}


@pytest.mark.parametrize(("left", "right"), [(0, 1), (3, 17), (19, 20), (5, 50), (46, 59), (58, 59)])
def test_whole_rows_that_changed_places_are_found(left, right):
    log = fresh()
    log.entries[left], log.entries[right] = log.entries[right], log.entries[left]
    log.entries = reindexed(log.entries)
    result = check(log)
    assert result.verdict is Verdict.TAMPERED
    assert result.first_bad_index <= left


@pytest.mark.parametrize("size", range(SIZE))
def test_a_log_cut_short_is_truncated(size):
    log = fresh()
    log.entries = log.entries[:size]
    result = check(log)
    assert kinds(result) == {Fault.TRUNCATED}
    assert result.first_bad_index == size


@pytest.mark.parametrize("size", range(SIZE))
def test_a_log_cut_short_with_its_head_and_checkpoints_is_found_by_a_checkpoint_kept_elsewhere(size):
    """What a database restored from an older backup looks like."""
    log = fresh(size, [each for each in SIGNED if each <= size])
    result = check(log, pinned=[pin(SIZE)])
    assert kinds(result) == {Fault.TRUNCATED}
    assert result.first_bad_index == size


def test_a_log_written_anew_with_the_stolen_key_is_found_by_a_checkpoint_kept_elsewhere():
    forged = fresh(bodies=[body(index, 1_790_000_001) for index in range(SIZE)])
    assert check(forged).verdict is Verdict.FINE
    result = check(forged, pinned=[pin(30)])
    assert kinds(result) == {Fault.FORKED}
    assert result.verdict is Verdict.TAMPERED


def test_two_statements_about_one_size_are_a_fork():
    other = [body(index, 1_790_000_001) for index in range(SIZE)]
    result = check(fresh(), pinned=[pin(45, fresh(bodies=other))])
    assert kinds(result) == {Fault.FORKED}


def test_a_stale_checkpoint_does_not_hide_a_change_behind_it():
    log = fresh()
    log.entries[30] = repaired(log.entries[30], body(30, 1_790_000_001))
    log.checkpoints = log.checkpoints[:1]
    log.stack = Frontier().extend(entry.leaf for entry in log.entries).pack()
    assert check(log, pinned=[pin(20)]).signed == 20
    assert check(log, pinned=[pin(45)]).verdict is Verdict.TAMPERED


def test_a_twin_that_means_the_same_but_is_spelled_otherwise_is_found():
    twin = body(2).replace(b'"v":1', b'"v": 1')
    log = fresh()
    log.entries[2] = repaired(log.entries[2], twin)
    result = check(log)
    assert {Fault.MALFORMED, Fault.CHANGED} <= kinds(result)
    bodies = [body(index) if index != 2 else twin for index in range(SIZE)]
    signed_as_such = check(fresh(bodies=bodies))
    assert kinds(signed_as_such) == {Fault.MALFORMED}
    assert signed_as_such.first_bad_index == 2


def test_entries_out_of_order_in_the_source():
    log = fresh()
    log.entries[10], log.entries[11] = log.entries[11], log.entries[10]
    result = check(log)
    assert Fault.REORDERED in kinds(result)
    assert result.first_bad_index == 10


def test_entries_beyond_the_head_are_found():
    log = fresh(SIZE + 2)
    log.size, log.stack = SIZE, fresh().stack
    result = check(log)
    assert kinds(result) == {Fault.HEAD}
    assert result.first_bad_index == SIZE


def test_a_log_whose_head_is_gone_is_tampering():
    log = fresh()
    log.origin, log.size, log.stack = "", 0, b""
    result = check(log)
    assert result.verdict is Verdict.TAMPERED


def test_values_of_impossible_types_become_findings_and_not_crashes():
    log = fresh()
    log.entries[4] = StoredEntry(4, b"", b"", b"")
    log.entries[5] = log.entries[5]._replace(leaf=b"short")
    log.entries[6] = log.entries[6]._replace(entry_id=b"")
    log.checkpoints[0] = StoredCheckpoint(-1, "", b"")
    result = check(log)
    assert {each.index for each in result.findings} == {
        None,
        0,
        4,
        5,
        6,
    }  # 0: both the body and the hash of entry 4 are gone


def test_very_many_findings_are_counted_and_not_kept():
    log = fresh(400, (400,))
    log.entries = [entry._replace(body=b"x") for entry in log.entries]
    result = check(log)
    assert len(result.findings) + result.more_findings >= 400
    assert len(result.findings) <= 101


# Missing material is not tampering, and tampering is not missing material.


def test_without_a_key_nothing_is_fine():
    result = check(fresh(), keys=())
    assert result.verdict is Verdict.UNDECIDED
    broken = fresh()
    broken.entries[3] = repaired(broken.entries[3], body(3, 1_790_000_001))
    assert check(broken, keys=()).verdict is Verdict.TAMPERED


def test_without_a_checkpoint_nothing_is_fine():
    assert check(fresh(checkpoints=())).verdict is Verdict.UNDECIDED
    assert check(fresh(checkpoints=()), pinned=[pin(30)]).verdict is Verdict.FINE


def test_with_the_key_of_another_log_nothing_can_be_decided():
    stranger = Ed25519Signer(ORIGIN, b"\x02" * 32)
    assert check(fresh(), keys=(stranger.vkey,)).verdict is Verdict.UNDECIDED


def test_a_strangers_checkpoint_among_good_ones_is_tampering():
    stranger = Ed25519Signer(ORIGIN, b"\x02" * 32)
    log = fresh()
    log.checkpoints[1] = log.checkpoints[1]._replace(note=pin(45, log, stranger))
    assert kinds(check(log)) == {Fault.CHECKPOINT}


def test_a_checkpoint_of_another_log_is_not_taken():
    other = Ed25519Signer("vault.example/other")
    result = check(fresh(), keys=(SIGNER.vkey, other.vkey), pinned=[pin(20, fresh(), other)])
    assert result.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("note", ["", "x", "x\n\n— y z\n"])
def test_a_broken_checkpoint_from_elsewhere_is_doubt(note):
    assert check(fresh(), pinned=[note]).verdict is Verdict.UNDECIDED


def test_tampering_outweighs_doubt():
    log = fresh()
    log.entries[9] = log.entries[9]._replace(body=b"x")
    result = check(log, pinned=["broken"])
    assert result.verdict is Verdict.TAMPERED
    assert result.doubts


def test_a_clock_that_steps_back_is_noticed_and_no_fault():
    bodies = [body(index, 1_790_000_000 - (3600 if index == 12 else 0)) for index in range(SIZE)]
    result = check(fresh(bodies=bodies))
    assert result.verdict is Verdict.FINE
    assert result.notices == ("the clock steps back 3599 s at entry 12",)


def test_an_empty_log_with_nothing_signed_cannot_be_decided():
    assert check(fresh(0, ())).verdict is Verdict.UNDECIDED


def test_the_id_is_read_from_the_body_when_the_source_keeps_none():
    log = fresh()
    log.entries = [StoredEntry(entry.idx, entry.body) for entry in log.entries]
    assert check(log).verdict is Verdict.FINE
    log.entries[8] = StoredEntry(8, body(8, 1_790_000_001))
    result = check(log)
    assert kinds(result) == {Fault.CHANGED}
    assert result.first_bad_index == 0
    assert entry_id(8).hex().encode() in log.entries[8].body


def test_a_log_under_another_name_than_expected_is_found():
    result = check(fresh(origin="vault.example/other"))
    assert result.verdict is Verdict.TAMPERED
    assert Fault.HEAD in kinds(result)


def test_the_empty_checkpoint_holds_for_every_log():
    assert check(fresh(), pinned=[pin(0)]).verdict is Verdict.FINE


def test_a_date_that_does_not_exist_is_malformed():
    impossible = body(12).replace(body(12).rpartition(b'"t":"')[2][:10], b"2026-02-30")
    result = check(fresh(bodies=[impossible if index == 12 else body(index) for index in range(SIZE)]))
    assert kinds(result) == {Fault.MALFORMED}
    assert result.first_bad_index == 12


def test_the_report_says_how_much_more_there_is():
    log = fresh(400, (400,))
    log.entries = [entry._replace(entry_id=b"") for entry in log.entries]
    result = check(log)
    assert result.more_findings == 300
    assert "and 300 findings more" in report(result)
    assert "TAMPERED" in report(result)


def test_the_report_says_what_nobody_vouched_for():
    assert "15 entries are not under a checkpoint yet" in report(check(fresh()))
