"""A log outside is read whole or refused: whatever is dropped, altered, moved or unsigned, nothing in it is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Checkpoint
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode
from audit.errors import CannotDecide, VerificationError
from audit.merkle import Frontier, leaf_hash
from audit.outside import Run, Source, merged, open_outside, read
from audit.pseudonym import messages_of, places_of, pseudonym

ACTOR = Actor(ActorKind.VAULT, "tests")
KEYS = [bytes([number]) * 32 for number in range(1, 5)]


def entry(number, act=Act.SUBJECT_LISTED, out=Outcome.ALLOW, key=None, **more):
    identity = number.to_bytes(16)
    sref = None if key is None else pseudonym(key, identity)
    return encode(Entry(act, out, ACTOR, **more), identity, 1_800_000_000 + number, sref)


def log(size=600, **special):
    return [special.get(f"e{number}") or entry(number) for number in range(size)]


def source(bodies, leaves=None):
    def runs():
        for first in range(0, len(bodies), 256):
            some = bodies[first : first + 256]
            yield Run(first, some, () if leaves is None else leaves[first : first + 256])

    return Source("log", len(bodies), "", runs)


def root(bodies, size=None):
    return Frontier().extend(map(leaf_hash, bodies[:size])).root()


def signed(bodies):
    return Checkpoint("log", len(bodies), root(bodies))


def test_erasures_are_told_from_where_they_count_and_no_others():
    asked = {"fld": ("category:contact",), "pol": ("erasure.category", "erasure.request"), "n": 1}
    bodies = log(
        e3=entry(3, Act.SUBJECT_ERASED, com=b"\1" * 32),
        e4=entry(4, Act.ERASURE_REQUESTED, key=KEYS[0], **asked),
        e500=entry(500, Act.SUBJECT_ERASED, com=b"\2" * 32),
        e501=entry(501, Act.ERASURE_REQUESTED, key=KEYS[1], **asked),
        e502=entry(502, Act.ERASURE_REQUESTED, Outcome.DENY, key=KEYS[2], **asked),
        e503=entry(503, Act.CATEGORY_ERASED, key=KEYS[1], fld=("category:contact",)),
    )
    told = read(source(bodies), signed(bodies), {400: root(bodies, 400)}, 400, 400)
    assert (told.erased, told.beyond, told.absent) == ({b"\2" * 32}, 200, 0)
    (only,) = told.asked
    assert (only.entry_id, only.names) == ((501).to_bytes(16), ("category:contact",))
    assert only.rules == {"erasure.category", "erasure.request"}
    assert read(source(bodies), signed(bodies), {}, 400, 0).erased == {b"\1" * 32, b"\2" * 32}
    nothing = read(source(bodies), signed(bodies), {}, 600, 600)
    assert (nothing.erased, nothing.asked) == (set(), [])
    assert merged([told, nothing]).erased == told.erased


def test_what_was_told_again_before_it_was_pruned_is_told(tmp_path):
    leaves = [leaf_hash(each) for each in BODIES]
    carried = entry(300, Act.ERASURE_CARRIED, com=b"\3" * 32, pol=("carried.pruned",))
    bodies = [*BODIES, carried, entry(301, Act.LOG_PRUNED, n=256)]
    kept = [b""] * 256 + bodies[256:]
    told = read(source(kept, [*leaves, *map(leaf_hash, bodies[300:])]), signed(bodies), {}, 0, 0)
    assert (told.erased, told.absent) == ({b"\2" * 32, b"\3" * 32}, 256)


def test_the_person_of_a_key_is_found_in_all_their_entries_and_in_nobody_elses():
    ids = [number.to_bytes(16) for number in range(8)]
    mine = [pseudonym(KEYS[number % 4], each) for number, each in enumerate(ids)]
    assert [places_of(key, messages_of(ids), mine) for key in KEYS] == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert places_of(b"\x09" * 32, messages_of(ids), mine) == []


BODIES = log(300, e290=entry(290, Act.SUBJECT_ERASED, com=b"\2" * 32))


@given(st.sampled_from(["drop", "double", "swap", "alter", "cut"]), st.integers(0, 298))
def test_whatever_is_done_to_an_entry_is_refused(what, at):
    bodies = list(BODIES)
    if what == "drop":
        del bodies[at]
    elif what == "double":
        bodies.insert(at, bodies[at])
    elif what == "swap":
        bodies[at], bodies[at + 1] = bodies[at + 1], bodies[at]
    elif what == "alter":
        bodies[at] = bodies[at].replace(b'"out":"allow"', b'"out":"error"')
    else:
        bodies[at:] = []
    with pytest.raises((VerificationError, CannotDecide)):
        read(source(bodies), signed(BODIES), {200: root(BODIES, 200)}, 200, 200)


@given(st.integers(0, 300))
def test_a_log_that_went_another_way_at_any_size_is_refused(size):
    other = root([b"other", *BODIES], size)
    if size == 0:
        other = b"\0" * 32
    with pytest.raises(VerificationError):
        read(source(BODIES), signed(BODIES), {size: other}, 0, 0)


def test_recorded_hashes_that_differ_and_gaps_are_refused():
    leaves = [leaf_hash(each) for each in BODIES]
    assert read(source(BODIES, leaves), signed(BODIES), {}, 0, 0).erased
    leaves[7] = b"\0" * 32
    with pytest.raises(VerificationError):
        read(source(BODIES, leaves), signed(BODIES), {}, 0, 0)
    gap = Source("log", 300, "", lambda: iter([Run(0, BODIES[:100]), Run(101, BODIES[101:])]))
    with pytest.raises(CannotDecide):
        read(gap, signed(BODIES), {}, 0, 0)


def test_where_bodies_are_gone_their_hashes_do_for_what_is_known_and_for_nothing_newer():
    leaves = [leaf_hash(each) for each in BODIES]
    pruned = [b""] * 256 + BODIES[256:]
    told = read(source(pruned, leaves), signed(BODIES), {256: root(BODIES, 256)}, 256, 0)
    assert (told.erased, told.absent) == ({b"\2" * 32}, 256)
    with pytest.raises(CannotDecide):
        read(source(pruned, leaves), signed(BODIES), {}, 255, 255)
    with pytest.raises(CannotDecide):
        read(source(pruned), signed(BODIES), {}, 256, 256)


def test_the_root_of_a_whole_tile_does_for_its_entries():
    whole = root(BODIES, 256)
    given = Source("log", 300, "", lambda: iter([Run(0, root=whole), Run(256, BODIES[256:])]))
    assert read(given, signed(BODIES), {256: whole}, 256, 256).erased == {b"\2" * 32}
    with pytest.raises(CannotDecide):  # the state that is known lies within
        read(given, signed(BODIES), {200: root(BODIES, 200)}, 256, 256)
    with pytest.raises(CannotDecide):
        read(given, signed(BODIES), {}, 200, 200)
    wrong = Source("log", 300, "", lambda: iter([Run(0, root=b"\0" * 32), Run(256, BODIES[256:])]))
    with pytest.raises(VerificationError):
        read(wrong, signed(BODIES), {}, 256, 256)


def test_erasures_behind_the_signature_are_nobodys_word():
    longer = [*BODIES, entry(300)]
    assert read(source(longer), signed(BODIES), {}, 0, 0).erased
    with pytest.raises(VerificationError):
        read(source([*longer, entry(301, Act.SUBJECT_ERASED, com=b"\3" * 32)]), signed(BODIES), {}, 0, 0)


def test_what_is_no_log_is_none(tmp_path):
    (tmp_path / "checkpoint").write_text("no note")
    (tmp_path / "file").write_bytes(b"no database")
    (tmp_path / "file.zip").write_bytes(b"no archive")
    for path in (tmp_path, tmp_path / "file", tmp_path / "file.zip", tmp_path / "absent"):
        with pytest.raises(CannotDecide), open_outside(path):
            pass
    (tmp_path / "empty").mkdir()
    with open_outside(tmp_path / "empty") as found:
        assert found == []
