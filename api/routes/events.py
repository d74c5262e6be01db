"""The key that event tokens are signed with, for the systems that are told (RFC 7517)."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from api.eventpush import public_jwk
from api.services import services_of

router = APIRouter(prefix="/events", tags=["events"])


@router.get("/jwks")
async def jwks(request: Request) -> JSONResponse:
    """Publish the key set that verifies event tokens."""
    keys: dict[str, Any] = {"keys": [public_jwk(services_of(request).vault.keys)]}
    return JSONResponse(keys, headers={"Cache-Control": "public, max-age=3600"})
