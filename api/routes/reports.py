"""Reports of a brand's own entries, for its auditors: asked for, made in the background, taken away signed."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api import reports
from api.authn.credential import Bearer
from api.bodies.reports import AskReport, ReportStanding
from api.looks import Call
from api.problems import request_id_of
from api.routes.answers import Json
from api.routes.writes import asked, write_of
from api.services import services_of

router = APIRouter(prefix="/v1/reports", tags=["reports"])

RunId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", min_length=32, max_length=32)]


@router.post("", status_code=202, response_model=ReportStanding)
async def ask(request: Request, credential: Bearer, body: AskReport) -> Json:
    """Ask for a report of the calling brand. It is made in the background; `Location` says where it stands."""
    wish = reports.Wish(**body.model_dump())
    call = Call(credential, request_id_of(request), await write_of(request, wish))
    done = await services_of(request).batcher.submit(reports.wishes, call)
    return Json(done.answer, 202, {"Location": f"{router.prefix}/{done.answer['id']}"})


@router.get("/{run_id}", response_model=ReportStanding)
async def follow(request: Request, credential: Bearer, run_id: RunId) -> Json:
    """Say how far a report has come that the calling system asked for."""
    return Json(await asked(request, credential, reports.standings, run_id))


@router.get("/{run_id}/document", response_class=Response)
async def take(request: Request, credential: Bearer, run_id: RunId) -> Response:
    """Return a finished report: JSON that carries its signed note. That it was taken is in the log first."""
    call = Call(credential, request_id_of(request), run_id)
    found = await services_of(request).batcher.submit(reports.documents, call)
    return Response(found, media_type="application/json", headers={"Cache-Control": "no-store"})
