"""Receipts: the vault's signed promise that an entry is in its log.

    <origin>/receipt
    <entry id, 32 hex digits>
    <base64 leaf hash>
    <unix time>

A signed note under a key of its own. Whoever keeps a receipt can show an omission: an entry that was promised and is
in no later checkpoint. The receipt holds nothing about the subject.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from audit.errors import VerificationError
from audit.note import VerifierKey, assemble, open_note, signature_line

_SUFFIX = "/receipt"
_TEXT = re.compile(r"([^\n]+)/receipt\n([0-9a-f]{32})\n([A-Za-z0-9+/]{43}=)\n(0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says: which log, which entry (16 bytes), its leaf hash (32 bytes), when (whole UTC seconds)."""

    origin: str
    entry_id: bytes
    leaf_hash: bytes
    time: int


def receipt_key_name(origin: str) -> str:
    """Return the name under which receipts of a log are signed: not the log's own, so neither can stand for the other."""
    return origin + _SUFFIX


def receipt_text(origin: str, entry_id: bytes, leaf_hash: bytes, time: int) -> str:
    """Return the text to sign."""
    return f"{origin}{_SUFFIX}\n{entry_id.hex()}\n{b64encode(leaf_hash).decode()}\n{time}\n"


def issue(receipts: Iterable[Receipt], public: bytes, sign: Callable[[Sequence[bytes]], Sequence[bytes]]) -> list[str]:
    """Sign a batch in one call of `sign` (Ed25519 over each message) and return the notes in order."""
    issued = tuple(receipts)
    texts = [receipt_text(each.origin, each.entry_id, each.leaf_hash, each.time) for each in issued]
    signatures = sign([text.encode() for text in texts])
    return [
        assemble(text, (signature_line(receipt_key_name(each.origin), public, signature),))
        for each, text, signature in zip(issued, texts, signatures, strict=True)
    ]


def verify(note: str | bytes, vkeys: Iterable[str | VerifierKey]) -> Receipt:
    """Check a receipt's signature and form; raises `VerificationError`."""
    opened = open_note(note, vkeys)
    match = _TEXT.fullmatch(opened.text)
    if match is None:
        raise VerificationError("not a receipt")
    origin, entry_id, leaf, time = match.groups()
    if all(signature.name != receipt_key_name(origin) for signature in opened.verified):
        raise VerificationError("the receipt is signed under another log's name")
    decoded = b64decode(leaf)
    if b64encode(decoded).decode() != leaf:
        raise VerificationError("the leaf hash is not in its one spelling")
    return Receipt(origin, bytes.fromhex(entry_id), decoded, int(time))
