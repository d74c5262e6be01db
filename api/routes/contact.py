"""Contacts with a person: those that were made, and whether one may be made now."""

from fastapi import APIRouter, Request

from api import consentacts
from api.authn import staff
from api.authn.credential import Bearer
from api.bodies.contact import ContactGuidance, ContactMade, ContactNoted, MayContact
from api.routes.answers import Json
from api.routes.writes import asked, written
from vault.errors import Refused

router = APIRouter(prefix="/v1/contact", tags=["consents"])


@router.post("/activity", status_code=201, response_model=ContactNoted)
async def activity(request: Request, credential: Bearer, body: ContactMade) -> Json:
    """Note a contact. What the person did counts for how long a prospect is kept; that a message was opened does not."""
    shaped = consentacts.Contact(body.reference, body.kind, body.at)
    return await written(request, credential, consentacts.contacts, shaped)


@router.post("/evaluation", response_model=ContactGuidance)
async def evaluation(request: Request, credential: Bearer, body: MayContact) -> Json:
    """Say whether a person may be contacted now, and how: consent, the address it covers, and the person's own wishes."""
    who = staff.agreed(credential.staff, body.staff)
    if isinstance(who, Refused):
        raise who
    shaped = consentacts.MayContact(body.reference, body.purpose, body.channel, who)
    return Json(await asked(request, credential, consentacts.evaluations, shaped))
