"""A subject's pseudonym in one entry: what the log says instead of who it is about.

Standard library only: the verifier takes this file along when it is copied out.
"""

import hmac

PSEUDONYM_LABEL = b"ecrin/audit/sref/v1\x00"


def pseudonym(log_key: bytes, entry_id: bytes) -> bytes:
    """Return HMAC-SHA-256(subject's log key, label || entry id): 32 bytes, another value in each entry.

    The label keeps this apart from every other use of the key; the id makes each entry's value independent.
    """
    return hmac.digest(log_key, PSEUDONYM_LABEL + entry_id, "sha256")
