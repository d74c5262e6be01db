"""The OAuth endpoints and the metadata documents, over HTTP.

Each route reads its form, checks what needs no database, hands one item to the batcher and shapes the answer. Errors
of these routes speak RFC 6749; faults of ours (a sealed vault, a lost store) are problems like everywhere else.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.authn import certificate, nonce, staff
from api.authn.credential import address_of
from api.oauth import errors, form, metadata
from api.oauth.errors import NO_STORE, OAuthError
from api.oauth.introspection import SIGNED, TokenQuestion, introspect, signed
from api.oauth.issue import issue_tokens
from api.oauth.revocation import revoke
from api.oauth.token_request import read_token_request
from api.problems import request_id_of
from api.services import keyless, services_of
from api.settings import Settings
from vault.errors import Refused

router = APIRouter(tags=["oauth"])

_LONGEST_TOKEN: Final = 512
_CACHEABLE: Final = {"Cache-Control": "public, max-age=3600"}


@router.post(metadata.TOKEN_PATH)
async def token(request: Request) -> Response:
    """Issue a service token (by `scope`) or a disclosure token (by `authorization_details`)."""

    async def answer() -> Response:
        services = services_of(request)
        asked = read_token_request(
            await form.read(request),
            request.headers.getlist("dpop"),
            settings=services.settings,
            nonces=services.nonces,
            now=services.vault.clock.now(),
            request_id=request_id_of(request),
            address=address_of(request),
            x5t=_certificate(request),
            staff=request.headers.getlist(staff.HEADER),
        )
        issued = await services.batcher.submit(issue_tokens, asked)
        services.rates.learn(asked.proof.jkt, asked.client.claimed)  # proven by now
        return _json(issued)

    answered = await _answered(request, answer)
    services = services_of(request)
    # With every answer, so that whoever just got a token has the nonce to use it with (RFC 9449 §8.2).
    answered.headers[nonce.HEADER] = services.nonces.current(services.vault.clock.now())
    return answered


@router.post(metadata.INTROSPECTION_PATH)
async def introspection(request: Request) -> Response:
    """Tell whether a token of the caller's brand is good now, and for what (RFC 7662); signed for who accepts it so."""

    async def answer() -> Response:
        services, question = services_of(request), await _question(request)
        told = await services.batcher.submit(introspect, question)
        accepted = {each.partition(";")[0].strip() for each in request.headers.get("accept", "").lower().split(",")}
        if SIGNED not in accepted:
            return _json(told)
        token = await to_thread.run_sync(
            signed, services.vault, told, services.settings.issuer, question.client.claimed
        )
        return Response(token, 200, NO_STORE, SIGNED)

    return await _answered(request, answer)


@router.post(metadata.REVOCATION_PATH, response_class=Response)  # it says nothing (RFC 7009 §2.2)
async def revocation(request: Request) -> Response:
    """Take back a token of the caller (RFC 7009)."""

    async def answer() -> Response:
        await services_of(request).batcher.submit(revoke, await _question(request))
        return Response(status_code=200, headers=NO_STORE)

    return await _answered(request, answer)


@router.get("/.well-known/oauth-authorization-server")
async def authorization_server(request: Request) -> Response:
    """Publish RFC 8414 metadata."""
    return _document(request, metadata.authorization_server)


@router.get(metadata.RESOURCE_METADATA_PATH)
async def protected_resource(request: Request) -> Response:
    """Publish RFC 9728 metadata."""
    return _document(request, metadata.protected_resource)


@router.get("/.well-known/authzen-configuration")
async def decision_point(request: Request) -> Response:
    """Publish AuthZEN metadata."""
    return _document(request, metadata.decision_point)


def _certificate(request: Request) -> str:
    try:
        return certificate.thumbprint_of(request, services_of(request).settings.client_certificate_header)
    except Refused as refused:
        raise OAuthError("invalid_request", "certificate_refused", audit=refused.audit) from None


async def _question(request: Request) -> TokenQuestion:
    fields = await form.read(request)
    issuer = services_of(request).settings.issuer
    client = form.client_credential(fields, issuer, request_id_of(request), address_of(request))
    if not 0 < len(fields.get("token", "")) <= _LONGEST_TOKEN:
        raise OAuthError("invalid_request", "token_required")
    return TokenQuestion(client, fields["token"])


async def _answered(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await answer()
    except OAuthError as error:
        return errors.response(error, request_id_of(request))


def _json(content: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(content), 200, NO_STORE, "application/json")


def _document(request: Request, describe: Callable[[Settings], Mapping[str, Any]]) -> Response:
    content = orjson.dumps(describe(keyless(request).settings))
    return Response(content, 200, _CACHEABLE, "application/json")
