"""Field envelopes: every altered bit and every exchanged part fails, with one and the same error."""

import pytest
from cryptography.cobblestone import Cobblestone256Encryptor
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st

from vault import envelope
from vault.envelope import FieldContext
from vault.errors import IntegrityFailure

DEK = bytes(range(32))
LEAF = bytes(range(32, 64))
WRAPPED = aes_key_wrap(LEAF, DEK)
CONTEXT = FieldContext(b"demo", b"s" * 16, 2, 201, 0, 1, 7)
OTHERS = {
    "deployment": b"demp",
    "subject": b"t" * 16,
    "category": 3,
    "field": 202,
    "item": 1,
    "schema_version": 2,
    "version": 8,
}


def sealed_of(plaintext, *, dek=DEK, wrapped=WRAPPED, generation=0, context=CONTEXT):
    return envelope.seal(dek, wrapped, generation, context, plaintext)


def opened(content, *, dek=DEK, context=CONTEXT):
    return envelope.open_(content, dek, context)


def refused(content, **how):
    with pytest.raises(IntegrityFailure) as raised:
        opened(content, **how)
    assert str(raised.value) == "integrity_failure"
    assert raised.value.__cause__ is None
    return True


def test_every_single_bit_of_a_small_envelope_counts():
    content = sealed_of(b"+33 1 00 00 00 00")
    for bit in range(len(content) * 8):
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << bit % 8
        if 6 <= bit // 8 < 46:
            # The wrapped data key: under its leaf it no longer gives this data key.
            with pytest.raises(Exception, match=r"\A\Z") as raised:
                aes_key_unwrap(LEAF, envelope.parse(bytes(altered)).wrapped)
            assert raised.typename == "InvalidUnwrap"
        else:
            assert refused(bytes(altered))


@given(st.data())
def test_any_bit_of_a_long_envelope_counts(data):
    content = bytearray(LONG)
    at = data.draw(
        st.one_of(st.integers(46, len(content) - 1), st.sampled_from([46, 69, 70, 101, 102, 102 + 16384, 102 + 16400]))
    )
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    assert refused(bytes(content))


LONG = sealed_of(bytes(range(256)) * 100)


@pytest.mark.parametrize("part", OTHERS)
def test_a_value_opens_nowhere_else(part):
    content = sealed_of(b"54")
    assert refused(content, context=CONTEXT._replace(**{part: OTHERS[part]}))


def test_the_wrapped_key_of_another_value_does_not_open_this_one():
    """Both data keys lie under one leaf, so the exchanged key unwraps well; the message's commitment refuses it."""
    other = bytes(range(64, 96))
    mine, theirs = sealed_of(b"54"), sealed_of(b"56", dek=other, wrapped=aes_key_wrap(LEAF, other))
    exchanged = mine[:6] + theirs[6:46] + mine[46:]
    dek = aes_key_unwrap(LEAF, envelope.parse(exchanged).wrapped)
    assert dek == other
    assert refused(exchanged, dek=dek)


def test_header_of_another_generation_is_refused():
    content = sealed_of(b"54", generation=1)
    assert refused(sealed_of(b"54", generation=2)[:6] + content[6:])


@pytest.mark.parametrize("head", [b"\x00\x01", b"\x02\x01", b"\x01\x00", b"\x01\x02", b"\xff\xff"])
def test_unknown_version_or_suite_is_refused_before_any_key_is_asked_for(head):
    with pytest.raises(IntegrityFailure):
        envelope.parse(head + sealed_of(b"54")[2:])


@pytest.mark.parametrize("size", [0, 1, 6, 46, 102, 149])
def test_short_bytes_are_refused(size):
    assert refused(sealed_of(b"54")[:size])


def test_longer_than_any_envelope_is_refused_unread():
    with pytest.raises(IntegrityFailure):
        envelope.parse(b"\x01\x01" + bytes(200_000))


@pytest.mark.parametrize("kept", [102 + 16400, 102 + 16400 + 8, 102 + 9000, 102])
def test_a_cut_message_gives_nothing_out(kept):
    """The library's streaming decryptor would have handed out the first chunk."""
    assert refused(LONG[:kept])


@pytest.mark.parametrize("dek", [b"", bytes(31), bytes(32), bytes(33)])
def test_a_wrong_data_key_is_the_same_error(dek):
    assert refused(sealed_of(b"54"), dek=dek)


@pytest.mark.parametrize(
    "padded",
    [
        b"\0\0\0\x02" + b"54" + bytes(25) + b"\1",
        b"\0\0\0\x02" + b"54" + bytes(58),
        b"\0\0\0\x02" + b"54" + bytes(42),
        b"\0\0\0\x1d" + bytes(28),
        b"\xff\xff\xff\xff" + bytes(28),
        b"\x7f\xff\xff\xff" + bytes(60),
    ],
)
def test_padding_is_checked_though_authentic(padded):
    encryptor = Cobblestone256Encryptor(DEK, envelope.context_bytes(0, CONTEXT))
    assert refused(sealed_of(b"54")[:46] + encryptor.update(padded) + encryptor.finalize())


@given(st.binary(max_size=3000))
def test_what_is_sealed_opens(plaintext):
    content = sealed_of(plaintext)
    assert opened(content) == plaintext
    assert len(content) == 46 + 56 + envelope.bucket(len(plaintext)) + 16


@pytest.mark.parametrize("size", [16379, 16380, 16381, 40_000, envelope.MAX_PLAINTEXT])
def test_values_of_several_chunks(size):
    assert opened(sealed_of(b"x" * size)) == b"x" * size


def test_stored_size_tells_the_bucket_only():
    assert len({len(sealed_of(b"x" * size)) for size in range(29)}) == 1
    assert len(sealed_of(b"x" * 28)) == 150
    assert [envelope.bucket(size) for size in (0, 28, 29, 60, 61, 124, 125)] == [32, 32, 64, 64, 128, 128, 256]


def test_equal_values_never_look_alike():
    assert len({sealed_of(b"yes")[46:] for _ in range(100)}) == 100


def test_rewrapping_the_data_key_leaves_the_message_alone():
    """What re-keying a compartment will do: 40 bytes change, the header keeps the generation of the sealing."""
    content = sealed_of(b"54", generation=3)
    another_leaf = bytes(range(96, 128))
    moved = content[:6] + aes_key_wrap(another_leaf, aes_key_unwrap(LEAF, content[6:46])) + content[46:]
    assert opened(moved, dek=aes_key_unwrap(another_leaf, moved[6:46])) == b"54"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", b"s" * 15),
        ("subject", b"s" * 17),
        ("category", -1),
        ("field", 2**16),
        ("item", -1),
        ("version", 2**64),
        ("deployment", bytes(2**16)),
    ],
)
def test_impossible_contexts_seal_nothing_and_open_nothing(name, value):
    impossible = CONTEXT._replace(**{name: value})
    with pytest.raises(ValueError):
        sealed_of(b"54", context=impossible)
    with pytest.raises(ValueError):
        envelope.context_bytes(0, impossible)
    assert refused(sealed_of(b"54"), context=impossible)


@pytest.mark.parametrize(
    "how",
    [{"dek": bytes(31)}, {"wrapped": bytes(39)}, {"generation": -1}, {"generation": 2**32}],
)
def test_impossible_parts_seal_nothing(how):
    with pytest.raises(ValueError):
        sealed_of(b"54", **how)


def test_a_value_over_the_limit_is_refused():
    with pytest.raises(ValueError):
        sealed_of(bytes(envelope.MAX_PLAINTEXT + 1))


def test_no_repr_shows_a_subject():
    assert repr(CONTEXT) == "FieldContext(…)"
