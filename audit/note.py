"""Signed notes: a text and the lines of those who signed it (C2SP signed-note v1.0.0).

    <text, its last line ending with LF>
    <empty line>
    — <key name> <base64(4-byte key id || signature)>

What is signed is the text with its final LF and without the empty line. A key is known by name *and* id; a line of
an unknown key is passed over, a line of a known key that does not verify spoils the whole note.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.errors import VerificationError

ED25519 = 0x01
KEY_ID_SIZE = 4
PUBLIC_KEY_SIZE = 32
SIGNATURE_SIZE = 64
MAX_SIGNATURES = 100  # bounds the work that a hostile note can cause; the specification asks for at least 16
MAX_NOTE = 1_000_000
_MARK = "— "  # an em dash and a space
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NOT_IN_NAME = re.compile(r"[\s+\x00-\x1f]")


class Signer(Protocol):
    """Holds an Ed25519 key that signs notes under a name."""

    @property
    def name(self) -> str:
        """Return the key name on the signature line."""
        ...

    @property
    def public_key(self) -> bytes:
        """Return the raw 32-byte public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over the message."""
        ...


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key as an outsider holds it."""

    name: str
    key_id: bytes
    public_key: bytes

    @property
    def vkey(self) -> str:
        """Return the text to hand out."""
        return vkey(self.name, self.public_key)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is this key's over the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who, and the bytes behind the key id."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart. `verified` holds the lines that were checked; the rest is of keys nobody vouched for."""

    text: str
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...] = ()


@lru_cache(maxsize=64)  # of a few keys, for each signature line
def key_id(name: str, public: bytes, kind: int = ED25519) -> bytes:
    """Return the first four bytes of SHA-256(name || LF || type || key): tells keys of one name apart, proves nothing."""
    _check_name(name)
    if kind == ED25519:
        _check_public(public)
    return sha256(name.encode() + b"\n" + bytes((kind,)) + public).digest()[:KEY_ID_SIZE]


def vkey(name: str, public: bytes, kind: int = ED25519) -> str:
    """Return the verifier key to hand to outsiders: `name+id+base64(type || key)`."""
    return f"{name}+{key_id(name, public, kind).hex()}+{b64encode(bytes((kind,)) + public).decode()}"


def split_vkey(text: str) -> tuple[str, int, bytes]:
    """Take a verifier key of any type apart: name, type, public key. Raises `VerificationError` when they disagree."""
    parts = text.split("+", 2)  # base64 may contain "+" as well, so split no further
    if len(parts) != 3:  # noqa: PLR2004 - name, id, key
        raise VerificationError("a verifier key has three parts")
    name, stated, encoded = parts
    key = read_base64(encoded)
    if not key:
        raise VerificationError("the verifier key is not of a known type")
    if key_id(name, key[1:], key[0]).hex() != stated:
        raise VerificationError("the verifier key does not match its id")
    return name, key[0], key[1:]


def parse_vkey(text: str) -> VerifierKey:
    """Take the verifier key of a log or of receipts apart; raises `VerificationError` when its parts do not agree."""
    name, kind, public = split_vkey(text)
    if kind != ED25519:
        raise VerificationError("the verifier key is not of a known type")
    return VerifierKey(name, key_id(name, public), public)


def signature_line(name: str, public: bytes, signature: bytes) -> str:
    """Return the line for a signature made elsewhere, LF included. Batches sign in one call and build lines with this."""
    if len(signature) != SIGNATURE_SIZE:
        raise VerificationError("an Ed25519 signature is 64 bytes")
    return line_of(Signature(name, key_id(name, public), signature))


def line_of(signature: Signature) -> str:
    """Return a signature as the line it is in a note, LF included."""
    return f"{_MARK}{signature.name} {b64encode(signature.key_id + signature.value).decode()}\n"


def assemble(text: str, lines: Iterable[str]) -> str:
    """Return the note made of a text and its signature lines."""
    _check_text(text)
    return f"{text}\n{''.join(lines)}"


def sign_note(text: str, signers: Sequence[Signer]) -> str:
    """Sign a text (last line ending with LF) with every signer, one line each."""
    _check_text(text)
    if not signers:
        raise VerificationError("a note carries at least one signature")
    message = text.encode()
    return assemble(text, (signature_line(each.name, each.public_key, each.sign(message)) for each in signers))


def split_note(note: str | bytes) -> Note:
    """Take a note apart without checking any signature: every line is in `unverified`."""
    if len(note) > MAX_NOTE:
        raise VerificationError("the note is too long")
    try:
        content = note.decode() if isinstance(note, bytes) else note.encode().decode()
    except UnicodeError:
        raise VerificationError("the note is not UTF-8") from None
    # The last empty line, because the text may hold empty lines of its own.
    body, gap, tail = content.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise VerificationError("the note has no signature part")
    text = body + "\n"
    _check_text(text)
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise VerificationError("the note has too many signatures")
    return Note(text, (), tuple(_parse_line(line) for line in lines))


def open_note(text: str | bytes, vkeys: Iterable[str | VerifierKey]) -> Note:
    """Check a note against the keys the reader trusts.

    Raises `VerificationError` if the note is malformed, if a line of a known key does not verify, or if no line is of
    a known key. Lines of unknown keys are returned in `unverified`.
    """
    known = _keyring(vkeys)
    note = split_note(text)
    message = note.text.encode()
    verified: dict[tuple[str, bytes], Signature] = {}
    unverified = []
    for signature in note.unverified:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            unverified.append(signature)
        elif key.verifies(message, signature.value):
            verified.setdefault((signature.name, signature.key_id), signature)
        else:
            raise VerificationError("the signature of a known key does not verify")
    if not verified:
        raise VerificationError("no signature is of a known key")
    return Note(note.text, tuple(verified.values()), tuple(unverified))


def _keyring(vkeys: Iterable[str | VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    if isinstance(vkeys, str):
        vkeys = (vkeys,)
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for each in vkeys:
        key = parse_vkey(each) if isinstance(each, str) else each
        # Ids are four bytes: two keys may share one, and then a line would not say which of them it means.
        if known.setdefault((key.name, key.key_id), key) != key:
            raise VerificationError("two verifier keys share a name and an id")
    return known


def _parse_line(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not space:
        raise VerificationError("a signature line is malformed")
    _check_name(name)
    payload = read_base64(encoded)
    if len(payload) <= KEY_ID_SIZE:
        raise VerificationError("a signature line is malformed")
    return Signature(name, payload[:KEY_ID_SIZE], payload[KEY_ID_SIZE:])


def read_base64(encoded: str) -> bytes:
    """Decode strictly: alphabet, padding, and spare bits zero, so that one value has one spelling."""
    try:
        decoded = b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError("base64 is malformed") from None
    if b64encode(decoded).decode() != encoded:
        raise VerificationError("base64 is not in its one spelling")
    return decoded


def _check_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise VerificationError("a note's text ends with a line feed and has no other control character")


def _check_name(name: str) -> None:
    if not name or _NOT_IN_NAME.search(name):
        raise VerificationError("a key name is not empty and has no space and no plus sign")


def _check_public(public: bytes) -> None:
    if len(public) != PUBLIC_KEY_SIZE:
        raise VerificationError("an Ed25519 public key is 32 bytes")
