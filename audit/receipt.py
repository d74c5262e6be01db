"""Receipts: the vault's signed promise that entries are in its log.

    <origin>/receipt
    <entry id, 32 hex digits>
    <base64 leaf hash>
    <unix time>

What one request gave out is promised together: id and leaf hash of each entry in turn, in the order of the answer.

A signed note under a key of its own. Whoever keeps a receipt can show an omission: an entry that was promised and is
in no later checkpoint. The receipt holds nothing about the subject.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from audit.errors import VerificationError
from audit.note import VerifierKey, assemble, open_note, signature_line

_SUFFIX = "/receipt"
_TEXT = re.compile(r"([^\n]+)/receipt\n((?:[0-9a-f]{32}\n[A-Za-z0-9+/]{43}=\n)+)(0|[1-9][0-9]{0,18})\n")


class Promised(NamedTuple):
    """An entry of the log: its id (16 bytes) and its leaf hash (32 bytes)."""

    entry_id: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says: which log, which entries (one at least), when (whole UTC seconds)."""

    origin: str
    entries: tuple[Promised, ...]
    time: int


def receipt_key_name(origin: str) -> str:
    """Return the name under which receipts of a log are signed: not the log's own, so neither can stand for the other."""
    return origin + _SUFFIX


def receipt_text(receipt: Receipt) -> str:
    """Return the text to sign."""
    entries = "".join([f"{entry_id.hex()}\n{b64encode(leaf).decode()}\n" for entry_id, leaf in receipt.entries])
    return f"{receipt.origin}{_SUFFIX}\n{entries}{receipt.time}\n"


def issue(receipts: Iterable[Receipt], public: bytes, sign: Callable[[Sequence[bytes]], Sequence[bytes]]) -> list[str]:
    """Sign a batch in one call of `sign` (Ed25519 over each message) and return the notes in order."""
    issued = tuple(receipts)
    texts = [receipt_text(each) for each in issued]
    signatures = sign([text.encode() for text in texts])
    return [
        assemble(text, (signature_line(receipt_key_name(each.origin), public, signature),))
        for each, text, signature in zip(issued, texts, signatures, strict=True)
    ]


def open_receipt(note: str | bytes, vkeys: Iterable[str | VerifierKey]) -> Receipt:
    """Check a receipt's signature and form; raises `VerificationError`."""
    opened = open_note(note, vkeys)
    match = _TEXT.fullmatch(opened.text)
    if match is None:
        raise VerificationError("not a receipt")
    origin, promised, time = match.groups()
    if all(signature.name != receipt_key_name(origin) for signature in opened.verified):
        raise VerificationError("the receipt is signed under another log's name")
    ids, leaves = promised.split()[::2], promised.split()[1::2]
    entries = tuple(Promised(bytes.fromhex(each), b64decode(leaf)) for each, leaf in zip(ids, leaves, strict=True))
    if [b64encode(each.leaf_hash).decode() for each in entries] != leaves:
        raise VerificationError("a leaf hash is not in its one spelling")
    return Receipt(origin, entries, int(time))
