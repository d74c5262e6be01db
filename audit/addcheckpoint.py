"""What a log sends a witness and what comes back (C2SP tlog-witness): the bytes, for both sides.

old <size that the witness has seen>
<base64 hash of the consistency proof, 0 to 63 lines>

<the signed checkpoint>
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.errors import VerificationError
from audit.note import read_base64

ADD_CHECKPOINT: Final = "add-checkpoint"
SIZE_TYPE: Final = "text/x.tlog.size"  # of a 409, which tells the size the witness has seen
MAX_REQUEST: Final = 64 << 10  # bytes: 63 hashes, and a checkpoint with several signatures of the largest kind
_MAX_PROOF: Final = 63
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One request: the size the sender thinks the witness has, the proof from there, and the signed note."""

    old: int
    proof: tuple[bytes, ...]
    note: str


def write_request(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the body of a request."""
    lines = [f"old {old}", *(b64encode(each).decode() for each in proof), "", note]
    return "\n".join(lines).encode()


def read_request(body: bytes) -> AddCheckpoint:
    """Read the body of a request; raises `VerificationError`."""
    if len(body) > MAX_REQUEST:
        raise VerificationError("the request is too long")
    try:
        head, gap, note = body.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise VerificationError("the request is not UTF-8") from None
    old, *proof = head.split("\n")
    found = _OLD.fullmatch(old)
    if not gap or found is None or len(proof) > _MAX_PROOF:
        raise VerificationError("the request is not one of add-checkpoint")
    return AddCheckpoint(int(found[1]), tuple(read_base64(line) for line in proof), note)


def write_size(size: int) -> bytes:
    """Return the body of the answer that tells another old size."""
    return f"{size}\n".encode()


def read_size(body: bytes) -> int:
    """Read the size a witness tells; raises `VerificationError`."""
    found = _SIZE.fullmatch(body)
    if found is None:
        raise VerificationError("the witness tells no size")
    return int(found[1])
