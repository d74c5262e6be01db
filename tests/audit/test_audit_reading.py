"""Entries read quickly: the same content, and the same refusals, as from the decoder that reads each one whole."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_audit_entry import FULL, GOOD, ID, NEW, SREF, entries, new_keys

from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode, encode
from audit.errors import InvalidEntry
from audit.grammar import FROM_ID, ID_MARK, MAX_ENTRY
from audit.reading import _KINDS, Reader
from audit.reports.lines import marked

PLAIN = encode(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")), ID, 0, None)
OTHER = encode(Entry(Act.FIELD_DENIED, Outcome.DENY, Actor(ActorKind.SYSTEM, "pos"), n=7), ID, 0, SREF, **NEW)


def knowing(*bodies):
    """A reader that has met entries, so that it reads the next of their kinds by what it remembers."""
    reader = Reader()
    for each in bodies:
        reader.read(each)
    return reader


def same(reader, body):
    """Hold a reader against the decoder; the content, or None where both refuse."""
    try:
        whole = decode(body)
    except InvalidEntry:
        with pytest.raises(InvalidEntry):
            reader.read(body)
        return None
    content = reader.read(body)
    assert dict(content) == whole
    assert list(content) == list(whole)
    assert len(content) == len(whole)
    for key in ("act", "actor", "com", "dc", "fld", "id", "n", "req", "sref", "stf", "t", "tok", "v", "none"):
        assert content.get(key) == whole.get(key)
        assert content.get(key, "-") == whole.get(key, "-")
        if key in whole:
            assert reader.read(body)[key] == whole[key]
        else:
            with pytest.raises(KeyError):
                reader.read(body)[key]
    assert content.moment.decode() == whole["t"]
    return whole


@given(
    st.lists(
        st.tuples(entries, st.binary(min_size=16, max_size=16), st.integers(0, 4_000_000_000), new_keys), max_size=6
    )
)
def test_whatever_is_written_is_read_as_the_decoder_reads_it(written):
    reader = Reader()
    bodies = []
    for entry, entry_id, t, more in written:
        with suppress(InvalidEntry):  # longer than an entry may be
            bodies.append(encode(entry, entry_id, t, SREF, **more))
    for body in bodies * 2:  # met, then remembered
        assert same(reader, body) is not None


@settings(max_examples=500)
@given(st.sampled_from((GOOD, PLAIN, OTHER)), st.integers(0, 1000), st.binary(max_size=3), st.integers(0, 3))
def test_a_changed_body_is_refused_wherever_the_decoder_refuses_it(body, at, put, cut):
    at %= len(body)
    same(knowing(GOOD, PLAIN, OTHER), body[:at] + put + body[at + cut :])


@settings(max_examples=300)
@given(st.permutations((GOOD, PLAIN, OTHER)), st.integers(0, 1000), st.integers(0, 1000))
def test_two_entries_spliced_are_read_or_refused_alike(bodies, left, right):
    first, second, _ = bodies
    same(knowing(*bodies), first[: left % len(first)] + second[right % len(second) :])


@pytest.mark.parametrize(
    ("was", "then"),
    [
        (b'"v":2}', b'"v":1}'),
        (b'"v":2}', b'"v":3}'),
        (b'"t":"1970-01-01', b'"t":"1970-02-30'),  # of the right form, and no day
        (b'"t":"1970-01-01', b'"t":"1970-00-01'),
        (b'"id":"', b'"id":"g'),
        (b'"sref":"5', b'"sref":"G'),
        (b',"tok":"' + b"55" * 16 + b'"', b""),  # what version 2 came for is partly gone: still of version 2
        (b',"stf":"' + b"44" * 16 + b'","t"', b',"t"'),
        (b'"n":7', b'"n":9007199254740992'),
        (b'"n":7', b'"n":07'),
        (b'"act":"field.denied"', b'"act":"field.undone"'),
        (b"}", b"}\n"),
    ],
)
def test_what_no_encoder_writes_is_refused_also_in_an_entry_of_a_known_kind(was, then):
    assert was in OTHER
    same(knowing(GOOD, PLAIN, OTHER), OTHER.replace(was, then, 1))


def test_the_version_goes_by_the_hashes_of_each_entry_and_not_by_the_kind():
    entry = Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, Actor(ActorKind.SYSTEM, "pos"), ("phone:raw",))
    plain, staffed = encode(entry, ID, 0, SREF), encode(entry, ID, 0, SREF, stf=NEW["stf"])
    for first, second in ((plain, staffed), (staffed, plain)):
        reader = knowing(first)
        assert same(reader, second)["v"] == (2 if second is staffed else 1)
        assert (
            same(
                reader, second.replace(b'"v":2', b'"v":1') if second is staffed else second.replace(b'"v":1', b'"v":2')
            )
            is None
        )


def test_a_kind_that_no_decoder_read_is_not_taken_from_two_that_it_read():
    """A commitment belongs to three acts: the piece that has it is not taken from one entry and put before another's."""
    wrong = GOOD.replace(b'"subject.registered"', b'"field.disclosed"')
    assert same(knowing(GOOD, OTHER), wrong) is None


def test_an_entry_that_is_too_long_is_refused():
    long = GOOD[:-1] + b" " * MAX_ENTRY + b"}"
    assert same(knowing(GOOD), long) is None


def test_kinds_without_end_do_not_fill_the_memory():
    reader = Reader()
    for number in range(_KINDS + 50):
        entry = Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, Actor(ActorKind.SYSTEM, f"s-{number}"))
        reader.read(encode(entry, ID, number * 86_400, None))
    assert len(reader._kinds) <= _KINDS
    assert len(reader._days) <= _KINDS
    assert repr(reader.read(GOOD)) == "Content(…)"


def test_the_two_pieces_of_the_grammar_meet_at_the_id_alone():
    at = GOOD.find(ID_MARK)
    assert GOOD.count(ID_MARK) == 1
    assert FROM_ID.fullmatch(GOOD, at)["middle"].startswith(b',"n":3,"out"')


@given(entries, st.sampled_from(["", "pos", "sys-paris", 'a","k":"system']), st.sampled_from(Outcome))
def test_marks_are_in_an_entry_exactly_when_it_says_so(entry, actor, outcome):
    with suppress(InvalidEntry):
        body = encode(entry, ID, 0, None)
        content = decode(body)
        meant = content["out"] == outcome and (not actor or content["actor"]["id"] == actor)
        assert all(mark in body for mark in marked(actor, outcome)) == meant
        for purpose in ("clienteling", entry.pur):
            told = not purpose or content.get("pur") == purpose
            assert all(mark in body for mark in marked(purpose=purpose)) == told


def test_every_word_of_the_full_entry_is_found_by_its_mark():
    for mark in marked(FULL.actor.id, FULL.out, FULL.pur):
        assert mark in GOOD
