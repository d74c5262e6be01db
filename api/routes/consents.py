"""Consents: give, withdraw, and everything else that can happen to one.

Withdrawing asks for nothing that giving does not, and is one call as giving is (GDPR Art. 7(3)).
"""

from typing import Annotated

from fastapi import APIRouter, Header, Request

from api import acts, consentacts
from api.authn.credential import Bearer
from api.bodies.common import Reference
from api.bodies.consents import (
    ConsentEventTold,
    ConsentRecorded,
    ConsentRecordIssued,
    GiveConsent,
    SignalReceived,
    SignalRecorded,
    WithdrawConsent,
)
from api.events import event_given, event_told, event_withdrawn
from api.routes.answers import Json
from api.routes.writes import asked, written
from vault.consents import ConsentEvent
from vault.tokens import Credential

router = APIRouter(prefix="/v1/consents", tags=["consents"])

SIGNAL_ON = "1"  # the only value that the specification gives a meaning


@router.post("", status_code=201, response_model=ConsentRecorded)
async def give(request: Request, credential: Bearer, body: GiveConsent) -> Json:
    """Record that a person agreed to a purpose of the calling brand, with the notice they were shown."""
    return await _change(request, credential, body.reference, event_given(body, renewal=body.renewal))


@router.post("/withdraw", status_code=201, response_model=ConsentRecorded)
async def withdraw(request: Request, credential: Bearer, body: WithdrawConsent) -> Json:
    """Record that a person withdrew. Every outstanding token that rested on it is dead at its next use."""
    return await _change(request, credential, body.reference, event_withdrawn(body))


@router.post("/events", status_code=201, response_model=ConsentRecorded)
async def tell(request: Request, credential: Bearer, body: ConsentEventTold) -> Json:
    """Record any other event: a request, a refusal, an objection or its end, an invalid consent, another legal basis."""
    return await _change(request, credential, body.reference, event_told(body))


@router.post("/signal", status_code=201, response_model=SignalRecorded)
async def signal(
    request: Request, credential: Bearer, body: SignalReceived, sec_gpc: Annotated[str | None, Header()] = None
) -> Json:
    """Pass on a browser's `Sec-GPC` header. `1` objects to every purpose that sells or shares; anything else does nothing.

    No identity is checked and nothing is asked back: the signal is the person's word. Sent again it changes nothing,
    and a consent that the person gave after it, knowing of it, is left alone.
    """
    sent = consentacts.Signal(body.reference, body.channel, on=sec_gpc == SIGNAL_ON)
    return await written(request, credential, consentacts.signals, sent)


@router.get("/{reference}", response_model=ConsentRecordIssued)
async def record(request: Request, credential: Bearer, reference: Reference) -> Json:
    """Give the record of a person's consents at the calling brand, with a receipt for the person to keep."""
    return Json(await asked(request, credential, consentacts.records, reference))


async def _change(request: Request, credential: Credential, reference: str, event: ConsentEvent) -> Json:
    return await written(request, credential, acts.consent_changes, acts.ConsentChange(reference, event))
