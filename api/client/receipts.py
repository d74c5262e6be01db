"""Checks a disclosure receipt with the deployment's verifier key and nothing else.

A receipt is a C2SP signed note whose text is `<origin>/receipt`, then entry id and base64 leaf hash of each entry that it
promises, then UTC seconds; each on a line of its own. That of a bulk answer promises many entries, any other one.
Written independently of the server's own note code, so that the two check each other.
"""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.client.errors import ReceiptInvalid

ED25519 = 0x01
MARK = "\u2014 "
MOST_SIGNATURES = 100  # a note with more is hostile


@dataclass(frozen=True, slots=True)
class Receipt:
    """Evidence that the deployment promised to log entry `entry_id`: check it against the published log later."""

    origin: str
    entry_id: str
    leaf_hash: bytes
    time: int  # UTC seconds since 1970


@dataclass(frozen=True, slots=True)
class ConsentReceipt:
    """Evidence that the deployment issued a record of consent: which, and when."""

    origin: str
    record_id: str
    time: int  # UTC seconds since 1970


def verify_receipt(note: str, verifier_key: str, entry_id: str | None = None) -> Receipt:
    """Return what a receipt promises about an entry when a signature under `verifier_key` (`name+id+base64`) holds.

    `entry_id` is the `entry` of a disclosure; it may be left out where the receipt promises one only. Raises
    `ReceiptInvalid`, also for a receipt of other entries.
    """
    promised = _promised(open_signed(note, verifier_key))
    if entry_id is None and len(promised) == 1:
        return promised[0]
    for each in promised:
        if each.entry_id == entry_id:
            return each
    raise ReceiptInvalid("signed, but it does not promise the entry")


def receipts_in(note: str, verifier_key: str) -> tuple[Receipt, ...]:
    """Return everything that a receipt promises, in the order of the answer; `ReceiptInvalid` when it is not signed."""
    return tuple(_promised(open_signed(note, verifier_key)))


def open_signed(note: str, verifier_key: str) -> str:
    """Return the text of a note signed under `verifier_key`, without its last line feed; `ReceiptInvalid` otherwise."""
    return _signed(note, *_verifier(verifier_key))


def names_key(note: str, verifier_key: str) -> bool:
    """Tell whether a line of a note claims this key, by name and id; whether it holds is another question."""
    name, key_id, _ = _verifier(verifier_key)
    start = base64.b64encode(key_id[:3]).decode()  # 24 bits of the id: whole characters of the line
    return any(line.startswith(f"{MARK}{name} {start}") for line in note.rpartition("\n\n")[2].split("\n"))


def _signed(note: str, name: str, key_id: bytes, public: Ed25519PublicKey) -> str:
    """Return the text of a note that the key signed, without its last line feed."""
    text, separator, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not separator or lines[-1] or len(lines) > MOST_SIGNATURES + 1:
        raise ReceiptInvalid("not a signed note")
    signed = (text + "\n").encode()
    if not any(_signs(line, name, key_id, public, signed) for line in lines[:-1]):
        raise ReceiptInvalid("no signature under the given key")
    return text


def verify_consent_record(record: str, note: str, verifier_key: str) -> ConsentReceipt:
    """Return the receipt of a consent record when it is signed and of these very bytes; `ReceiptInvalid` otherwise.

    `verifier_key` is the one for receipts: consent receipts are made with the same key, under another name.
    """
    name, _, public = _verifier(verifier_key)
    name = f"{name.removesuffix('/receipt')}/consent"
    raw = bytes([ED25519]) + public.public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    head, identifier, digest, seconds = _lines(_signed(note, name, key_id, public))
    hashed = base64.b64encode(hashlib.sha256(record.encode()).digest()).decode()
    if head != name or digest != hashed or not seconds.isdecimal():
        raise ReceiptInvalid("signed, but not of this record")
    return ConsentReceipt(head.removesuffix("/consent"), identifier, int(seconds))


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    if len(lines) != 4:  # noqa: PLR2004 - the four of every receipt
        raise ReceiptInvalid("signed, but not a receipt")
    return lines


def _verifier(verifier_key: str) -> tuple[str, bytes, Ed25519PublicKey]:
    """Parse a verifier key; the id must be the hash of name and key, so that a mixed-up key is found here."""
    try:
        name, key_id, encoded = verifier_key.split("+", 2)  # the base64 part may itself hold a `+`
        key = base64.b64decode(encoded, validate=True)
        if key[0] != ED25519 or hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() != key_id:
            raise ReceiptInvalid("the verifier key is not an Ed25519 one, or its id is not its own")
        return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(key[1:])
    except (ValueError, IndexError):
        raise ReceiptInvalid("malformed verifier key") from None


def _signs(line: str, name: str, key_id: bytes, public: Ed25519PublicKey, signed: bytes) -> bool:
    """Whether this signature line is by the key and holds. Lines of other keys are not ours to judge."""
    signer, _, encoded = line.removeprefix(MARK).partition(" ")
    if not line.startswith(MARK) or signer != name:
        return False
    try:
        signature = base64.b64decode(encoded, validate=True)
        if signature[:4] != key_id:
            return False
        public.verify(signature[4:], signed)
    except (ValueError, InvalidSignature):
        return False
    return True


def _promised(text: str) -> list[Receipt]:
    head, *pairs, seconds = text.split("\n") if "\n" in text else (text, "")
    origin = head.removesuffix("/receipt")
    if head == origin or not pairs or len(pairs) % 2 or not (seconds.isascii() and seconds.isdecimal()):
        raise ReceiptInvalid("signed, but not a receipt")
    return [
        Receipt(origin, entry_id, _leaf(leaf), int(seconds))
        for entry_id, leaf in zip(pairs[::2], pairs[1::2], strict=True)
    ]


def _leaf(encoded: str) -> bytes:
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except ValueError:
        decoded = b""
    if len(decoded) != hashlib.sha256().digest_size:
        raise ReceiptInvalid("signed, but not a receipt")
    return decoded
