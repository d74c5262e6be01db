"""Attestations, and what their verifiers need: status lists and the keys of our signatures."""

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from api import jws
from api.attestation import statuslist
from api.attestation.issue import Attest, attest
from api.authn.credential import Bearer
from api.bodies.attestations import Attested, AttestedAsked, StatusListName
from api.looks import Call
from api.oauth import metadata
from api.problems import Problem, request_id_of
from api.routes.answers import Json
from api.services import services_of
from vault import attestations, signers
from vault.signers import SignedAs
from vault.unit import Vault

router = APIRouter(tags=["attestations"])

_SHORT = {"Cache-Control": f"public, max-age={statuslist.TTL_SECONDS}"}


@router.post("/v1/attestations", response_model=Attested)
async def issue(request: Request, credential: Bearer, body: AttestedAsked) -> Json:
    """Attest some of a disclosure token's fields to one audience, bound to one key, for a day at most."""
    services = services_of(request)
    asked = Attest(
        body.reference,
        tuple(body.fields) if body.fields else None,
        body.audience,
        body.key.model_dump(exclude_none=True),
        body.seconds,
        services.settings.issuer,
        services.settings.public_url,
    )
    return Json(await services.batcher.submit(attest, Call(credential, request_id_of(request), asked)))


@router.get(statuslist.PATH + "/{status_list}")
async def status(request: Request, status_list: StatusListName) -> Response:
    """Return a whole status list, signed (draft-ietf-oauth-status-list)."""
    services = services_of(request)
    uri = f"{services.settings.public_url}{statuslist.PATH}/{status_list}"
    token = await anyio.to_thread.run_sync(_status, services.vault, status_list, uri)
    if token is None:
        raise Problem("not_found")
    return Response(token, 200, _SHORT, statuslist.MEDIA_TYPE)


@router.get(metadata.JWKS_PATH)
async def jwks(request: Request) -> Response:
    """Publish the keys that our JSON Web Signatures verify with (RFC 7517), retired ones as long as they may be needed."""
    keys = await anyio.to_thread.run_sync(_jwks, services_of(request).vault)
    return Response(keys, 200, _SHORT, "application/jwk-set+json")


def _status(vault: Vault, name: str, uri: str) -> str | None:
    with vault.reading() as conn:
        fallen = attestations.fallen(conn, vault.bundle.purposes, name)
        signer = None if fallen is None else signers.in_use(conn, vault.keys, SignedAs.ATTESTATION)
    if fallen is None or signer is None:
        return None
    claims = statuslist.claims(uri, statuslist.bits(attestations.CAPACITY, fallen), vault.clock.now())
    return jws.signed(jws.unsigned(statuslist.TYPE, signer.kid, claims), signer.sign)


def _jwks(vault: Vault) -> bytes:
    with vault.reading() as conn:
        return jws.key_set(conn, vault.clock.now(), SignedAs)
