"""Subjects: register, find, describe and change. A personal value travels in a body, never in a URL."""

import re
from typing import Annotated

from fastapi import APIRouter, Path, Request

from api import acts
from api.authn.credential import Bearer
from api.bodies.common import REFERENCE
from api.bodies.subjects import (
    CreateSubject,
    LiftRestriction,
    PlaceRestriction,
    RestrictionAnswer,
    RotateReference,
    RotationAnswer,
    SearchAnswer,
    SearchSubjects,
    SubjectAnswer,
    UpdateSubject,
)
from api.events import event_given
from api.looks import Call
from api.problems import Problem, request_id_of
from api.restrictions import RestrictionAsked, liftings, placings
from api.rotations import RotationAsked, rotations
from api.routes.answers import Json
from api.routes.writes import write_of, written
from api.services import services_of

router = APIRouter(prefix="/v1/subjects", tags=["subjects"])

Reference = Annotated[str, Path(pattern=REFERENCE)]

_ETAG = re.compile(r'"([1-9][0-9]{0,17})"')


@router.post("", status_code=201, response_model=SubjectAnswer)
async def create(request: Request, credential: Bearer, body: CreateSubject) -> Json:
    """Register a person with the calling brand. Answers the brand's own reference."""
    creation = acts.Creation(body.region, body.fields, tuple(event_given(each) for each in body.consents))
    call = Call(credential, request_id_of(request), await write_of(request, creation))
    done = await services_of(request).batcher.submit(acts.creations, call)
    return Json(done.answer, 200 if done.replayed else 201, _etag(done.answer["version"]))


@router.post("/search", response_model=SearchAnswer)
async def search(request: Request, credential: Bearer, body: SearchSubjects) -> Json:
    """Find at most three candidates by one exactly matching, indexed field."""
    call = Call(credential, request_id_of(request), acts.Query(body.by, body.value))
    return Json(await services_of(request).batcher.submit(acts.searches, call))


@router.get("/{reference}", response_model=SubjectAnswer)
async def describe(request: Request, credential: Bearer, reference: Reference) -> Json:
    """Describe one of the brand's own references: no value, and an ETag to change it under."""
    call = Call(credential, request_id_of(request), reference)
    answer = await services_of(request).batcher.submit(acts.descriptions, call)
    return Json(answer, headers=_etag(answer["version"]))


@router.post("/{reference}/rotation", response_model=RotationAnswer)
async def rotate(request: Request, credential: Bearer, reference: Reference, body: RotateReference) -> Json:
    """Replace the brand's reference to a person by a fresh one; the old one may resolve for a grace."""
    asked = RotationAsked(reference, body.grace_seconds)
    call = Call(credential, request_id_of(request), await write_of(request, asked))
    done = await services_of(request).batcher.submit(rotations, call)
    return Json(done.answer)


@router.post("/{reference}/restriction", status_code=201, response_model=RestrictionAnswer)
async def restrict(request: Request, credential: Bearer, reference: Reference, body: PlaceRestriction) -> Json:
    """Restrict the processing of a person's data (GDPR Art. 18): from then on only legal claims pass, at every brand."""
    return await written(request, credential, placings, RestrictionAsked(reference, body.ground))


@router.post("/{reference}/restriction/lift", status_code=201, response_model=RestrictionAnswer)
async def lift_restriction(request: Request, credential: Bearer, reference: Reference, body: LiftRestriction) -> Json:
    """Lift a restriction of the calling brand, after the person was told."""
    return await written(request, credential, liftings, RestrictionAsked(reference, body.ground))


@router.patch("/{reference}", response_model=SubjectAnswer)
async def update(request: Request, credential: Bearer, reference: Reference, body: UpdateSubject) -> Json:
    """Change values, all or none. Needs If-Match with the ETag last seen."""
    amendment = acts.Amendment(reference, _expected(request), body.model_dump())
    call = Call(credential, request_id_of(request), await write_of(request, amendment))
    done = await services_of(request).batcher.submit(acts.amendments, call)
    return Json(done.answer, headers=_etag(done.answer["version"]))


def _expected(request: Request) -> int:
    header = request.headers.get("if-match")
    if header is None:
        raise Problem("precondition_required")
    match = _ETAG.fullmatch(header.strip())
    if match is None:  # weak, a list, or `*`: none of them names the version that was seen
        raise Problem("version_conflict")
    return int(match[1])


def _etag(version: int) -> dict[str, str]:
    return {"ETag": f'"{version}"'}
