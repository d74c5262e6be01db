"""Details: what is too much for an entry, kept beside it, erasable, and bound to it by a salted commitment.

An entry holds `dc`, 32 bytes from which nobody learns anything and that nobody tries guesses on, for want of the salt. Who
is handed the salt and the detail computes them again: so it is the detail that was written down at the time, or it is not.

Standard library only: the verifier takes this file along when it is copied out.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from audit.errors import VerificationError

DETAIL_LABEL = b"ecrin/audit/detail/v1\x00"
SALT_SIZE = 32
DETAIL_VERSION = 1


def detail_commitment(salt: bytes, detail: bytes) -> bytes:
    """Return SHA-256(label || 32-byte salt || detail), 32 bytes. The label ends and the salt has one length: no two readings."""
    if len(salt) != SALT_SIZE:
        raise VerificationError("a detail's salt is 32 bytes")
    return sha256(DETAIL_LABEL + salt + detail).digest()


def write_detail(content: Mapping[str, Any]) -> bytes:
    """Return the bytes that are committed to: JSON with keys in order, no spaces, nothing but ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def hand_over(details: Iterable[tuple[bytes, bytes, bytes]]) -> bytes:
    """Write details, given as (entry id, salt, detail), as the file that goes to the person or an auditor."""
    listed = [
        {"entry": entry_id.hex(), "salt": salt.hex(), "detail": detail.decode("ascii")}
        for entry_id, salt, detail in details
    ]
    return write_detail({"v": DETAIL_VERSION, "details": listed})


def read_handed_over(document: bytes) -> dict[str, tuple[bytes, str]]:
    """Read such a file: entry id in hex -> (salt, detail). Raises `VerificationError`."""
    try:
        whole = json.loads(document)
        if whole["v"] != DETAIL_VERSION:
            raise VerificationError("details of another version")
        return {each["entry"]: (bytes.fromhex(each["salt"]), str(each["detail"])) for each in whole["details"]}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise VerificationError("not a file of details") from None


def with_details(entries: Sequence[tuple[int, bytes]], document: bytes | None = None) -> list[dict[str, Any]]:
    """Return (index, entry) pairs as rows, each with the detail that was handed over for it, proven.

    `detail` is null where the entry commits to one that was not handed over, or is erased. Raises `VerificationError` for a
    detail that is not what was committed to, or of none of these entries.
    """
    handed = {} if document is None else read_handed_over(document)
    rows: list[dict[str, Any]] = []
    for index, body in entries:
        entry = json.loads(body)
        row: dict[str, Any] = {"index": index, "entry": entry}
        given = handed.pop(entry["id"], None)
        if given is not None:
            salt, text = given
            if detail_commitment(salt, text.encode()).hex() != entry.get("dc"):
                raise VerificationError(f"the detail of entry {index} is not the one that the log commits to")
            row["detail"] = text
        elif "dc" in entry:
            row["detail"] = None
        rows.append(row)
    if handed:
        raise VerificationError("a detail is of none of this person's entries")
    return rows
