"""Contacts that a person made with a brand."""

from fastapi import APIRouter, Request

from api import consentacts
from api.authn.credential import Bearer
from api.bodies.contact import ContactMade, ContactNoted
from api.routes.answers import Json
from api.routes.writes import written

router = APIRouter(prefix="/v1/contact", tags=["consents"])


@router.post("/activity", status_code=201, response_model=ContactNoted)
async def activity(request: Request, credential: Bearer, body: ContactMade) -> Json:
    """Note a contact. What the person did counts for how long a prospect is kept; that a message was opened does not."""
    shaped = consentacts.Contact(body.reference, body.kind, body.at)
    return await written(request, credential, consentacts.contacts, shaped)
