"""Builds SD-JWTs (RFC 9901 §4): every claim about the person hidden behind a digest, among digests of nothing.

Only what we issue: flat objects, SHA-256, all claims about the person selectively disclosable. Each claim has a fresh
128-bit salt. Decoys fill the list of digests up to a multiple of eight, and the list is sorted: neither its length nor
its order tells how many claims there are or which (§4.2.5, §9.4).
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from api.authn.jwk import encode_segment

TYPE: Final = "ecrin-attestation+sd-jwt"
SALT_BYTES: Final = 16
_GROUP: Final = 8


def disclosure(salt: str, name: str, value: object) -> str:
    """Write one disclosure (§4.2.1): base64url of a JSON array of salt, name and value."""
    return encode_segment(orjson.dumps([salt, name, value]))


def digest(written: str) -> str:
    """Hash a disclosure as it is written (§4.2.3): 43 characters."""
    return encode_segment(hashlib.sha256(written.encode("ascii")).digest())


def conceal(hidden: Mapping[str, Any], entropy: Callable[[int], bytes]) -> tuple[dict[str, Any], list[str]]:
    """Hide claims. Returns the members that stand for them in the payload, and the disclosures that open them."""
    written = [disclosure(encode_segment(entropy(SALT_BYTES)), name, value) for name, value in hidden.items()]
    digests = [digest(each) for each in written]
    # Why safe: a decoy is the hash of 256 random bits, which nothing can be shown to hash to; it looks like any other.
    digests += [digest(encode_segment(entropy(32))) for _ in range(-len(digests) % _GROUP)]
    return {"_sd": sorted(digests), "_sd_alg": "sha-256"}, written


def combined(jwt: str, disclosures: list[str]) -> str:
    """Join a signed JWT and its disclosures (§4): each is followed by a tilde."""
    return "~".join([jwt, *disclosures, ""])
