"""Details: what is too much for an entry, kept beside it, erasable, and bound to it by a salted commitment.

An entry holds `dc`, 32 bytes from which nobody learns anything and that nobody tries guesses on, for want of the salt. Who
is handed the salt and the detail computes them again: so it is the detail that was written down at the time, or it is not.

Standard library only: the verifier takes this file along when it is copied out.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from audit.errors import CannotDecide, VerificationError

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
    """Read such a file: entry id in hex -> (salt, detail). Raises `CannotDecide` for what is none, or tells an entry twice."""
    found: dict[str, tuple[bytes, str]] = {}
    try:
        whole = json.loads(document)
        if whole["v"] != DETAIL_VERSION:
            raise CannotDecide("details of another version")
        for each in whole["details"]:
            if each["entry"] in found:
                raise CannotDecide("two details of one entry were handed over")
            found[each["entry"]] = bytes.fromhex(each["salt"]), str(each["detail"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise CannotDecide("not a file of details") from None
    return found


def detail_of(index: int, body: bytes, document: bytes) -> str:
    """Return the detail that was handed over for one entry, proven to be the one that its bytes commit to.

    Whether the log holds these bytes at that index is for a proof to say. Raises `VerificationError` for another detail,
    `CannotDecide` where the file has none of this entry.
    """
    try:
        entry = json.loads(body)
        given = read_handed_over(document).get(entry["id"])
    except (ValueError, TypeError, KeyError):
        raise CannotDecide("what the log holds there is no entry") from None
    if given is None:
        raise CannotDecide(f"no detail of entry {index} was handed over")
    return _proven(index, entry, given)


def with_details(entries: Sequence[tuple[int, bytes]], document: bytes | None = None) -> list[dict[str, Any]]:
    """Return (index, entry) pairs as rows, each with the detail that was handed over for it, proven.

    `detail` is null where the entry commits to one that was not handed over, or is erased. Raises `VerificationError` for a
    detail that is not what was committed to, or of none of these entries, `CannotDecide` for what is no file of details.
    """
    handed = {} if document is None else read_handed_over(document)
    rows: list[dict[str, Any]] = []
    for index, body in entries:
        entry = json.loads(body)
        row: dict[str, Any] = {"index": index, "entry": entry}
        given = handed.pop(entry["id"], None)
        if given is not None:
            row["detail"] = _proven(index, entry, given)
        elif "dc" in entry:
            row["detail"] = None
        rows.append(row)
    if handed:
        raise VerificationError("a detail is of none of this person's entries")
    return rows


def _proven(index: int, entry: Mapping[str, Any], given: tuple[bytes, str]) -> str:
    salt, text = given
    # What no JSON text can be (a lone surrogate) was never committed to either, and must not stop the verifier.
    if detail_commitment(salt, text.encode(errors="surrogatepass")).hex() != entry.get("dc"):
        raise VerificationError(f"the detail of entry {index} is not the one that the log commits to")
    return text
