"""Reads a request's credential: one DPoP-bound access token and one fresh proof of its key (RFC 9449 §7.1).

Only what needs no database happens here, on the event loop. Whether the token lives, is bound to this key, and whether
the proof is new is decided in the unit of work, together with everything that follows from it (`vault.tokens`).
"""

import hashlib
from typing import Annotated, Final

from fastapi import Depends, Request

from api.authn import certificate, dpop, staff
from api.problems import Problem
from api.services import services_of
from vault.errors import Refused
from vault.tokens import Credential

SCHEME: Final = "dpop"
LONGEST_TOKEN: Final = 128  # ours have 43 characters; anything longer is not looked at


async def credential(request: Request) -> Credential:
    """Take apart the Authorization and DPoP headers. Raises `Problem` or `Refused`, never naming what was sent."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != SCHEME or not token:
        raise Problem("token_required")
    if len(token) > LONGEST_TOKEN or not token.isascii() or len(request.headers.getlist("authorization")) != 1:
        raise Problem("invalid_token")
    who = staff.named(request.headers.getlist(staff.HEADER))
    if isinstance(who, Refused):
        raise who
    services = services_of(request)
    x5t = certificate.thumbprint_of(request, services.settings.client_certificate_header)
    now = services.vault.clock.now()
    proof = dpop.verify(
        request.headers.getlist("dpop"),
        method=request.method,
        url=services.settings.public_url + request.scope["path"],
        access_token=token,
        now=now,
    )
    if isinstance(proof, Refused):
        raise proof
    remaining = services.rates.take(proof.jkt)
    request.state.rate_limit = services.rates.fields(remaining)
    if remaining < 0:
        raise Problem("too_many_requests")
    nonced = services.nonces.is_good(proof.nonce, now)
    if not nonced and services.settings.dpop_nonces == "every":
        raise Refused("use_dpop_nonce")
    # Why safe unsalted: the token has 256 random bits, so its hash cannot be searched for.
    token_hash = hashlib.sha256(token.encode("ascii")).digest()
    return Credential(token_hash, proof.jkt, proof.proof_hash, proof.expires_at, address_of(request), nonced, x5t, who)


def address_of(request: Request) -> str:
    """Return the caller's address: the peer's, or the one that a trusted proxy forwarded (the server has put it there)."""
    return "" if request.client is None else request.client.host


Bearer = Annotated[Credential, Depends(credential)]
"""The credential of the request at hand, as a route parameter."""
