"""Pseudonyms that hold in one entry alone: of its subject, of a member of a brand's staff, of a token.

Were any of them the same in two entries, then those two would be related for ever: a token is about one person, and a
member of staff often about few. So each is drawn anew from the entry's id, under a key that the reader has to have.

Standard library only: the verifier takes this file along when it is copied out.
"""

import hmac
from collections.abc import Iterable, Sequence

PSEUDONYM_LABEL = b"ecrin/audit/sref/v1\x00"
STAFF_LABEL = b"ecrin/audit/staff/v1\x00"
TOKEN_LABEL = b"ecrin/audit/token/v1\x00"
MARK_SIZE = 16  # bytes of a member of staff, and of a token


def pseudonym(log_key: bytes, entry_id: bytes) -> bytes:
    """Return HMAC-SHA-256(subject's log key, label || entry id): 32 bytes, another value in each entry.

    The label keeps this apart from every other use of the key; the id makes each entry's value independent.
    """
    return hmac.digest(log_key, PSEUDONYM_LABEL + entry_id, "sha256")


def messages_of(entry_ids: Iterable[bytes]) -> list[bytes]:
    """Return what is hashed under a log key for each entry, made once where many keys are tried."""
    return [PSEUDONYM_LABEL + each for each in entry_ids]


def places_of(log_key: bytes, messages: Sequence[bytes], pseudonyms: Sequence[bytes]) -> list[int]:
    """Return the places of those entries that are about the person of a log key: all of them, and nobody else's."""
    digest = hmac.digest
    return [
        place
        for place, (message, mine) in enumerate(zip(messages, pseudonyms, strict=True))
        if digest(log_key, message, "sha256") == mine
    ]


def veiled(staff_key: bytes, entry_id: bytes, staff: bytes) -> bytes:
    """Return a member of staff's 16-byte pseudonym as one entry bears it; called with what that is, it gives it back.

    A pad of HMAC-SHA-256(the brand's staff key, label || entry id) over it. Why safe: an entry id is drawn once, so no pad
    serves twice; that nobody changed it is the log's to say.
    """
    pad = hmac.digest(staff_key, STAFF_LABEL + entry_id, "sha256")
    return (int.from_bytes(staff) ^ int.from_bytes(pad[:MARK_SIZE])).to_bytes(MARK_SIZE)


def token_mark(log_key: bytes, token_hash: bytes, entry_id: bytes) -> bytes:
    """Return what one entry says of the token behind it: 16 bytes, known again by who has the token's hash *and* the person's key.

    HMAC-SHA-256(subject's log key, label || SHA-256 of the token || entry id). Under the person's key, so that a row about
    a token in an old backup relates nothing any more once the person is erased.
    """
    return hmac.digest(log_key, TOKEN_LABEL + token_hash + entry_id, "sha256")[:MARK_SIZE]
