"""Inclusion: proofs that entries are in the log, made from the stored leaf hashes against the newest signed checkpoint.

One pass over the leaves serves any number of proofs and keeps a few hashes for each, so that certificates of many
erasures cost one reading of the log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from audit import checkpoint, ledger
from audit.errors import VerificationError
from audit.merkle import node_hash, verify_inclusion
from audit.note import split_note
from audit.tables import metadata

_CHUNK: Final = 8192

_ENTRIES = metadata.tables["log_entry"]
_FOUND = select(_ENTRIES.c.entry_id, _ENTRIES.c.idx, _ENTRIES.c.leaf, _ENTRIES.c.body).where(
    _ENTRIES.c.shard == bindparam("of_shard"), _ENTRIES.c.entry_id.in_(bindparam("ids", expanding=True))
)
_LEAVES = (
    select(_ENTRIES.c.leaf)
    .where(_ENTRIES.c.shard == bindparam("of_shard"), _ENTRIES.c.idx >= bindparam("start"))
    .where(_ENTRIES.c.idx < bindparam("end"))
    .order_by(_ENTRIES.c.idx)
)


@dataclass(frozen=True, slots=True)
class Included:
    """An entry, and what proves that it is in the log: a signed checkpoint and the hashes from its leaf to the root."""

    index: int
    body: bytes
    checkpoint: str
    proof: tuple[bytes, ...]


class _Node(NamedTuple):
    level: int
    position: int


def included(conn: Connection, shard: int, entry_ids: Sequence[bytes]) -> dict[bytes, Included]:
    """Prove entries of one log, by id. Those that no signed checkpoint covers yet are left out.

    Raises `VerificationError` when the stored leaves do not lead to the signed root: nothing is proven from them.
    """
    note = ledger.latest_checkpoint(conn, shard)
    if note is None or not entry_ids:
        return {}
    signed = checkpoint.parse(split_note(note).text)
    rows = [row for row in conn.execute(_FOUND, {"of_shard": shard, "ids": list(entry_ids)}) if row.idx < signed.size]
    proofs = prove([row.idx for row in rows], signed.size, leaves(conn, shard, signed.size))
    found = {}
    for row, proof in zip(rows, proofs, strict=True):
        verify_inclusion(row.idx, signed.size, row.leaf, proof, signed.root)
        found[row.entry_id] = Included(row.idx, row.body, note, tuple(proof))
    return found


def prove(indexes: Sequence[int], size: int, leaves: Iterable[bytes]) -> list[list[bytes]]:
    """Make the inclusion proofs (RFC 6962 §2.1.1) of `indexes` in the tree of the first `size` leaf hashes."""
    paths = [_path(index, size) for index in indexes]
    wanted = {node for path in paths for node in path}
    kept: dict[_Node, bytes] = {}
    stack: list[tuple[_Node, bytes]] = []  # complete subtrees, largest first, as the frontier keeps them
    count = 0
    for count, leaf in enumerate(leaves, 1):
        node, value = _Node(0, count - 1), leaf
        while True:
            if node in wanted:
                kept[node] = value
            if not node.position & 1:
                break
            _, left = stack.pop()
            node, value = _Node(node.level + 1, node.position >> 1), node_hash(left, value)
        stack.append((node, value))
    if count != size:
        raise VerificationError("the log is shorter than its checkpoint")
    for node in wanted - kept.keys():
        kept[node] = _edge(node, stack)
    return [[kept[node] for node in path] for path in paths]


def _path(index: int, size: int) -> list[_Node]:
    """Name the siblings on the way from a leaf to the root."""
    path, level, last = [], 0, size - 1
    while last:
        if index & 1:
            path.append(_Node(level, index - 1))
        elif index < last:
            path.append(_Node(level, index + 1))
        index, last, level = index >> 1, last >> 1, level + 1
    return path


def _edge(node: _Node, stack: Sequence[tuple[_Node, bytes]]) -> bytes:
    """Hash the subtree at the right edge, which is not complete: what the stack holds from its first leaf on."""
    first = node.position << node.level
    parts = [value for each, value in stack if each.position << each.level >= first]
    value = parts.pop()
    while parts:
        value = node_hash(parts.pop(), value)
    return value


def leaves(conn: Connection, shard: int, size: int) -> Iterable[bytes]:
    """Give the stored hashes of the first `size` entries, in order."""
    for start in range(0, size, _CHUNK):
        yield from conn.scalars(_LEAVES, {"of_shard": shard, "start": start, "end": min(start + _CHUNK, size)})
