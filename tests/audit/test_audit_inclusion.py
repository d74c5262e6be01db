"""Inclusion proofs from one pass over the leaves: the same as the tree's own, for any entries of any log."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import VerificationError
from audit.inclusion import prove
from audit.merkle import inclusion_proof, root_hash, verify_inclusion


def leaves(count):
    return [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(count)]


@given(st.integers(1, 200), st.data())
def test_proofs_are_those_of_the_tree(size, data):
    hashes = leaves(size)
    wanted = data.draw(st.lists(st.integers(0, size - 1), max_size=6))
    proofs = prove(wanted, size, iter(hashes))
    assert proofs == [list(inclusion_proof(index, hashes)) for index in wanted]
    for index, proof in zip(wanted, proofs, strict=True):
        verify_inclusion(index, size, hashes[index], proof, root_hash(hashes))


def test_every_entry_of_every_small_log():
    for size in range(1, 34):
        hashes = leaves(size)
        assert prove(range(size), size, hashes) == [list(inclusion_proof(index, hashes)) for index in range(size)]


def test_a_log_shorter_than_its_checkpoint_proves_nothing():
    with pytest.raises(VerificationError):
        prove([0], 5, leaves(4))
