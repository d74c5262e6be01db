"""RFC 6962 Merkle tree: hashes, the growing frontier, and both proofs.

Section 2.1 of RFC 6962 defines the tree; RFC 9162 sections 2.1.3.2 and 2.1.4.2 the order of steps in the two checks.
Hash is SHA-256, every hash 32 bytes. A leaf and a node start with different bytes (0x00, 0x01), so that no node can
be passed off as an entry. The tree is never padded: the left part of `n` leaves is the largest power of two below `n`.

Standard library only: the verifier takes this file along when it is copied out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from audit.errors import VerificationError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Hash one leaf: SHA-256(0x00 || entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that is needed to append and to tell the root.

    `stack` holds the roots of the perfect subtrees, largest first, one per 1-bit of `size`. It is what the log head
    stores, so appending costs a handful of hashes however long the log is.
    """

    size: int = 0
    stack: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> "Frontier":
        """Return the frontier after one more leaf; `leaf` is a leaf hash."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> "Frontier":
        """Return the frontier after more leaves, given as leaf hashes in order."""
        stack = list(self.stack)
        size = self.size
        for leaf in leaves:
            if len(leaf) != HASH_SIZE:
                raise VerificationError("a leaf hash is 32 bytes")
            node = leaf
            carry = size
            while carry & 1:
                node = sha256(b"\x01" + stack.pop() + node).digest()
                carry >>= 1
            stack.append(node)
            size += 1
        return Frontier(size, tuple(stack))

    def root(self) -> bytes:
        """Return the Merkle tree hash of all leaves so far."""
        if not self.stack:
            return EMPTY_ROOT
        node = self.stack[-1]
        for left in reversed(self.stack[:-1]):
            node = node_hash(left, node)
        return node

    def pack(self) -> bytes:
        """Return the stack as bytes, 32 per hash; `size` is stored beside it."""
        return b"".join(self.stack)

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> "Frontier":
        """Return the frontier that `pack` gave for this size."""
        if size < 0 or len(packed) != HASH_SIZE * size.bit_count():
            raise VerificationError("a frontier holds one 32-byte hash per 1-bit of its size")
        return cls(size, tuple(packed[at : at + HASH_SIZE] for at in range(0, len(packed), HASH_SIZE)))


def root_hash(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes given in order."""
    return Frontier().extend(leaves).root()


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree over `leaves` (leaf hashes), sibling of the leaf first."""
    if not 0 <= index < len(leaves):
        raise VerificationError("the index is outside the tree")
    proof: list[bytes] = []
    start, end = 0, len(leaves)
    while end - start > 1:
        middle = start + largest_power_below(end - start)
        if index < middle:
            proof.append(root_hash(leaves[middle:end]))
            end = middle
        else:
            proof.append(root_hash(leaves[start:middle]))
            start = middle
    proof.reverse()
    return proof


def consistency_proof(size1: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return the proof that the tree over `leaves` (leaf hashes) extends the tree over its first `size1`."""
    if not 0 < size1 <= len(leaves):
        raise VerificationError("the older size is between 1 and the newer size")
    proof: list[bytes] = []
    start, end = 0, len(leaves)
    while size1 != end:
        middle = start + largest_power_below(end - start)
        if size1 <= middle:
            proof.append(root_hash(leaves[middle:end]))
            end = middle
        else:
            proof.append(root_hash(leaves[start:middle]))
            start = middle
    if start:  # the older tree is not a whole left subtree: the verifier cannot know this node yet
        proof.append(root_hash(leaves[start:end]))
    proof.reverse()
    return proof


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf_hash` is leaf `index` of the tree of `size` leaves with this `root`.

    Raises `VerificationError`; returns nothing otherwise. RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise VerificationError("the index is outside the tree")
    _lengths(leaf_hash, root, *proof)
    node = leaf_hash
    for sibling, on_the_left in _siblings(index, size - 1, proof):
        node = node_hash(sibling, node) if on_the_left else node_hash(node, sibling)
    if not compare_digest(node, root):
        raise VerificationError("the proof leads to another root")


def verify_consistency(size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree (`size2`, `root2`) extends the tree (`size1`, `root1`).

    Raises `VerificationError`; returns nothing otherwise. RFC 9162 section 2.1.4.2.
    """
    # Before the test for equal sizes: with the order swapped, 0 -> 0 would "prove" any two roots equal to each other.
    if not 0 < size1 <= size2:
        raise VerificationError("the older size is between 1 and the newer size")
    _lengths(root1, root2, *proof)
    if size1 == size2:
        if proof:
            raise VerificationError("equal sizes need no proof")
        if not compare_digest(root1, root2):
            raise VerificationError("two roots for one size")
        return
    if not proof:
        raise VerificationError("the proof is too short")
    path = list(proof)
    if size1.bit_count() == 1:  # the older tree is itself a node of the newer one, so the proof leaves it out
        path.insert(0, root1)
    fn, sn = size1 - 1, size2 - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    old = new = path[0]
    for sibling, on_the_left in _siblings(fn, sn, path[1:]):
        if on_the_left:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    if not compare_digest(old, root1):
        raise VerificationError("the proof leads to another older root")
    if not compare_digest(new, root2):
        raise VerificationError("the proof leads to another newer root")


def _siblings(fn: int, sn: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Climb from node `fn` of a level whose last node is `sn`; say of each proof hash whether it stands on the left."""
    for sibling in proof:
        if sn == 0:
            raise VerificationError("the proof is too long")
        on_the_left = bool(fn & 1) or fn == sn
        if on_the_left:
            while fn and not fn & 1:  # a lone right edge has no sibling on these levels
                fn >>= 1
                sn >>= 1
        fn >>= 1
        sn >>= 1
        yield sibling, on_the_left
    if sn != 0:
        raise VerificationError("the proof is too short")


def largest_power_below(count: int) -> int:
    """Return the largest power of two strictly below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _lengths(*hashes: bytes) -> None:
    if any(len(each) != HASH_SIZE for each in hashes):
        raise VerificationError("every hash is 32 bytes")
