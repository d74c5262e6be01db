"""The access evaluation endpoint of AuthZEN's Authorization API 1.0."""

from fastapi import APIRouter, Request

from api.authn.credential import Bearer
from api.bodies.access import Evaluate, Evaluated
from api.evaluations import Evaluation, evaluations
from api.looks import Call
from api.problems import request_id_of
from api.routes.answers import Json
from api.services import services_of
from policies.model import Level, Wanted

router = APIRouter(prefix="/access/v1", tags=["access"])


@router.post("/evaluation", response_model=Evaluated, response_model_exclude_none=True)
async def evaluation(request: Request, credential: Bearer, body: Evaluate) -> Json:
    """Tell whether a disclosure would be granted, without data. Decided and logged as the disclosure would be."""
    properties = body.action.properties
    wanted = tuple(Wanted(each.name, Level(each.level), each.predicate or "") for each in properties.fields)
    asked = Evaluation(body.subject.id, body.resource.id, properties.purpose, wanted, properties.staff)
    call = Call(credential, request_id_of(request), asked)
    return Json(await services_of(request).batcher.submit(evaluations, call))
