"""The access evaluation endpoints of AuthZEN's Authorization API 1.0: a single question, and several."""

from typing import Any, Final

from fastapi import APIRouter, Request

from api.authn.credential import Bearer
from api.bodies.access import (
    Evaluate,
    Evaluated,
    EvaluatedAction,
    EvaluatedMany,
    EvaluatedPerson,
    EvaluatedSystem,
    EvaluateMany,
)
from api.evaluations import Evaluation, Questions, evaluations, evaluations_in_turn
from api.looks import Call
from api.problems import error_body, request_id_of
from api.routes.answers import Json
from api.services import services_of
from policies.model import Level, Wanted
from vault.errors import VaultError

router = APIRouter(prefix="/access/v1", tags=["access"])

_UNTIL: Final = {"execute_all": None, "deny_on_first_deny": False, "permit_on_first_permit": True}


@router.post("/evaluation", response_model=Evaluated, response_model_exclude_none=True)
async def evaluation(request: Request, credential: Bearer, body: Evaluate) -> Json:
    """Tell whether a disclosure would be granted, without data. Decided and logged as the disclosure would be."""
    call = Call(credential, request_id_of(request), _asked(body.subject, body.action, body.resource))
    return Json(await services_of(request).batcher.submit(evaluations, call))


@router.post("/evaluations", response_model=EvaluatedMany | Evaluated, response_model_exclude_none=True)
async def evaluation_of_many(request: Request, credential: Bearer, body: EvaluateMany) -> Json:
    """Tell so of several disclosures: all, or until the first no or yes. Each is decided, counted and logged for itself."""
    until = _UNTIL[body.options.evaluations_semantic]
    call = Call(credential, request_id_of(request), Questions(tuple(_asked(*each) for each in body.wanted()), until))
    answers = await services_of(request).batcher.submit(evaluations_in_turn, call)
    if body.evaluations:
        return Json({"evaluations": [_of_many(each) for each in answers]})
    (answer,) = answers
    if isinstance(answer, VaultError):
        raise answer
    return Json(answer)


def _asked(system: EvaluatedSystem, action: EvaluatedAction, person: EvaluatedPerson) -> Evaluation:
    properties = action.properties
    wanted = tuple(Wanted(each.name, Level(each.level), each.predicate or "") for each in properties.fields)
    return Evaluation(system.id, person.id, properties.purpose, wanted, properties.staff)


def _of_many(answer: dict[str, Any] | VaultError) -> dict[str, Any]:
    if not isinstance(answer, VaultError):
        return answer
    problem = error_body(answer, "")
    error = {"status": problem["status"], "code": problem["code"], "message": problem["title"]}
    return {"decision": False, "context": {"error": error}}
