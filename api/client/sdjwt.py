"""Takes SD-JWTs apart (RFC 9901 §7), written independently of the issuing side, so that the two check each other.

Nothing here knows what an attestation is. Every "MUST be rejected" of §7.1 is a refusal: a digest that occurs twice, a
disclosure that no digest refers to, a reserved or colliding name, an unknown hash.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from api.client.errors import AttestationInvalid

RESERVED = frozenset({"_sd", "...", "_sd_alg"})
MOST_DISCLOSURES = 256
LONGEST = 1 << 17
DEEPEST = 16
ALGORITHMS = {"EC": "ES256", "OKP": "EdDSA"}


def decoded(text: str) -> bytes:
    """Base64url without padding, in its one canonical spelling; `AttestationInvalid` otherwise."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise AttestationInvalid("encoding") from None
    if encoded(raw) != text:
        raise AttestationInvalid("encoding")
    return raw


def encoded(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def digest(text: str) -> str:
    """Hash a disclosure, or a whole SD-JWT for `sd_hash`, as it is written (§4.2.3, §4.3.1)."""
    return encoded(hashlib.sha256(text.encode("ascii", "replace")).digest())


def parsed(raw: bytes) -> Any:
    """Parse JSON in which no object names a member twice and no number is none."""
    try:
        return json.loads(raw, object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise AttestationInvalid("json") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice")
    return found


def _refused(_: str) -> None:
    raise ValueError("not a number")


def verified(token: str, jwk: Mapping[str, Any], kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check a JWS by a key and its type; returns header and claims. The key decides the algorithm, never the header."""
    segments = token.split(".")
    if len(segments) != 3 or len(token) > LONGEST:  # noqa: PLR2004 - compact JWS
        raise AttestationInvalid("form")
    header, claims = parsed(decoded(segments[0])), parsed(decoded(segments[1]))
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise AttestationInvalid("form")
    algorithm = ALGORITHMS.get(str(jwk.get("kty")))
    if header.get("alg") != algorithm or header.get("typ") != kind or "crit" in header:
        raise AttestationInvalid("header")
    try:
        key = jwt.PyJWK({**jwk, "alg": algorithm}).key
        jwt.api_jws.PyJWS().decode(token, key, algorithms=[str(algorithm)])
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise AttestationInvalid("signature") from None
    return header, claims


def key_of(jwks: Mapping[str, Any], token: str) -> Mapping[str, Any]:
    """Choose the key that a token's `kid` names. Exactly one must fit."""
    header = parsed(decoded(token.partition(".")[0]))
    kid = header.get("kid") if isinstance(header, dict) else None
    keys = [key for key in jwks.get("keys", ()) if isinstance(key, Mapping) and key.get("kid") == kid]
    if kid is None or len(keys) != 1:
        raise AttestationInvalid("key")
    return keys[0]


def split(presentation: str) -> tuple[str, list[str], str]:
    """Take a presentation apart: issuer-signed JWT, disclosures, key binding JWT (empty if there is none)."""
    if len(presentation) > LONGEST:
        raise AttestationInvalid("form")
    issued, *parts = presentation.split("~")
    if not parts or len(parts) > MOST_DISCLOSURES or any(not each for each in parts[:-1]):
        raise AttestationInvalid("form")
    return issued, parts[:-1], parts[-1]


def opened(payload: Mapping[str, Any], disclosures: Sequence[str]) -> dict[str, Any]:
    """Put the disclosed claims in the places of their digests and drop all other digests (§7.1, step 3)."""
    if payload.get("_sd_alg", "sha-256") != "sha-256":
        raise AttestationInvalid("_sd_alg")
    reading = _Reading(disclosures)
    found = reading.of_object(payload, 0)
    if reading.used != set(reading.waiting):
        raise AttestationInvalid("disclosure without digest")
    found.pop("_sd_alg", None)
    return found


class _Reading:
    """One pass over a payload: every digest once, every disclosure used."""

    def __init__(self, disclosures: Sequence[str]) -> None:
        self.waiting = {digest(each): _disclosure(each) for each in disclosures}
        if len(self.waiting) != len(disclosures):
            raise AttestationInvalid("disclosure twice")
        self.used: set[str] = set()
        self._seen: set[str] = set()

    def of_any(self, value: Any, depth: int) -> Any:
        if depth > DEEPEST:
            raise AttestationInvalid("depth")
        if isinstance(value, Mapping):
            return self.of_object(value, depth)
        return self.of_array(value, depth) if isinstance(value, list) else value

    def of_object(self, value: Mapping[str, Any], depth: int) -> dict[str, Any]:
        if "..." in value or (depth and "_sd_alg" in value):
            raise AttestationInvalid("reserved name")
        found = {name: self.of_any(each, depth + 1) for name, each in value.items() if name != "_sd"}
        listed = value.get("_sd", [])
        if not isinstance(listed, list):
            raise AttestationInvalid("digests")
        for each in listed:
            held = self._take(each, 3)
            if held is None:
                continue
            _, name, content = held
            if not isinstance(name, str) or name in RESERVED:
                raise AttestationInvalid("reserved name")
            if name in found:
                raise AttestationInvalid("claim twice")
            found[name] = self.of_any(content, depth + 1)
        return found

    def of_array(self, value: list[Any], depth: int) -> list[Any]:
        found = []
        for each in value:
            if not isinstance(each, Mapping) or "..." not in each:
                found.append(self.of_any(each, depth + 1))
                continue
            if len(each) != 1:
                raise AttestationInvalid("digests")
            held = self._take(each["..."], 2)
            if held is not None:
                found.append(self.of_any(held[1], depth + 1))
        return found

    def _take(self, named: object, length: int) -> list[Any] | None:
        """Find the disclosure of a digest: None for a decoy, or for what its holder kept back."""
        if not isinstance(named, str) or named in self._seen:
            raise AttestationInvalid("digest twice")
        self._seen.add(named)
        held = self.waiting.get(named)
        if held is None:
            return None
        if len(held) != length:
            raise AttestationInvalid("disclosure in the wrong place")
        self.used.add(named)
        return held


def _disclosure(written: str) -> list[Any]:
    content = parsed(decoded(written))
    if not isinstance(content, list) or len(content) not in {2, 3} or not isinstance(content[0], str):
        raise AttestationInvalid("disclosure")
    return content
