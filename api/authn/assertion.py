"""Verifies client assertions: `private_key_jwt` (RFC 7523 §2.2, §3), as its revision and FAPI 2.0 narrow it.

The audience must be our issuer, as one string. A token endpoint's URL, or a list that names us beside others, would
let another server replay here what was addressed to it. The key comes from the system's registration and the
algorithm from the key, so the header chooses neither. PyJWT checks signature and form; times are checked here, against
the injected clock.

Nothing here touches the database. The caller must still claim `Assertion.proof_hash`, so that each is used once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import jwt

from api.authn.jwk import ALGORITHMS, PublicKey, public_key
from vault.errors import Refused
from vault.systems import is_id

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

MAX_ASSERTION: Final = 4096
MAX_LIFE: Final = 300  # seconds ahead that `exp` may lie
SKEW: Final = 30  # seconds of disagreement between clocks that is forgiven
MIN_JTI, MAX_JTI = 16, 128

# RFC 7523 asks for no type; its revision names the second. Anything else, a DPoP proof above all, was made for
# another purpose.
_TYPES: Final = frozenset({"jwt", "client-authentication+jwt"})
_OPTIONS: Final[Any] = {
    "require": ["iss", "sub", "aud", "exp", "jti"],
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion that verified. `proof_hash` (16 bytes) is to be claimed and kept until `expires_at` (seconds)."""

    client_id: str
    proof_hash: bytes
    expires_at: int


def claimed_client(assertion: str) -> str | None:
    """Read whom an assertion says it is from, to look up the keys that can prove it. Proves nothing by itself."""
    if len(assertion) > MAX_ASSERTION:
        return None
    try:
        issuer = jwt.decode(assertion, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    # What no system can be called is not looked for: a database that cannot read it would fail everybody's batch.
    return issuer if isinstance(issuer, str) and is_id(issuer) else None


def verify(assertion: str, *, client_id: str, jwks: Mapping[str, Any], issuer: str, now: int) -> Assertion | Refused:
    """Check an assertion of the registered system `client_id` against its `jwks` (public keys).

    `issuer` is ours, character for character. `now` is UTC seconds. A refusal's `code` is always `invalid_client`;
    its `audit` names the check.
    """
    if len(assertion) > MAX_ASSERTION:
        return _refused("form")
    try:
        header = jwt.get_unverified_header(assertion)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return _refused("form")
    if str(header.get("typ", "JWT")).lower() not in _TYPES or "crit" in header:
        return _refused("type")
    key = _select(jwks, header.get("kid"))
    if key is None:
        return _refused("key")
    try:
        # Why safe: exactly one algorithm, fixed by the registered key's own type. `none`, HMAC under the public
        # key's bytes, and any other confusion cannot be named.
        claims = jwt.decode(assertion, key.key, algorithms=[key.algorithm], options=_OPTIONS)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return _refused("signature")
    return _check_claims(claims, client_id=client_id, issuer=issuer, now=now)


def _check_claims(claims: Mapping[str, Any], *, client_id: str, issuer: str, now: int) -> Assertion | Refused:
    if claims["iss"] != client_id or claims["sub"] != client_id:
        return _refused("subject")
    if claims["aud"] != issuer:
        return _refused("audience")
    expires = _seconds(claims["exp"])
    if expires is None or not now < expires <= now + MAX_LIFE + SKEW:
        return _refused("exp")
    for name in ("iat", "nbf"):
        begins = _seconds(claims.get(name, now))
        if begins is None or begins > now + SKEW:
            return _refused(name)
    jti = claims["jti"]
    if not isinstance(jti, str) or not MIN_JTI <= len(jti) <= MAX_JTI:
        return _refused("jti")
    # Why safe: the separator cannot occur in a registered client id, so no two pairs share an input; the label keeps
    # assertions apart from proofs, which are remembered in the same table.
    use = f"assertion\n{client_id}\n{jti}".encode("utf-8", "surrogatepass")
    return Assertion(client_id, hashlib.sha256(use).digest()[:16], ceil(expires) + SKEW)


def _select(jwks: Mapping[str, Any], kid: object) -> PublicKey | None:
    """Choose the registered key: the one `kid` names, or the only one when the header names none."""
    keys: Sequence[Mapping[str, Any]] = jwks.get("keys", ())
    usable = [key for key in keys if key.get("use", "sig") == "sig"]
    named = usable if kid is None else [key for key in usable if key.get("kid") == kid]
    if len(named) != 1:
        return None
    key = public_key(named[0])
    return key if key is not None and named[0].get("alg", key.algorithm) == key.algorithm in ALGORITHMS else None


def _seconds(value: object) -> float | None:
    """Read a NumericDate (RFC 7519 §2)."""
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def _refused(check: str) -> Refused:
    return Refused("invalid_client", f"assertion_{check}")
