"""Changes of the key that signs a log, as the log itself tells them.

`log.key_added` names the new key and the one before, while both sign; `log.key_retired` names the one that ended. Under a
checkpoint of either key that covers such an entry, the log vouches for the other key: so whoever holds one of them can check
checkpoints of both. A key that ended is good for what it signed until then, and for nothing that covers its end.

Standard library only: the verifier takes this file along when it is copied out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

ADDED = "log.key_added"
RETIRED = "log.key_retired"
_KEY = "key:"
_BEFORE = "before:"
_UNTIL = "until:"
_KEY_DIGITS = 64
_MARKS = (f'"act":"{ADDED}"'.encode(), f'"act":"{RETIRED}"'.encode())


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What one entry says: at `index`, `key` is the log's, and `before` was; with `retired`, `before` ended there."""

    index: int
    key: bytes
    before: bytes
    retired: bool


@dataclass(frozen=True, slots=True)
class SignedBy:
    """A checkpoint of this size carries good lines of these keys (32 bytes each), as far as they are known."""

    size: int
    keys: frozenset[bytes]


def spelt(key: bytes, before: bytes, until: int | None = None) -> tuple[str, ...]:
    """Spell the two public keys, 32 bytes each, and until when (UTC seconds) both sign, as an entry's `pol` does."""
    rules = (f"{_KEY}{key.hex()}", f"{_BEFORE}{before.hex()}")
    return rules if until is None else (*rules, f"{_UNTIL}{until}")


def read_change(index: int, body: bytes) -> KeyChange | None:
    """Read an entry that is in canonical form; None if it is about no key."""
    if not any(mark in body for mark in _MARKS):
        return None
    content = json.loads(body)
    if content["act"] not in {ADDED, RETIRED}:
        return None
    found = {}
    for mark in (_KEY, _BEFORE):
        named = [rule.removeprefix(mark) for rule in content.get("pol", ()) if rule.startswith(mark)]
        if len(named) != 1 or len(named[0]) != _KEY_DIGITS:
            return None
        try:
            found[mark] = bytes.fromhex(named[0])
        except ValueError:
            return None
    return KeyChange(index, found[_KEY], found[_BEFORE], content["act"] == RETIRED)


def signed_after_its_end(signed: SignedBy, changes: Sequence[KeyChange]) -> KeyChange | None:
    """Return the end that a checkpoint covers although no key signed it but such as had ended; None for a good one."""
    ended = {each.before: each for each in changes if each.retired and each.index < signed.size}
    if not signed.keys or not signed.keys <= ended.keys():
        return None
    return ended[min(signed.keys)]
