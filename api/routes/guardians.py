"""Guardians of minors: link, end, and those whose minor has come of age."""

from fastapi import APIRouter, Request

from api import consentacts
from api.authn.credential import Bearer
from api.bodies.contact import EndGuardian, GuardianRecorded, GuardiansDue, LinkGuardian
from api.routes.answers import Json
from api.routes.writes import asked, written

router = APIRouter(prefix="/v1/guardians", tags=["consents"])


@router.post("", status_code=201, response_model=GuardianRecorded)
async def link(request: Request, credential: Bearer, body: LinkGuardian) -> Json:
    """Link a guardian to a minor. From then on a consent with `actor` `guardian` counts for the minor, not for marketing."""
    shaped = consentacts.Guarding(
        body.reference, body.guardian, body.proof, bytes.fromhex(body.proof_hash), body.of_age_on
    )
    return await written(request, credential, consentacts.guardian_links, shaped)


@router.post("/end", status_code=201, response_model=GuardianRecorded)
async def end(request: Request, credential: Bearer, body: EndGuardian) -> Json:
    """End a link."""
    shaped = consentacts.Guarding(body.reference, body.guardian)
    return await written(request, credential, consentacts.guardian_ends, shaped)


@router.get("/due", response_model=GuardiansDue)
async def due(request: Request, credential: Bearer) -> Json:
    """List whose links wait for review: the minor is of age, and has to be asked anew."""
    return Json(await asked(request, credential, consentacts.guardians_due, None))
