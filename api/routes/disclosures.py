"""Disclosures: redeem a disclosure token for one subject, or for many."""

from fastapi import APIRouter, Request

from api import pipeline
from api.authn.credential import Bearer
from api.bodies.disclosures import BulkRefused, Disclose, DiscloseBulk, Disclosed, DisclosedBulk
from api.looks import Call, Look
from api.problems import request_id_of
from api.routes.answers import Json
from api.routes.lean import Lean
from api.services import services_of
from vault.errors import VaultError

router = APIRouter(prefix="/v1/disclosures", tags=["disclosures"], route_class=Lean)


@router.post("", response_model=Disclosed)
async def disclose(request: Request, credential: Bearer, body: Disclose) -> Json:
    """Disclose one subject's fields, at the levels the token grants and the policy still allows now."""
    asked = Look(body.reference, tuple(body.fields) if body.fields else None)
    looks: tuple[Look, ...] = (asked,)
    call = Call(credential, request_id_of(request), looks)
    (outcome,) = await services_of(request).batcher.submit(pipeline.disclosures, call)
    if isinstance(outcome, VaultError):
        raise outcome
    return Json(outcome)


@router.post("/bulk", response_model=DisclosedBulk)
async def disclose_bulk(request: Request, credential: Bearer, body: DiscloseBulk) -> Json:
    """Disclose several subjects that one token names; each is decided, counted and logged for itself."""
    fields = tuple(body.fields) if body.fields else None
    asked = tuple(Look(reference, fields) for reference in body.references)
    call = Call(credential, request_id_of(request), asked)
    outcomes = await services_of(request).batcher.submit(pipeline.disclosures, call)
    items, receipt = [], None
    for reference, outcome in zip(body.references, outcomes, strict=True):
        if isinstance(outcome, VaultError):
            items.append(BulkRefused(reference=reference, error=outcome.code).model_dump())
        else:
            receipt = outcome.pop("receipt")  # the same for all
            items.append(outcome)
    return Json({"disclosures": items, "receipt": receipt})
