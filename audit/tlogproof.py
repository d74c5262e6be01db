"""One proof as a file: an entry's place, the hashes from it to the root, and the checkpoint (C2SP tlog-proof v1).

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from audit.errors import VerificationError
from audit.note import read_base64

TLOG_PROOF = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A proof taken apart. `checkpoint` is the signed note as it stands; `extra` is nobody's word."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


def format_proof(index: int, hashes: Sequence[bytes], checkpoint: str, extra: bytes | None = None) -> str:
    """Return the proof as text; `extra` goes along and is nobody's word."""
    said = () if extra is None else (f"extra {b64encode(extra).decode()}",)
    lines = (TLOG_PROOF, *said, f"index {index}", *(b64encode(each).decode() for each in hashes), "", checkpoint)
    return "\n".join(lines)


def parse_proof(text: str) -> TlogProof:
    """Take a proof apart; raises `VerificationError`. What it proves is for `merkle.verify_inclusion` to say."""
    head, gap, checkpoint = text.partition("\n\n")
    first, *lines = head.split("\n")
    if first != TLOG_PROOF or not gap:
        raise VerificationError("not a tlog-proof")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = read_base64(lines.pop(0).removeprefix("extra "))
    found = _INDEX.fullmatch(lines[0]) if lines else None
    if found is None or len(lines) > 1 + MAX_HASHES:
        raise VerificationError("a tlog-proof tells an index, and at most 63 hashes")
    return TlogProof(int(found[1]), tuple(read_base64(line) for line in lines[1:]), checkpoint, extra)
