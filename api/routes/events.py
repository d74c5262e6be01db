"""The keys that event tokens are signed with, for the systems that are told (RFC 7517)."""

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from api import jws
from api.services import services_of
from vault.signers import SignedAs
from vault.unit import Vault

router = APIRouter(prefix="/events", tags=["events"])


@router.get("/jwks")
async def jwks(request: Request) -> Response:
    """Publish the key set that verifies event tokens."""
    keys = await anyio.to_thread.run_sync(_jwks, services_of(request).vault)
    return Response(keys, 200, {"Cache-Control": "public, max-age=3600"}, "application/json")


def _jwks(vault: Vault) -> bytes:
    with vault.reading() as conn:
        return jws.key_set(conn, vault.clock.now(), [SignedAs.EVENT])
