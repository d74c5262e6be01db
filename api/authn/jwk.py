"""Public JSON Web Keys (RFC 7517), their thumbprints (RFC 7638) and base64url, as strictly as JOSE allows.

Two kinds of key only: EC P-256 for ES256 and Ed25519 for EdDSA. Proofs and client assertions share this file, so a
key means the same thing, and has the same thumbprint, wherever it arrives.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

ALGORITHMS = ("ES256", "EdDSA")
"""Accepted `alg` values, most used first. Asymmetric only (RFC 9449 §4.2); `none` and HMAC cannot be named."""

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_FIELD = 32  # bytes of a P-256 coordinate and of an Ed25519 key
_SIGNATURE = 64  # bytes of both signature forms (RFC 7518 §3.4, RFC 8037 §3.1)
_ES256 = ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A verification key with its algorithm and thumbprint."""

    algorithm: str
    key: EllipticCurvePublicKey | Ed25519PublicKey
    jkt: str

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether `signature` (64 raw bytes, R||S for ES256) is this key's over `message`."""
        if len(signature) != _SIGNATURE:
            return False
        try:
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                r, s = int.from_bytes(signature[:_FIELD]), int.from_bytes(signature[_FIELD:])
                self.key.verify(encode_dss_signature(r, s), message, _ES256)
        except InvalidSignature:
            return False
        return True


def public_key(jwk: Mapping[str, object]) -> PublicKey | None:
    """Read a public JWK: EC P-256 (RFC 7518 §6.2) or OKP Ed25519 (RFC 8037 §2). None for anything else.

    The algorithm follows from the key and from nothing the sender says, so no key can be used with another
    algorithm. A private member disqualifies the whole key: whoever sends it has given it away.
    """
    if _PRIVATE_MEMBERS & jwk.keys():
        return None
    match jwk.get("kty"), jwk.get("crv"):
        case "EC", "P-256":
            return _p256(jwk)
        case "OKP", "Ed25519":
            return _ed25519(jwk)
        case _:
            return None


def _p256(jwk: Mapping[str, object]) -> PublicKey | None:
    x, y = _coordinate(jwk.get("x")), _coordinate(jwk.get("y"))
    if x is None or y is None:
        return None
    try:
        # Refuses points that are not on the curve.
        key = EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), SECP256R1()).public_key()
    except ValueError:
        return None
    members = f'{{"crv":"P-256","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    return PublicKey("ES256", key, _thumbprint(members))


def _ed25519(jwk: Mapping[str, object]) -> PublicKey | None:
    x = _coordinate(jwk.get("x"))
    if x is None:
        return None
    members = f'{{"crv":"Ed25519","kty":"OKP","x":"{jwk["x"]}"}}'
    return PublicKey("EdDSA", Ed25519PublicKey.from_public_bytes(x), _thumbprint(members))


def _thumbprint(members: str) -> str:
    """RFC 7638: SHA-256 over the required members in lexical order without white space.

    Why safe to build by format string: every inserted value passed `decode_segment`, so it is base64url and needs no
    JSON escape, and it is the only spelling of its bytes, so a key has one thumbprint.
    """
    return encode_segment(hashlib.sha256(members.encode("ascii")).digest())


def _coordinate(value: object) -> bytes | None:
    raw = decode_segment(value) if isinstance(value, str) else None
    return raw if raw is not None and len(raw) == _FIELD else None


def encode_segment(raw: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode_segment(text: str) -> bytes | None:
    """Base64url without padding, in its one canonical spelling; None otherwise.

    The standard decoder skips foreign characters and ignores stray low bits. Encoding again and comparing refuses
    both, and padding, in one step.
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return raw if encode_segment(raw) == text else None
