"""Requests of data subjects: a brand hands in what a person asked for, and follows it."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from api import requests
from api.authn.credential import Bearer
from api.bodies.requests import HandIn, RequestStanding
from api.routes.answers import Json
from api.routes.writes import asked, written
from vault.requests.content import Content

router = APIRouter(prefix="/v1/requests", tags=["requests"])

RequestId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", min_length=32, max_length=32)]


@router.post("", status_code=201, response_model=RequestStanding)
async def hand_in(request: Request, credential: Bearer, body: HandIn) -> Json:
    """Hand in a request of the person behind a reference. Its clock begins; this answer confirms receipt.

    An objection or a withdrawal is carried out at once. Asked for again while the first is open it is a `duplicate`.
    """
    shaped = requests.HandedIn(
        body.reference,
        body.right,
        body.assurance,
        body.requester,
        tuple(body.names),
        Content(body.words, body.values, body.agent, body.key),
        None if body.mandate_hash is None else bytes.fromhex(body.mandate_hash),
        body.language,
        body.jurisdiction or "",
    )
    return await written(request, credential, requests.receipts, shaped)


@router.get("/{request_id}", response_model=RequestStanding)
async def follow(request: Request, credential: Bearer, request_id: RequestId) -> Json:
    """Say where a request of the calling brand stands."""
    return Json(await asked(request, credential, requests.standings, request_id))


@router.post("/{request_id}/withdraw", status_code=201, response_model=RequestStanding)
async def withdraw(request: Request, credential: Bearer, request_id: RequestId) -> Json:
    """Take a request back at the person's word, until it is carried out."""
    return await written(request, credential, requests.withdrawals, request_id)
