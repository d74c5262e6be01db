"""Liveness and readiness. Neither needs a token, and neither tells more than it must."""

import anyio.to_thread
from fastapi import APIRouter, Request

from api.problems import Problem
from api.services import services_of
from vault.errors import VaultError
from vault.keys.service import KeyState
from vault.setup import check_head
from vault.unit import Vault

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer while the process runs and its loop turns."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> dict[str, str]:
    """Answer 200 only if a disclosure could be served now: keys open, a policy in force, the database at our schema.

    Where the log has witnesses, `witnesses` says whether their quorum stands; disclosures do not wait for it.
    """
    services = services_of(request)
    try:
        sealed = await anyio.to_thread.run_sync(_probe, services.vault)
    except VaultError:
        raise Problem("not_ready") from None
    if sealed:
        raise Problem("sealed")
    if services.watch.lost:
        raise Problem("not_ready")
    if services.witnesses is None:
        return {"status": "ready"}
    return {"status": "ready", "witnesses": "missing" if services.witnesses.missing else "quorum"}


def _probe(vault: Vault) -> bool:
    check_head(vault.engine)
    return vault.keys.status().state is KeyState.SEALED
