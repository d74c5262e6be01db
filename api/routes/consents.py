"""Consents: give and withdraw. Withdrawing asks for nothing that giving does not (GDPR Art. 7(3))."""

from fastapi import APIRouter, Request

from api import acts
from api.authn.credential import Bearer
from api.bodies.consents import ConsentRecorded, GiveConsent, WithdrawConsent
from api.events import event_given
from api.pipeline import Call
from api.problems import request_id_of
from api.routes.answers import Json
from api.routes.writes import write_of
from api.services import services_of
from vault.consents import ConsentAct, ConsentEvent

router = APIRouter(prefix="/v1/consents", tags=["consents"])


@router.post("", status_code=201, response_model=ConsentRecorded)
async def give(request: Request, credential: Bearer, body: GiveConsent) -> Json:
    """Record that a person agreed to a purpose of the calling brand, with the notice they were shown."""
    return await _change(request, credential, body.reference, event_given(body))


@router.post("/withdraw", status_code=201, response_model=ConsentRecorded)
async def withdraw(request: Request, credential: Bearer, body: WithdrawConsent) -> Json:
    """Record that a person withdrew. Every outstanding token that rested on it is dead at its next use."""
    event = ConsentEvent(
        body.purpose,
        ConsentAct.WITHDRAWN,
        body.channel,
        place=body.place,
        collector=body.collector,
        event_at=body.event_at,
    )
    return await _change(request, credential, body.reference, event)


async def _change(request: Request, credential: Bearer, reference: str, event: ConsentEvent) -> Json:
    call = Call(credential, request_id_of(request), await write_of(request, acts.ConsentChange(reference, event)))
    written = await services_of(request).batcher.submit(acts.consent_changes, call)
    return Json(written.answer, 200 if written.replayed else 201)
