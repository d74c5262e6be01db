"""All that a log says of one person, found by the key that they handed over.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from audit.commitment import subject_commitment
from audit.errors import CannotDecide
from audit.findings import Result
from audit.merkle import HASH_SIZE
from audit.note import VerifierKey
from audit.pseudonym import pseudonym
from audit.recompute import Recomputation
from audit.stored import StoredEntry, StoredLog


@dataclass(frozen=True, slots=True)
class SubjectEntries:
    """What a log says about one person: the verdict on the log, and each entry with its place, in order."""

    log: Result
    entries: tuple[tuple[int, bytes], ...]


def verify_subject(
    log: StoredLog, keys: Sequence[VerifierKey], log_key: bytes, pinned: Sequence[str] = ()
) -> SubjectEntries:
    """Verify a whole log and find all and only the entries about the person whose 32-byte log key was handed over.

    Nobody's index is trusted: each entry's pseudonym is computed anew. A key under which the log registered nobody
    raises `CannotDecide`: it may be of another log, and "no entries" would then say nothing. Of a log that was pruned only
    what is left can be told; `log.pruned` says from where on.
    """
    if len(log_key) != HASH_SIZE:
        raise CannotDecide("a person's key is 32 bytes")
    known = f'"com":"{subject_commitment(log_key).hex()}"'.encode()
    found: list[tuple[int, bytes]] = []
    registered = False

    def watched(entries: Iterable[StoredEntry]) -> Iterator[StoredEntry]:
        nonlocal registered
        for entry in entries:
            registered = registered or known in entry.body
            if _is_about(entry.body, log_key):
                found.append((entry.idx, entry.body))
            yield entry

    result = Recomputation(log._replace(entries=watched(log.entries)), keys, pinned, None).run()
    if not registered and not found:
        left = f" in what is left of it: entries 0 to {result.pruned - 1} are pruned" if result.pruned else ""
        raise CannotDecide(f"the log registered nobody under this key{left}")
    return SubjectEntries(result, tuple(found))


def _is_about(body: bytes, log_key: bytes) -> bool:
    try:
        content = json.loads(body)
        return bool(content["sref"] == pseudonym(log_key, bytes.fromhex(content["id"])).hex())
    except (ValueError, KeyError, TypeError):
        return False
