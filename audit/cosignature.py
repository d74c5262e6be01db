"""Cosignatures: a witness's word that a checkpoint extends all it has seen of the log before (C2SP tlog-cosignature).

A witness adds a line to the checkpoint's note. Behind the key id stand a time (8 bytes, big-endian Unix seconds) and
the signature: Ed25519 over two lines of its own and the whole text (type 0x04), or ML-DSA-44 over a fixed structure
(type 0x06, FIPS 204), which also names the cosigner. A log may add a line of the second type itself, with time 0: a
signature that outlasts computers which break the first.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.checkpoint import parse
from audit.errors import CannotDecide, VerificationError
from audit.note import PUBLIC_KEY_SIZE, SIGNATURE_SIZE, Signature, Signer, key_id, line_of, split_note, split_vkey, vkey

ED25519_COSIGNATURE = 0x04
ML_DSA_44 = 0x06
ML_DSA_PUBLIC_SIZE = 1312
ML_DSA_SIGNATURE_SIZE = 2420
MAX_TIME = (1 << 63) - 1
_STAMP = struct.Struct(">Q")
_SUBTREE = b"subtree/v1\n\x00"
_SIZES = {
    ED25519_COSIGNATURE: (PUBLIC_KEY_SIZE, SIGNATURE_SIZE),
    ML_DSA_44: (ML_DSA_PUBLIC_SIZE, ML_DSA_SIGNATURE_SIZE),
}


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """A cosigner's public key as others hold it; `kind` is the type byte of its lines."""

    name: str
    kind: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that name this key on its lines."""
        return key_id(self.name, self.public_key, self.kind)

    @property
    def vkey(self) -> str:
        """Return the key in the form it is handed on in."""
        return vkey(self.name, self.public_key, self.kind)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that was checked. `time` is when the witness says it made it, in UTC seconds; 0: it says nothing."""

    key: CosignerKey
    time: int
    line: str


def parse_cosigner(text: str) -> CosignerKey:
    """Read a cosigner's verifier key of either type; raises `VerificationError`."""
    name, kind, public = split_vkey(text)
    if kind not in _SIZES or len(public) != _SIZES[kind][0]:
        raise VerificationError("the verifier key is not a cosigner's")
    return CosignerKey(name, kind, public)


def cosign(text: str, signer: Signer, time: int) -> str:
    """Cosign the text of a checkpoint with an Ed25519 key (type 0x04) and return the line, LF included.

    One key, one witness: what is signed does not name it.
    """
    signature = signer.sign(_ed25519_message(text, time))
    identifier = key_id(signer.name, signer.public_key, ED25519_COSIGNATURE)
    return line_of(Signature(signer.name, identifier, _STAMP.pack(time) + signature))


def ml_dsa_line(text: str, key: CosignerKey, time: int, signature: bytes) -> str:
    """Return the line of an ML-DSA-44 signature over `ml_dsa_message`."""
    if len(signature) != ML_DSA_SIGNATURE_SIZE:
        raise VerificationError("an ML-DSA-44 signature is 2420 bytes")
    parse(text)
    return line_of(Signature(key.name, key.key_id, _STAMP.pack(time) + signature))


def ml_dsa_message(text: str, name: str, time: int) -> bytes:
    """Return what an ML-DSA-44 cosigner signs of a checkpoint: a struct in the notation of RFC 8446 §3."""
    checkpoint = parse(text)
    parts = [_SUBTREE]
    for label in (name.encode(), checkpoint.origin.encode()):
        if not 0 < len(label) <= 0xFF:  # noqa: PLR2004 - one byte of length
            raise VerificationError("a name in a cosignature is 1 to 255 bytes")
        parts.append(bytes((len(label),)) + label)
    cosigner, origin = parts[1:]
    return (
        _SUBTREE
        + cosigner
        + _STAMP.pack(time)
        + origin
        + _STAMP.pack(0)
        + _STAMP.pack(checkpoint.size)
        + checkpoint.root
    )


def cosignatures(note: str | bytes, keys: Iterable[CosignerKey]) -> list[Cosignature]:
    """Check the lines of these cosigners on a checkpoint, one per key, and return them in the note's order.

    Lines of other keys are passed over: whether the log itself signed is asked by `open_checkpoint`. Raises
    `VerificationError` when a line of a known key does not verify, `CannotDecide` when this Python has no ML-DSA.
    """
    taken = split_note(note)
    parse(taken.text)
    known = {(key.name, key.key_id): key for key in keys}
    found: dict[CosignerKey, Cosignature] = {}
    for line in taken.unverified:
        key = known.get((line.name, line.key_id))
        if key is not None:
            found.setdefault(key, Cosignature(key, _checked(taken.text, key, line.value), line_of(line)))
    return list(found.values())


def _checked(text: str, key: CosignerKey, value: bytes) -> int:
    if len(value) != _STAMP.size + _SIZES[key.kind][1]:
        raise VerificationError("a cosignature is not of its type's length")
    (time,) = _STAMP.unpack(value[: _STAMP.size])
    if time > MAX_TIME:
        raise VerificationError("the time of a cosignature is out of range")
    signature = value[_STAMP.size :]
    try:
        if key.kind == ED25519_COSIGNATURE:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, _ed25519_message(text, time))
        else:
            _ml_dsa(key.public_key).verify(signature, ml_dsa_message(text, key.name, time))
    except (InvalidSignature, ValueError):
        raise VerificationError("the cosignature of a known key does not verify") from None
    return int(time)


def _ml_dsa(public: bytes) -> Any:
    # Here and not above: an auditor's older `cryptography` still checks everything else.
    try:
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey  # noqa: PLC0415

        return MLDSA44PublicKey.from_public_bytes(public)
    except (ImportError, UnsupportedAlgorithm):
        raise CannotDecide("this `cryptography` cannot check ML-DSA signatures") from None


def _ed25519_message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
