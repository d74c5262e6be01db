"""The stand-alone verifier: recomputes a log from its stored bytes and says whether anybody changed it.

It trusts no hash it is given. Every entry is read, held against the one canonical form, hashed, and added to a tree;
the tree's root must be what each signed checkpoint says it was at that size. Hashes stored beside the entries are used
for one thing only: to name the entry when something is wrong. What was changed together with its stored hash is still
found by the next checkpoint, and is then named as "between two checkpoints".

Three answers, never mixed: 0 everything that can be checked holds, 1 somebody changed something, 2 cannot decide
because material is missing. A key and a checkpoint that come from elsewhere than the log itself are what makes 0 mean
something: an attacker who owns the machine can sign anew, but cannot change what others already hold.

Standard library and `cryptography` only. Copied out with errors, grammar, merkle, note and checkpoint it runs alone:
`python -m audit.verify vault.sqlite --key <verifier key> [--pinned checkpoint]`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class StoredEntry(NamedTuple):
    """One entry as stored. `leaf` and `entry_id` are None where the source does not store them."""

    idx: int
    body: bytes
    leaf: bytes | None = None
    entry_id: bytes | None = None


class StoredCheckpoint(NamedTuple):
    """One signed note as stored, the size it is filed under, and the packed frontier beside it, if any."""

    size: int
    note: str
    stack: bytes | None = None


class StoredLog(NamedTuple):
    """Everything stored about one log. `head_size` and `head_stack` are None where the source has no head."""

    shard: int
    origin: str
    head_size: int | None
    head_stack: bytes | None
    checkpoints: Sequence[StoredCheckpoint]
    entries: Iterable[StoredEntry]
