"""Checks an event that a vault pushed (a Security Event Token, RFC 8417), offline, with its published key set.

`verify_event` is for the system's own HTTP endpoint: answer 202 when it returns, 400 when it raises, and take an `id` that
was seen before for the same event told again (RFC 8935 §2).
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.client.errors import EventInvalid

PREFIX = "urn:ecrin:event:"
SUFFIX = ":v1"
LONGEST = 8192
SKEW = 300  # seconds that the two clocks may differ


@dataclass(frozen=True, slots=True)
class VaultEvent:
    """What happened: `kind` to `reference`, with words about what of it. The kinds stand in the API's documentation."""

    id: str
    kind: str
    reference: str = field(repr=False)
    time: int  # UTC seconds since 1970
    detail: Mapping[str, Any] = field(repr=False)


def verify_event(token: bytes | str, jwks: Mapping[str, Any], *, issuer: str, system: str, now: int) -> VaultEvent:
    """Return the event when it is signed by a key of `jwks`, from `issuer` and for this `system`.

    Raises `EventInvalid`. `now` is UTC seconds: an event from the future is refused, one from long ago is not, for it may
    have waited. Only EdDSA over Ed25519 is accepted, whatever the header says.
    """
    text = token.decode("ascii", "replace") if isinstance(token, bytes) else token
    parts = text.split(".")
    if len(text) > LONGEST or len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        raise EventInvalid("not a token")
    header, claims = (_object(part) for part in parts[:2])
    if (header.get("typ"), header.get("alg")) != ("secevent+jwt", "EdDSA") or "crit" in header:
        raise EventInvalid("not an event token of ours")
    key = _key(jwks, header.get("kid"))
    try:
        key.verify(_decoded(parts[2]), f"{parts[0]}.{parts[1]}".encode())
    except InvalidSignature:
        raise EventInvalid("the signature does not hold") from None
    return _event(claims, issuer, system, now)


def _event(claims: Mapping[str, Any], issuer: str, system: str, now: int) -> VaultEvent:
    if claims.get("iss") != issuer or claims.get("aud") != system:
        raise EventInvalid("from another vault, or for another system")
    issued, identifier, subject, events = (claims.get(name) for name in ("iat", "jti", "sub_id", "events"))
    if type(issued) is not int or issued > now + SKEW or not isinstance(identifier, str) or not identifier:
        raise EventInvalid("without a time that has been, or an id")
    if not isinstance(subject, dict) or subject.get("format") != "opaque" or not isinstance(subject.get("id"), str):
        raise EventInvalid("of no reference")
    if not isinstance(events, dict) or len(events) != 1:
        raise EventInvalid("not one event")
    ((urn, detail),) = events.items()
    if not urn.startswith(PREFIX) or not urn.endswith(SUFFIX) or not isinstance(detail, dict):
        raise EventInvalid("of a kind this client does not know the shape of")
    return VaultEvent(identifier, urn[len(PREFIX) : -len(SUFFIX)], subject["id"], issued, detail)


def _key(jwks: Mapping[str, Any], kid: object) -> Ed25519PublicKey:
    keys = jwks.get("keys")
    for key in keys if isinstance(keys, list) else ():
        if isinstance(key, dict) and key.get("kid") == kid and (key.get("kty"), key.get("crv")) == ("OKP", "Ed25519"):
            try:
                return Ed25519PublicKey.from_public_bytes(_decoded(key.get("x", "")))
            except ValueError:
                break
    raise EventInvalid("signed by no key of the set")


def _object(part: str) -> dict[str, Any]:
    try:
        content = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        raise EventInvalid("not a token") from None
    if not isinstance(content, dict):
        raise EventInvalid("not a token")
    return content


def _decoded(part: str) -> bytes:
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise EventInvalid("not base64url") from None
    # One spelling: unpadded, and no stray bits at the end.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise EventInvalid("not base64url")
    return decoded
