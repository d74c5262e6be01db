"""Verifies DPoP proofs (RFC 9449): the caller holds the key its token is bound to, for this request, just now.

This runs once for every request to a protected resource, so the compact JWS (RFC 7515 §3.1) is taken apart here by
hand: the signature check costs about 95 µs and everything else here about 10, where a general JWT library that parses
header and key each time adds 60. What is parsed is a fixed shape and nothing else: three segments, two algorithms, a
public key in the header. A client sends the same header in each proof, so keys are remembered by header segment.

Verification touches no database. The caller must still claim `Proof.proof_hash` in its unit of work
(`vault.tokens`), which is what makes a proof good for one use.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from urllib.parse import urlsplit

import orjson

from api.authn.jwk import PublicKey, decode_segment, encode_segment, public_key
from vault.errors import Refused

WINDOW = 60
"""Seconds that `iat` may lie before or after our clock."""

MAX_PROOF = 4096
MAX_HEADER = 1024  # a P-256 header is about 230 characters; the limit keeps the key cache small
MIN_JTI, MAX_JTI = 16, 128
MAX_NONCE = 64

_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that verified.

    `jkt` is the RFC 7638 thumbprint of its key (43 characters). `proof_hash` names the proof for replay detection
    (16 bytes), to be kept until `expires_at` (UTC seconds). `nonce` is what it carries, good or not (`api.authn.nonce`).
    `x5t` is the thumbprint of the certificate that the request came with, which is no part of the proof.
    """

    jkt: str
    proof_hash: bytes
    expires_at: int
    nonce: str = ""
    x5t: str = ""


def verify(proofs: Sequence[str], *, method: str, url: str, access_token: str | None, now: int) -> Proof | Refused:
    """Check the values of all `DPoP` headers of one request.

    `method` is the request's method. `url` is where the request was meant to go: the configured public base URL plus
    the path, never the Host header, already in normal form. `access_token` is the bound token, or None at the token
    endpoint. `now` is UTC seconds. The answer's `audit` says which check failed; its `code` is always
    `invalid_dpop_proof`, because the caller needs no more and an attacker should get no more.
    """
    # RFC 9449 §4.3 check 1. Some servers fold repeated headers into one value with commas.
    if len(proofs) != 1 or "," in proofs[0]:
        return _refused("count")
    segments = proofs[0].split(".")
    if len(segments) != 3 or len(proofs[0]) > MAX_PROOF or len(segments[0]) > MAX_HEADER:  # noqa: PLR2004 - compact JWS
        return _refused("form")
    header, payload, signature = segments
    key = _key_of(header)
    if key is None:
        return _refused("header")
    raw_claims, raw_signature = decode_segment(payload), decode_segment(signature)
    if raw_claims is None or raw_signature is None:
        return _refused("form")
    if not key.verify(raw_signature, f"{header}.{payload}".encode("ascii")):
        return _refused("signature")
    return _check_claims(raw_claims, key.jkt, method=method, url=url, access_token=access_token, now=now)


def _check_claims(
    raw: bytes, jkt: str, *, method: str, url: str, access_token: str | None, now: int
) -> Proof | Refused:
    claims = _object(raw)
    if claims is None:
        return _refused("claims")
    if claims.get("htm") != method:
        return _refused("htm")
    htu = claims.get("htu")
    if htu != url and (not isinstance(htu, str) or normal_url(htu) != url):
        return _refused("htu")
    issued = claims.get("iat")
    if isinstance(issued, bool) or not isinstance(issued, int | float) or abs(now - issued) > WINDOW:
        return _refused("iat")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not MIN_JTI <= len(jti) <= MAX_JTI:
        return _refused("jti")
    if access_token is not None and claims.get("ath") != token_digest(access_token):
        return _refused("ath")
    nonce = claims.get("nonce", "")
    if not isinstance(nonce, str) or len(nonce) > MAX_NONCE or not nonce.isascii():
        return _refused("nonce")
    # Why safe: jkt has a fixed length, so no two pairs share a concatenation; 16 bytes leave a chance collision of
    # two honest proofs at 2**-64 per four thousand million remembered.
    proof_hash = hashlib.sha256((jkt + jti).encode()).digest()[:16]
    # The proof is acceptable until iat + WINDOW; kept one window longer for hosts whose clock runs behind.
    return Proof(jkt, proof_hash, ceil(issued) + 2 * WINDOW, nonce)


def token_digest(access_token: str) -> str:
    """Compute the `ath` value of a token: base64url SHA-256 of its ASCII characters (RFC 9449 §4.2)."""
    return encode_segment(hashlib.sha256(access_token.encode()).digest())


@lru_cache(maxsize=512)
def normal_url(url: str) -> str | None:
    """Scheme and host in lower case, default port left out, empty path as `/`; None when it cannot be one of ours.

    RFC 9449 §4.3 asks for RFC 3986 §6.2.2-6.2.3 normalisation. Query, fragment and user information have no place in
    `htu`. Our paths consist of unreserved characters only, so a percent sign or a dot segment can never match.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not url.isascii():
        return None
    if any(sign in url for sign in "?#@%\\ \t\r\n"):
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = host if port in {None, _DEFAULT_PORTS[parts.scheme]} else f"{host}:{port}"
    return f"{parts.scheme}://{authority}{parts.path or '/'}"


@lru_cache(maxsize=1024)
def _key_of(segment: str) -> PublicKey | None:
    """Read the key in a proof's header segment; None if the header is not exactly what RFC 9449 §4.2 asks for."""
    raw = decode_segment(segment)
    header = _object(raw) if raw is not None else None
    # `crit` would name an extension that must be understood; we understand none (RFC 7515 §4.1.11).
    if header is None or header.get("typ") != "dpop+jwt" or "crit" in header:
        return None
    jwk = header.get("jwk")
    key = public_key(jwk) if isinstance(jwk, dict) else None
    return key if key is not None and key.algorithm == header.get("alg") else None


def _object(raw: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _refused(check: str) -> Refused:
    return Refused("invalid_dpop_proof", f"dpop_{check}")
