"""The tree and its proofs against published roots and a tree built by the definition, word for word."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import VerificationError
from audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves and roots that Certificate Transparency implementations have tested against from the start.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves_of(count):
    return [leaf_hash(b"%d" % number) for number in range(count)]


def by_definition(entries):
    """RFC 6962 section 2.1, recursively and with nothing remembered."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    half = 1
    while half * 2 < len(entries):
        half *= 2
    return hashlib.sha256(b"\x01" + by_definition(entries[:half]) + by_definition(entries[half:])).digest()


def path_by_definition(index, entries):
    if len(entries) == 1:
        return []
    half = 1
    while half * 2 < len(entries):
        half *= 2
    if index < half:
        return [*path_by_definition(index, entries[:half]), by_definition(entries[half:])]
    return [*path_by_definition(index - half, entries[half:]), by_definition(entries[:half])]


def subproof_by_definition(size, entries, whole):
    if size == len(entries):
        return [] if whole else [by_definition(entries)]
    half = 1
    while half * 2 < len(entries):
        half *= 2
    if size <= half:
        return [*subproof_by_definition(size, entries[:half], whole), by_definition(entries[half:])]
    return [*subproof_by_definition(size - half, entries[half:], False), by_definition(entries[:half])]


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size):
    assert root_hash(leaf_hash(leaf) for leaf in LEAVES[:size]).hex() == ROOTS[size]


def test_leaf_and_node_cannot_stand_for_each_other():
    left, right = leaves_of(2)
    assert leaf_hash(left + right) != node_hash(left, right)


@given(st.integers(0, 300))
def test_frontier_agrees_with_the_definition(size):
    entries = [b"%d" % number for number in range(size)]
    frontier = Frontier()
    for entry in entries:
        frontier = frontier.append(leaf_hash(entry))
    assert frontier.root() == by_definition(entries)
    assert frontier == Frontier().extend(leaf_hash(entry) for entry in entries)
    assert Frontier.unpack(size, frontier.pack()) == frontier


@given(st.lists(st.binary(max_size=40), max_size=40), st.integers(0, 40))
def test_appending_in_two_batches_changes_nothing(entries, cut):
    leaves = [leaf_hash(entry) for entry in entries]
    assert Frontier().extend(leaves[:cut]).extend(leaves[cut:]).root() == by_definition(entries)


@given(st.data())
def test_inclusion_proofs_agree_with_the_definition(data):
    entries = [b"%d" % number for number in range(data.draw(st.integers(1, 300)))]
    index = data.draw(st.integers(0, len(entries) - 1))
    leaves = [leaf_hash(entry) for entry in entries]
    proof = inclusion_proof(index, leaves)
    assert proof == path_by_definition(index, entries)
    verify_inclusion(index, len(entries), leaves[index], proof, by_definition(entries))


@given(st.data())
def test_consistency_proofs_agree_with_the_definition(data):
    entries = [b"%d" % number for number in range(data.draw(st.integers(1, 300)))]
    older = data.draw(st.integers(1, len(entries)))
    leaves = [leaf_hash(entry) for entry in entries]
    proof = consistency_proof(older, leaves)
    assert proof == subproof_by_definition(older, entries, True)
    verify_consistency(older, len(entries), by_definition(entries[:older]), by_definition(entries), proof)


def test_every_proof_of_every_small_tree_holds_for_its_place_alone():
    leaves = leaves_of(33)
    roots = [root_hash(leaves[:size]) for size in range(34)]
    for size in range(1, 34):
        for index in range(size):
            proof = inclusion_proof(index, leaves[:size])
            for claimed in range(size):
                if claimed == index:
                    verify_inclusion(index, size, leaves[index], proof, roots[size])
                else:
                    with pytest.raises(VerificationError):
                        verify_inclusion(claimed, size, leaves[index], proof, roots[size])


def tampered(proof):
    """Every proof that differs from this one in a single way."""
    for place, sibling in enumerate(proof):
        yield [*proof[:place], bytes([sibling[0] ^ 1]) + sibling[1:], *proof[place + 1 :]]
        yield [*proof[:place], *proof[place + 1 :]]
        yield [*proof[:place], sibling, *proof[place:]]
        yield [*proof[:place], sibling[:-1], *proof[place + 1 :]]
        yield [*proof[:place], b"", *proof[place + 1 :]]
    yield [*proof, bytes(32)]
    yield [bytes(32), *proof]
    if proof[::-1] != proof:
        yield proof[::-1]


@given(st.data())
def test_tampered_inclusion_proofs_are_refused(data):
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    root = root_hash(leaves)
    proof = inclusion_proof(index, leaves)
    for wrong in tampered(proof):
        with pytest.raises(VerificationError):
            verify_inclusion(index, size, leaves[index], wrong, root)
    for arguments in (
        (index, size, leaf_hash(b"another"), proof, root),
        (index, size, leaves[index], proof, bytes(32)),
        (index, size, leaves[index], proof, root[:-1]),
        (index, size, leaves[index][:-1], proof, root),
        (size, size, leaves[index], proof, root),
        (-1, size, leaves[index], proof, root),
        (index, 0, leaves[index], proof, root),
    ):
        with pytest.raises(VerificationError):
            verify_inclusion(*arguments)


@given(st.data())
def test_tampered_consistency_proofs_are_refused(data):
    size = data.draw(st.integers(2, 70))
    older = data.draw(st.integers(1, size - 1))
    leaves = leaves_of(size)
    root1, root2 = root_hash(leaves[:older]), root_hash(leaves)
    proof = consistency_proof(older, leaves)
    for wrong in tampered(proof):
        with pytest.raises(VerificationError):
            verify_consistency(older, size, root1, root2, wrong)
    for arguments in (
        (older, size, root2, root1, proof),
        (older, size, bytes(32), root2, proof),
        (older, size, root1, bytes(32), proof),
        (size, older, root2, root1, proof),
        (older, size, root1, root2, []),
        (older, size, root1[:-1], root2, proof),
        (-older, size, root1, root2, proof),
    ):
        with pytest.raises(VerificationError):
            verify_consistency(*arguments)


def test_nothing_is_consistent_with_size_zero():
    """Size 0 is refused before equal sizes are looked at; otherwise 0 -> 0 would bless any two equal strings."""
    for root in (EMPTY_ROOT, bytes(32)):
        with pytest.raises(VerificationError):
            verify_consistency(0, 0, root, root, [])
        with pytest.raises(VerificationError):
            verify_consistency(0, 5, root, root_hash(leaves_of(5)), [])


def test_equal_sizes_need_equal_roots_and_no_proof():
    root = root_hash(leaves_of(5))
    verify_consistency(5, 5, root, root, [])
    with pytest.raises(VerificationError):
        verify_consistency(5, 5, root, EMPTY_ROOT, [])
    with pytest.raises(VerificationError):
        verify_consistency(5, 5, root, root, [bytes(32)])


@pytest.mark.parametrize(("size", "packed"), [(1, b""), (0, bytes(32)), (3, bytes(32)), (2, bytes(31)), (-1, b"")])
def test_a_frontier_of_the_wrong_shape_is_refused(size, packed):
    with pytest.raises(VerificationError):
        Frontier.unpack(size, packed)


def test_a_leaf_of_the_wrong_length_is_refused():
    with pytest.raises(VerificationError):
        Frontier().append(b"short")


@pytest.mark.parametrize("index", [-1, 4])
def test_no_inclusion_proof_outside_the_tree(index):
    with pytest.raises(VerificationError):
        inclusion_proof(index, leaves_of(4))


@pytest.mark.parametrize("size", [0, 5, -1])
def test_no_consistency_proof_outside_the_tree(size):
    with pytest.raises(VerificationError):
        consistency_proof(size, leaves_of(4))
