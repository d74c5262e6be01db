"""The commitment to a subject's log key: what the log keeps of it at registration and at erasure.

Standard library only: the verifier takes this file along when it is copied out.
"""

from hashlib import sha256

COMMITMENT_LABEL = b"ecrin/audit/subject/v1\x00"


def subject_commitment(log_key: bytes) -> bytes:
    """Return SHA-256(label || log key), 32 bytes. A random 256-bit key makes it hiding without a salt."""
    return sha256(COMMITMENT_LABEL + log_key).digest()
