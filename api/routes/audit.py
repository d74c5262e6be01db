"""The log as outsiders read it (C2SP tlog-tiles): checkpoint, hash tiles, keys. Open to all: no entry content is in them.

Entry bundles are pseudonymous data and for the systems of auditors, under a token with the scope `audit.read`.
"""

import re
from typing import Final

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from api import acts
from api.authn.credential import Bearer
from api.looks import Call
from api.problems import Problem, request_id_of
from api.routes.answers import Json
from api.services import keyless, services_of
from audit import tiles
from audit.errors import VerificationError
from audit.note import vkey
from audit.receipt import receipt_key_name
from audit.tiles import Place
from vault import evidence, logkeys, witnessing
from vault.keys.service import SigningKey
from vault.secondsigner import second_signers

router = APIRouter(prefix="/audit", tags=["audit"])

_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_NOWHERE: Final = {"Cache-Control": "no-store"}
_ENTRY_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BYTES: Final = "application/octet-stream"


@router.get("/checkpoint", response_class=PlainTextResponse)
async def checkpoint(request: Request) -> Response:
    """Return the newest signed checkpoint (C2SP tlog-checkpoint) as text."""
    note = await anyio.to_thread.run_sync(evidence.latest_checkpoint, keyless(request).vault)
    if note is None:
        raise Problem("not_found")
    return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})


@router.get("/checkpoint/witnessed", response_class=PlainTextResponse)
async def witnessed(request: Request) -> Response:
    """Return the newest checkpoint that a quorum of witnesses cosigned (C2SP tlog-cosignature) as text."""
    kept = await anyio.to_thread.run_sync(witnessing.newest, keyless(request).vault)
    if kept is None:
        raise Problem("not_found")
    return PlainTextResponse(kept.note, headers={"Cache-Control": "no-cache"})


@router.get("/proof/{entry_id}", response_class=PlainTextResponse)
async def proof(request: Request, entry_id: str) -> Response:
    """Prove that an entry is in the log (C2SP tlog-proof), to whoever holds its receipt: the id is not to be guessed."""
    if not _ENTRY_ID.fullmatch(entry_id):
        raise Problem("not_found")
    found = await anyio.to_thread.run_sync(evidence.proof_of, keyless(request).vault, bytes.fromhex(entry_id))
    if found is None:
        raise Problem("not_found")
    return PlainTextResponse(found, headers=_NOWHERE)


@router.get("/keys")
async def keys(request: Request) -> Json:
    """Return the verifier keys (C2SP signed-note vkeys) of the log and of receipts. Compare them out of band.

    `log` is the newest; `logs` are those that sign now, two while a new one is brought in; `ended` signed before.
    """
    services = services_of(request)
    vault = services.vault
    shown = await anyio.to_thread.run_sync(logkeys.shown, vault)
    told: dict[str, object] = {
        "origin": vault.origin,
        "log": shown[0].key.vkey,
        "logs": [each.key.vkey for each in shown if each.in_use],
        "ended": [{"log": each.key.vkey, "until": each.until} for each in shown if not each.in_use],
        "receipt": vkey(receipt_key_name(vault.origin), vault.keys.public_key(SigningKey.RECEIPT)),
    }
    if services.settings.log_ml_dsa:
        seconds = await anyio.to_thread.run_sync(second_signers, vault)
        told["log_ml_dsa"] = seconds[-1].key.vkey
        told["logs_ml_dsa"] = [each.key.vkey for each in reversed(seconds)]
    return Json(told)


@router.get("/tile/entries/{path:path}", response_class=Response)
async def bundle(request: Request, credential: Bearer, path: str) -> Response:
    """Return an entry bundle, full or partial, that the newest checkpoint covers. For auditors; logged."""
    at = _place(f"tile/entries/{path}")
    call = Call(credential, request_id_of(request), at)
    found = await services_of(request).batcher.submit(acts.log_bundles, call)
    if found is None:
        kept = await anyio.to_thread.run_sync(evidence.kept_from, keyless(request).vault)
        if at.index * tiles.TILE_WIDTH < kept:
            raise Problem("entries_pruned", kept_from=kept)
        raise Problem("not_found")
    return Response(found, media_type=_BYTES, headers=_NOWHERE)


@router.get("/tile/{path:path}", response_class=Response)
async def tile(request: Request, path: str) -> Response:
    """Return a hash tile, full or partial, that the newest checkpoint covers."""
    found = await anyio.to_thread.run_sync(evidence.hash_tile, keyless(request).vault, _place(f"tile/{path}"))
    if found is None:
        raise Problem("not_found")
    return Response(found, media_type=_BYTES, headers=_FOR_EVER)


def _place(path: str) -> Place:
    try:
        return tiles.parse_path(path)
    except VerificationError:
        raise Problem("not_found") from None
