"""Proofs out of the stored tiles: a few hundred hashes read for any proof, whatever the size of the log.

`audit.inclusion` reads every leaf once and so proves many entries at the cost of one; here one proof is made at a
time, for a witness that asks how the log grew, or for whoever holds a receipt. RFC 6962 §2.1.1 and §2.1.2.
"""

from sqlalchemy import Connection

from audit import published
from audit.errors import VerificationError
from audit.merkle import Frontier, largest_power_below, node_hash

_TILE_HEIGHT = 8  # levels of the tree between two levels of tiles


def inclusion(conn: Connection, shard: int, index: int, size: int) -> list[bytes]:
    """Return the audit path of entry `index` in the tree of `size` entries, which a checkpoint must cover."""
    if not 0 <= index < size:
        raise VerificationError("the index is outside the tree")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + largest_power_below(end - start)
        if index < middle:
            proof.append(_subtree(conn, shard, middle, end))
            end = middle
        else:
            proof.append(_subtree(conn, shard, start, middle))
            start = middle
    proof.reverse()
    return proof


def consistency(conn: Connection, shard: int, old: int, size: int) -> list[bytes]:
    """Return the proof that the tree of `size` entries extends that of `old`; empty for an `old` of 0 or of `size`."""
    if not 0 <= old <= size:
        raise VerificationError("the older size is between 0 and the newer size")
    proof: list[bytes] = []
    start, end = 0, size
    while old and old != end:
        middle = start + largest_power_below(end - start)
        if old <= middle:
            proof.append(_subtree(conn, shard, middle, end))
            end = middle
        else:
            proof.append(_subtree(conn, shard, start, middle))
            start = middle
    if start:  # the older tree is not a whole left subtree: the verifier cannot know this node yet
        proof.append(_subtree(conn, shard, start, end))
    proof.reverse()
    return proof


def _subtree(conn: Connection, shard: int, start: int, end: int) -> bytes:
    count = end - start
    if count & (count - 1) or start % count:
        middle = start + largest_power_below(count)
        return node_hash(_subtree(conn, shard, start, middle), _subtree(conn, shard, middle, end))
    level, above = divmod(count.bit_length() - 1, _TILE_HEIGHT)
    first = start >> (_TILE_HEIGHT * level)
    return Frontier().extend(published.hashes(conn, shard, level, first, first + (1 << above))).root()
