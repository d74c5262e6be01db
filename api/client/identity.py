"""Who a system is, and how it proves it: private_key_jwt (RFC 7523) and DPoP proofs (RFC 9449)."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey

ASSERTION_SECONDS = 60  # an assertion is used at once; a long life would only help a thief


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its JOSE algorithm and public JWK. P-256 signs ES256, Ed25519 signs EdDSA; nothing else."""

    private: PrivateKey = field(repr=False)
    algorithm: str
    public_jwk: Mapping[str, str] = field(repr=False)
    thumbprint: str  # RFC 7638, SHA-256, base64url

    @classmethod
    def of(cls, private: object) -> "SigningKey":
        """Wrap a loaded private key; `ValueError` for any other kind or curve."""
        if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
            numbers = private.public_key().public_numbers()
            jwk = {
                "crv": "P-256",
                "kty": "EC",
                "x": base64url(numbers.x.to_bytes(32, "big")),
                "y": base64url(numbers.y.to_bytes(32, "big")),
            }
            return cls(private, "ES256", jwk, _thumbprint(jwk))
        if isinstance(private, Ed25519PrivateKey):
            jwk = {"crv": "Ed25519", "kty": "OKP", "x": base64url(private.public_key().public_bytes_raw())}
            return cls(private, "EdDSA", jwk, _thumbprint(jwk))
        raise ValueError("need a P-256 or Ed25519 private key")

    @classmethod
    def generate(cls) -> "SigningKey":
        """Draw a fresh P-256 key, as for DPoP: it lives and dies with the process."""
        return cls.of(generate_private_key(SECP256R1()))

    @classmethod
    def load(cls, key: bytes | str | Mapping[str, Any]) -> "SigningKey":
        """Load a PEM (PKCS #8, unencrypted) or a private JWK; `ValueError` that quotes nothing."""
        try:
            if isinstance(key, Mapping):
                return cls.of(jwt.PyJWK(dict(key)).key)
            return cls.of(load_pem_private_key(key.encode() if isinstance(key, str) else key, password=None))
        except (ValueError, TypeError, jwt.PyJWTError):
            raise ValueError("not a P-256 or Ed25519 private key in PEM or JWK form") from None

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """Sign claims as a compact JWS."""
        return jwt.encode(dict(claims), self.private, algorithm=self.algorithm, headers=dict(header))


def _thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638: SHA-256 over the required members, sorted, without white space."""
    return base64url(hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest())


@dataclass(frozen=True, slots=True)
class Identity:
    """A system's registered client id and signing key. `repr` shows the ids only."""

    client_id: str
    key: SigningKey = field(repr=False)
    kid: str

    @classmethod
    def load(cls, client_id: str, private_key: bytes | str | Mapping[str, Any], kid: str = "") -> "Identity":
        """Build from a PEM or JWK; without `kid` the key's RFC 7638 thumbprint names it."""
        key = SigningKey.load(private_key)
        return cls(client_id, key, kid or key.thumbprint)

    def registration(self) -> dict[str, Any]:
        """Return the public JWK Set an operator registers for this system."""
        use = {"use": "sig", "alg": self.key.algorithm, "kid": self.kid}
        return {"keys": [{**self.key.public_jwk, **use}]}

    def assertion(self, issuer: str, now: int, jti: str) -> str:
        """Sign a client assertion. The audience is the issuer alone: never an endpoint URL (rfc7523bis)."""
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": issuer,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": jti,
        }
        return self.key.sign({"kid": self.kid}, claims)


def proof(key: SigningKey, method: str, url: str, now: int, jti: str, *, token: str = "", nonce: str = "") -> str:
    """Sign one DPoP proof for one request (RFC 9449 §4.2). With a token it carries `ath`, the token's hash.

    `jti` must be fresh for every proof: the server refuses a repeated one.
    """
    claims: dict[str, Any] = {"jti": jti, "htm": method, "htu": target(url), "iat": now}
    if token:
        claims["ath"] = base64url(hashlib.sha256(token.encode("ascii")).digest())
    if nonce:
        claims["nonce"] = nonce
    return key.sign({"typ": "dpop+jwt", "jwk": dict(key.public_jwk)}, claims)


def target(url: str) -> str:
    """Return the URL a proof names: without query and fragment (RFC 9449 §4.2, `htu`)."""
    scheme, host, path, _, _ = urlsplit(url)
    return urlunsplit((scheme, host, path, "", ""))
