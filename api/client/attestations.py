"""Presents attestations and checks them, without asking anybody: an SD-JWT with key binding (RFC 9901).

`present` is for the holder, who chooses which claims to show. `verify_attestation` is for the verifier, who needs the
issuer's published keys, its own name and the nonce it gave, and the status list, which it may fetch beforehand.
"""

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from api.client.errors import AttestationInvalid
from api.client.identity import SigningKey
from api.client.sdjwt import decoded, digest, key_of, opened, parsed, split, verified

TYPE = "ecrin-attestation+sd-jwt"
STATUS_TYPE = "statuslist+jwt"
BINDING_TYPE = "kb+jwt"
LONGEST_LIFE = 86_400
SKEW = 60  # seconds of disagreement between clocks that is forgiven
FRESH = 300  # seconds that a key binding may be old
LARGEST_LIST = 1 << 22  # bytes of a status list that a verifier unpacks

_PLAIN = frozenset({"iss", "aud", "iat", "exp", "purpose", "cnf", "status"})


@dataclass(frozen=True, slots=True)
class Attested:
    """What holds: the claims shown, the purpose they were given for, and until when (UTC seconds)."""

    claims: Mapping[str, Any] = field(repr=False)
    purpose: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class StatusPlace:
    """Where an attestation's bit is, read without checking anything: the list's address, and the index in it."""

    uri: str
    index: int


def claims_of(attestation: str) -> tuple[str, ...]:
    """Name the claims that an attestation can show, in the order they were written."""
    _, disclosures, _ = split(attestation)
    return tuple(str(parsed(decoded(each))[1]) for each in disclosures)


def status_of(attestation: str) -> StatusPlace:
    """Say where to fetch the status list. The answer is checked by `verify_attestation`."""
    issued, _, _ = split(attestation)
    segments = issued.split(".")
    payload = parsed(decoded(segments[1])) if len(segments) > 1 else None
    return _place(payload if isinstance(payload, dict) else {})


def present(attestation: str, show: Collection[str], *, key: SigningKey, audience: str, nonce: str, now: int) -> str:
    """Show some claims to one verifier, who gave the nonce: signs with the key the attestation is bound to.

    Raises KeyError for a claim that is not in it.
    """
    issued, disclosures, _ = split(attestation)
    named = {str(parsed(decoded(each))[1]): each for each in disclosures}
    shown = "~".join([issued, *(named[name] for name in named if name in show), ""])
    for name in show:
        _ = named[name]
    claims = {"iat": now, "aud": audience, "nonce": nonce, "sd_hash": digest(shown)}
    return shown + key.sign({"typ": BINDING_TYPE}, claims)


def verify_attestation(
    presentation: str,
    *,
    jwks: Mapping[str, Any],
    issuer: str,
    audience: str,
    nonce: str,
    now: int,
    status_list: str | None,
    unsafe_without_status: bool = False,
) -> Attested:
    """Check everything that can be checked offline; `AttestationInvalid` names the check that failed and no value.

    `jwks` are the issuer's published keys, `status_list` the signed list that `status_of` names. Without a list the
    answer would be about the past, so leaving it out must be said.
    """
    issued, disclosures, binding = split(presentation)
    _, payload = verified(issued, key_of(jwks, issued), TYPE)
    found = opened(payload, disclosures)
    if found.get("iss") != issuer:
        raise AttestationInvalid("iss")
    if found.get("aud") != audience:
        raise AttestationInvalid("aud")
    issued_at, expires = _seconds(payload, "iat"), _seconds(payload, "exp")
    if expires <= now:
        raise AttestationInvalid("exp")
    if issued_at > now + SKEW or expires - issued_at > LONGEST_LIFE:
        raise AttestationInvalid("iat")
    if "nbf" in payload and _seconds(payload, "nbf") > now + SKEW:
        raise AttestationInvalid("nbf")
    _check_binding(presentation, binding, payload, audience=audience, nonce=nonce, now=now)
    place = _place(payload)
    if status_list is not None:
        _check_status(status_list, place, jwks, now)
    elif not unsafe_without_status:
        raise AttestationInvalid("status")
    claims = {name: value for name, value in found.items() if name not in _PLAIN}
    if _PLAIN & (found.keys() - payload.keys()):  # what we sign in clear may not come from a disclosure
        raise AttestationInvalid("claim twice")
    return Attested(claims, str(payload.get("purpose", "")), expires)


def _check_binding(
    presentation: str, binding: str, payload: Mapping[str, Any], *, audience: str, nonce: str, now: int
) -> None:
    """Check the key binding JWT (§7.3): by the holder's key, for us, just now, over exactly what is shown."""
    confirmation = payload.get("cnf")
    jwk = confirmation.get("jwk") if isinstance(confirmation, dict) else None
    if not binding or not isinstance(jwk, dict) or "d" in jwk:
        raise AttestationInvalid("key binding")
    _, claims = verified(binding, jwk, BINDING_TYPE)
    if claims.get("aud") != audience:
        raise AttestationInvalid("key binding aud")
    if claims.get("nonce") != nonce or not nonce:
        raise AttestationInvalid("key binding nonce")
    if not -FRESH <= _seconds(claims, "iat") - now <= SKEW:
        raise AttestationInvalid("key binding iat")
    if claims.get("sd_hash") != digest(presentation.removesuffix(binding)):
        raise AttestationInvalid("sd_hash")


def _check_status(token: str, place: StatusPlace, jwks: Mapping[str, Any], now: int) -> None:
    _, claims = verified(token, key_of(jwks, token), STATUS_TYPE)
    if claims.get("sub") != place.uri:
        raise AttestationInvalid("status list of another address")
    if _seconds(claims, "iat") > now + SKEW or ("exp" in claims and _seconds(claims, "exp") <= now):
        raise AttestationInvalid("status list expired")
    if "ttl" in claims and _seconds(claims, "iat") + _seconds(claims, "ttl") + SKEW < now:
        raise AttestationInvalid("status list expired")
    content = claims.get("status_list")
    if not isinstance(content, dict) or content.get("bits") != 1 or not isinstance(content.get("lst"), str):
        raise AttestationInvalid("status list")
    if status_at(content["lst"], 1, place.index):
        raise AttestationInvalid("revoked")


def status_at(compressed: str, bits: int, index: int) -> int:
    """Read one status of a compressed list (draft-ietf-oauth-status-list §4.1): `bits` per status, 1, 2, 4 or 8."""
    unpacking = zlib.decompressobj()
    try:
        array = unpacking.decompress(decoded(compressed), LARGEST_LIST)
    except zlib.error:
        raise AttestationInvalid("status list") from None
    at = index * bits
    if unpacking.unconsumed_tail or not unpacking.eof or bits not in {1, 2, 4, 8} or not 0 <= at < 8 * len(array):
        raise AttestationInvalid("status list")
    return array[at // 8] >> at % 8 & (1 << bits) - 1


def _place(payload: Mapping[str, Any]) -> StatusPlace:
    status = payload.get("status")
    where = status.get("status_list") if isinstance(status, dict) else None
    uri, index = (where.get("uri"), where.get("idx")) if isinstance(where, dict) else (None, None)
    if not isinstance(uri, str) or isinstance(index, bool) or not isinstance(index, int):
        raise AttestationInvalid("status")
    return StatusPlace(uri, index)


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise AttestationInvalid(name)
    return value
