"""The frozen envelope vectors, and the product's envelope against the second implementation, both ways."""

import base64
import hashlib
import json
from pathlib import Path

import generate_envelope_v1 as generator
import oracle_envelope as oracle
import pytest
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from hypothesis import given
from hypothesis import strategies as st

from vault import envelope
from vault.errors import IntegrityFailure

DOCUMENT = json.loads(Path(__file__).with_name("envelope_v1.json").read_text())
CASES = DOCUMENT["cases"]
WRAPPED = bytes(range(40))

wheres = st.fixed_dictionaries(
    {
        "deployment": st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable()),
        "subject": st.binary(min_size=16, max_size=16).map(bytes.hex),
        "category": st.integers(0, 2**16 - 1),
        "field": st.integers(0, 2**16 - 1),
        "item": st.integers(0, 2**64 - 1),
        "schema_version": st.integers(0, 2**16 - 1),
        "version": st.integers(0, 2**64 - 1),
    }
)
generations = st.integers(0, 2**32 - 1)
keys = st.binary(min_size=32, max_size=32)
salts = st.binary(min_size=24, max_size=24)
# Sizes around every border: buckets, and the 16 KiB chunk.
sizes = st.one_of(st.integers(0, 300), st.sampled_from([16379, 16380, 16381, 32764, 32765, 65535, 65536]))
plaintexts = st.builds(
    lambda size, fill: (fill * (size // len(fill) + 1))[:size], sizes, st.binary(min_size=1, max_size=64)
)


def place(where):
    return envelope.FieldContext(
        where["deployment"].encode(),
        bytes.fromhex(where["subject"]),
        where["category"],
        where["field"],
        where["item"],
        where["schema_version"],
        where["version"],
    )


def stored(case):
    if "envelope" in case:
        return base64.b64decode(case["envelope"])
    dek, salt = bytes.fromhex(case["dek"]), bytes.fromhex(case["salt"])
    wrapped = generator.aes_key_wrap(bytes.fromhex(case["leaf"]), dek)
    plaintext = generator.pattern(case["plaintext_length"])
    return oracle.seal(dek, wrapped, case["generation"], case["context"], plaintext, salt)


def open_stored(case):
    """The whole way of a stored value. The key service answers None where the unwrap fails; callers then refuse."""
    sealed = envelope.parse(stored(case))
    try:
        dek = aes_key_unwrap(bytes.fromhex(case["leaf"]), sealed.wrapped)
    except InvalidUnwrap:
        raise IntegrityFailure(IntegrityFailure.code) from None
    return envelope.open_(stored(case), dek, place(case["context"]))


def test_the_file_holds_what_it_should():
    expectations = [case["expect"] for case in CASES]
    assert DOCUMENT["count"] == len(CASES) == 54
    assert expectations.count("ok") == 16
    assert expectations.count("integrity_failure") == 38
    assert len({case["id"] for case in CASES}) == len(CASES)


def test_the_second_implementation_still_writes_the_frozen_file():
    assert generator.text() == generator.FILE.read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_frozen_vector(case):
    content = stored(case)
    assert len(content) == case["length"]
    assert hashlib.sha256(content).hexdigest() == case["sha256"]
    if case["expect"] == "ok":
        assert open_stored(case) == generator.pattern(case["plaintext_length"])
    else:
        with pytest.raises(IntegrityFailure, match=r"\Aintegrity_failure\Z") as raised:
            open_stored(case)
        assert raised.value.__suppress_context__ or raised.value.__context__ is None


@given(wheres, generations, keys, salts, plaintexts)
def test_ours_opens_what_the_second_implementation_seals(where, generation, dek, salt, plaintext):
    content = oracle.seal(dek, WRAPPED, generation, where, plaintext, salt)
    sealed = envelope.parse(content)
    assert (sealed.generation, sealed.wrapped) == (generation, WRAPPED)
    assert envelope.open_(content, dek, place(where)) == plaintext


@given(wheres, generations, keys, plaintexts)
def test_the_second_implementation_opens_what_ours_seals(where, generation, dek, plaintext):
    content = envelope.seal(dek, WRAPPED, generation, place(where), plaintext)
    assert oracle.open_(content, dek, where) == plaintext
    # With the salt that ours drew, the second implementation writes the same bytes.
    assert oracle.seal(dek, WRAPPED, generation, where, plaintext, content[46:70]) == content


@given(wheres, wheres, generations, generations)
def test_contexts_are_encoded_alike_and_never_collide(one, other, generation, another):
    encoded = envelope.context_bytes(generation, place(one))
    assert encoded == oracle.context(oracle.header(generation), one)
    alike = (one, generation) == (other, another)
    assert (encoded == envelope.context_bytes(another, place(other))) is alike
