"""JSON Web Signatures of ours (RFC 7515, EdDSA by RFC 8037), and the key sets that verify them (RFC 7517).

Attestations, status lists and event tokens are written here and nowhere else, each under a key of its own use
(`vault.signers.SignedAs`): what one key signed never passes for another kind of statement.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from api.authn.jwk import encode_segment
from vault import signers
from vault.signers import SignedAs

_FIXED: Final = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA"}


def unsigned(kind: str, kid: str, payload: Mapping[str, Any]) -> str:
    """Write header and payload (§7.1): what is signed, and what precedes the signature."""
    header = {"alg": "EdDSA", "typ": kind, "kid": kid}
    return f"{encode_segment(orjson.dumps(header))}.{encode_segment(orjson.dumps(payload))}"


def signed(text: str, sign: Callable[[bytes], bytes]) -> str:
    """Add the signature."""
    return f"{text}.{encode_segment(sign(text.encode('ascii')))}"


def key_set(conn: Connection, now: int, uses: Iterable[SignedAs]) -> bytes:
    """Publish the keys of these uses, retired ones as long as they may be needed."""
    wanted = set(uses)
    published = [each for each in signers.published(conn, now) if each.purpose in wanted]
    return orjson.dumps({"keys": [{**_FIXED, "x": encode_segment(each.public), "kid": each.kid} for each in published]})
