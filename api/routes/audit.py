"""The log's newest checkpoint and the keys it is checked with. Open to all: they carry no entry content."""

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from api.problems import Problem
from api.routes.answers import Json
from api.services import keyless, services_of
from audit.note import vkey
from audit.receipt import receipt_key_name
from vault import evidence
from vault.keys.service import SigningKey

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get("/checkpoint", response_class=PlainTextResponse)
async def checkpoint(request: Request) -> Response:
    """Return the newest signed checkpoint (C2SP tlog-checkpoint) as text."""
    note = await anyio.to_thread.run_sync(evidence.latest_checkpoint, keyless(request).vault)
    if note is None:
        raise Problem("not_found")
    return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})


@router.get("/keys")
async def keys(request: Request) -> Json:
    """Return the verifier keys (C2SP signed-note vkeys) of the log and of receipts. Compare them out of band."""
    vault = services_of(request).vault
    return Json(
        {
            "origin": vault.origin,
            "log": vkey(vault.origin, vault.keys.public_key(SigningKey.LOG)),
            "receipt": vkey(receipt_key_name(vault.origin), vault.keys.public_key(SigningKey.RECEIPT)),
        }
    )
