"""Error answers: `application/problem+json` (RFC 9457) with stable codes and nothing of what the caller sent.

A `code` never changes its meaning; `type` is `urn:ecrin:problem:<code>`. Titles are fixed sentences from this file.
No exception text, no input, no unknown name reaches a body: the handlers here replace every default of the framework
that would echo one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api import ratelimit
from api.authn import nonce
from api.authn.jwk import ALGORITHMS
from api.oauth.metadata import RESOURCE_METADATA_PATH
from api.services import keyless
from policies.errors import InvalidValue, PolicyError
from vault.errors import BudgetExhausted, InvalidFields, VaultError

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """What one code answers with. `retry` adds `Retry-After: 1`."""

    status: int
    title: str
    retry: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    # The request itself.
    "malformed_body": Kind(400, "The body is not well-formed."),
    "bad_request": Kind(400, "The request cannot be understood."),
    "invalid_request": Kind(422, "The request does not fit its schema."),
    "invalid_fields": Kind(422, "One or more field values were refused."),
    "invalid_value": Kind(422, "A field value was refused."),
    "unknown_field": Kind(422, "The catalogue has no such field."),
    "unknown_purpose": Kind(422, "The bundle has no such purpose."),
    "not_attestable": Kind(422, "Only predicates and generalised values can be attested."),
    "nothing_to_attest": Kind(422, "There is nothing to attest."),
    "unsearchable_field": Kind(422, "No index can answer this search."),
    "row_mismatch": Kind(422, "The row's reference was used before in this import with other content."),
    "idempotency_mismatch": Kind(422, "The Idempotency-Key was used before with another request."),
    "invalid_staff": Kind(400, "The Ecrin-Staff header is not one pseudonym of the form that it has."),
    "staff_mismatch": Kind(400, "The request names two members of staff."),
    "idempotency_key_required": Kind(400, "This request needs an Idempotency-Key."),
    "slow_body": Kind(408, "The body did not arrive in time."),
    "body_too_large": Kind(413, "The body is larger than this route takes."),
    "unsupported_media_type": Kind(415, "This route does not take this media type."),
    "precondition_required": Kind(428, "This write needs If-Match."),
    "version_conflict": Kind(412, "The subject changed since the version named in If-Match."),
    "not_found": Kind(404, "There is nothing here."),
    "entries_pruned": Kind(410, "These entries were pruned; the log keeps their hashes."),
    "misdirected": Kind(421, "This service is not asked under this host."),
    "method_not_allowed": Kind(405, "This route does not answer this method."),
    "conflict": Kind(409, "Another write came first.", retry=True),
    "budget_exhausted": Kind(429, "A budget of this system has no room left.", retry=True),
    "too_many_requests": Kind(429, "Too many requests.", retry=True),
    # Who asks, and what they may do.
    "token_required": Kind(401, "This route needs a DPoP-bound access token."),
    "invalid_token": Kind(401, "The access token is not good here."),
    "invalid_dpop_proof": Kind(401, "The DPoP proof is not good for this request."),
    "certificate_refused": Kind(400, "The certificate header is not believed here."),
    "proof_replayed": Kind(401, "The DPoP proof was used before."),
    "use_dpop_nonce": Kind(401, "The DPoP proof needs the nonce of the DPoP-Nonce header."),
    "forbidden": Kind(403, "This is not permitted."),
    "insufficient_scope": Kind(403, "The access token does not cover this request."),
    "uses_exhausted": Kind(403, "The token has no use left for this subject."),
    "not_permitted": Kind(403, "No rule permits this."),
    "predicate_budget": Kind(429, "Too many different questions about this subject today."),
    "unknown_reference": Kind(404, "This brand has no such reference."),
    "unknown_restriction": Kind(404, "No such restriction of this brand stands."),
    "unknown_request": Kind(404, "This brand has no such request."),
    "unknown_report": Kind(404, "There is no such report."),
    "invalid_report": Kind(422, "The report does not take this filter."),
    "report_not_ready": Kind(409, "The report is not made yet, or could not be."),
    "illegal_move": Kind(409, "The request is not where this step begins."),
    # Our side.
    "sealed": Kind(503, "The vault is sealed.", retry=True),
    "store_unavailable": Kind(503, "The store did not complete the request; nothing was done.", retry=True),
    "store_full": Kind(503, "The store cannot take writes; nothing was done.", retry=True),
    "leaves_exhausted": Kind(503, "The keystore has no leaf key left; nothing was done.", retry=True),
    "key_holder_unavailable": Kind(503, "The key holder did not answer; nothing was done.", retry=True),
    "overloaded": Kind(503, "Too much is waiting.", retry=True),
    "not_ready": Kind(503, "The service is not ready.", retry=True),
    "integrity_failure": Kind(500, "A stored value failed its integrity check."),
    "key_unavailable": Kind(500, "A key is not available."),
    "internal_error": Kind(500, "The service failed."),
}
"""Every code a caller can meet. Any other is answered as `internal_error`."""

INTERNAL: Final = frozenset(
    {
        # Met by operators, at start or at the command line.
        "wrong_deployment",
        "unsafe_setting",
        "unsafe_file",
        "schema_mismatch",
        "invalid_bundle",
        "invalid_registration",
        "unknown_system",
        "unknown_officer",
        "invalid_backup",
        "log_refused",
        "restore_unfinished",
        "too_few_copies",
        "root_survives",
        "keystore_damaged",
        "nothing_to_erase",
        "unknown_erasure",
        "unknown_hold",
        "timestamp_refused",
        "unknown_proposal",
        "no_policy",
        "unknown_version",
        "not_signed",
        "unknown_case",
        "invalid_case",
        "case_closed",
        "case_running",
        "letter_waiting",
        "session_over",
        "unknown_credential",
        # Defects of ours, between our own processes, or told field by field.
        "malformed_frame",
        "mismatched_grant",
        "unrecorded_disclosure",
        "transform_unavailable",
        "too_few",
        "unknown_contact",
        "unknown_category",
        "policy_error",
        "vault_error",
    }
)
"""Codes that are kept from callers on purpose; a test holds that every error is either here or above."""

_BY_STATUS: Final = {
    400: "malformed_body",  # the framework says 400 of nothing but a body it cannot parse
    401: "token_required",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "slow_body",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    428: "precondition_required",
    429: "too_many_requests",
    503: "not_ready",
}
_CHALLENGE: Final = f'algs="{" ".join(ALGORITHMS)}"'
_UNKNOWN: Final = "*"
_PLACE: Final = re.compile(r"[a-z][a-z0-9_.\[\]]{0,79}")
_MAX_ERRORS: Final = 32


class Problem(Exception):
    """Raised by routes to answer with `code`; `members` are added to the body and must be ours, not the caller's."""

    def __init__(self, code: str, **members: object) -> None:
        super().__init__(code)
        self.code = code if code in KINDS else "internal_error"
        self.members = members


def body(code: str, request_id: str, **members: object) -> dict[str, object]:
    """Build the members of a problem."""
    code = code if code in KINDS else "internal_error"
    kind = KINDS[code]
    head = {"type": f"urn:ecrin:problem:{code}", "title": kind.title, "status": kind.status, "code": code}
    return {**head, "request_id": request_id, **members}


def response(code: str, request_id: str, **members: object) -> Response:
    """Build the whole answer, with the headers the status asks for."""
    content = body(code, request_id, **members)
    return Response(orjson.dumps(content), KINDS[str(content["code"])].status, headers_for(code), MEDIA_TYPE)


def headers_for(code: str) -> dict[str, str]:
    """Give the headers that go with a code: challenge on 401, `Retry-After` where trying again may help."""
    kind = KINDS.get(code, KINDS["internal_error"])
    headers = {"Cache-Control": "no-store"}
    if kind.status == HTTPStatus.UNAUTHORIZED:
        # RFC 9449 §7.1. Without a token there is no error to name (RFC 6750 §3.1); a replayed proof is an invalid one.
        names = {"invalid_token": "invalid_token", "token_required": "", "use_dpop_nonce": "use_dpop_nonce"}
        error = names.get(code, "invalid_dpop_proof")
        headers["WWW-Authenticate"] = f'DPoP error="{error}", {_CHALLENGE}' if error else f"DPoP {_CHALLENGE}"
    if kind.retry:
        headers["Retry-After"] = "1"
    return headers


def error_body(error: Exception, request_id: str) -> dict[str, object]:
    """Build the problem of an error, for answers that carry several (bulk, import)."""
    code, members = _translate(error)
    return body(code, request_id, **members)


def _translate(error: Exception) -> tuple[str, dict[str, object]]:
    match error:
        case Problem():
            return error.code, error.members
        case InvalidFields():
            return error.code, {"fields": [_field_error(name, reason) for name, reason in error.problems]}
        case BudgetExhausted():
            return error.code, {"limit": error.limit, "retry_after": error.reset}
        case InvalidValue():
            return "invalid_fields", {"fields": [_field_error(error.field, error.reason)]}
        case VaultError() | PolicyError():
            return error.code, {}
        case _:
            return "internal_error", {}


def _field_error(name: str, reason: str) -> dict[str, str]:
    # The vault names fields by the catalogue and anything else by its position. This holds it to that: what a caller
    # called a member may be personal and is not repeated.
    return {"name": name if _PLACE.fullmatch(name) else _UNKNOWN, "reason": reason}


def install(app: FastAPI) -> None:
    """Replace every error answer of the framework with ours."""
    names = _SchemaNames(app)

    async def ours(request: Request, error: Exception) -> Response:
        code, members = _translate(error)
        answer = response(code, request_id_of(request), **members)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            answer.headers["WWW-Authenticate"] += _where_described(request)
        if isinstance(error, BudgetExhausted):
            answer.headers.update(ratelimit.exhausted(error))
        if code == "use_dpop_nonce":
            services = keyless(request)
            answer.headers[nonce.HEADER] = services.nonces.current(services.vault.clock.now())
        return answer

    async def framework(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
        answer = response(_BY_STATUS.get(status, "internal_error"), request_id_of(request))
        allow = (error.headers or {}).get("Allow") if isinstance(error, HTTPException) else None
        if allow is not None:
            answer.headers["Allow"] = allow
        return answer

    async def validation(request: Request, error: Exception) -> Response:
        items = error.errors() if isinstance(error, RequestValidationError) else ()
        if any(item["type"] == "json_invalid" for item in items):
            return response("malformed_body", request_id_of(request))
        return response("invalid_request", request_id_of(request), errors=schema_errors(items, names()))

    app.add_exception_handler(VaultError, ours)
    app.add_exception_handler(PolicyError, ours)
    app.add_exception_handler(Problem, ours)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(Exception, ours)


def _where_described(request: Request) -> str:
    """Say in a challenge where to learn how to get a token (RFC 9728 §5.1); an app that serves nothing yet says nothing."""
    services = getattr(request.app.state, "services", None)
    return f', resource_metadata="{services.settings.public_url}{RESOURCE_METADATA_PATH}"' if services else ""


def request_id_of(request: Request) -> str:
    """Read the id the request-id middleware gave, or an empty string where it did not run."""
    return str(getattr(request.state, "request_id", ""))


def schema_errors(items: Iterable[Mapping[str, Any]], known: frozenset[str]) -> list[dict[str, object]]:
    """Reduce pydantic's findings to place and kind.

    Takes only `loc` and `type`. `input` and `ctx` hold what was sent, and so may `msg`. A place is told by names of
    our own schema and list positions; any other name came from the caller and becomes `*`.
    """
    found: list[dict[str, object]] = []
    for item in list(items)[:_MAX_ERRORS]:
        place = [part if isinstance(part, int) or part in known else _UNKNOWN for part in item["loc"]]
        found.append({"loc": place, "type": item["type"]})
    return found


class _SchemaNames:
    """Every property and parameter name of the published schema, gathered when first asked for."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._names: frozenset[str] | None = None

    def __call__(self) -> frozenset[str]:
        if self._names is None:
            found = {"body", "query", "path", "header", "cookie"}
            _gather(self._app.openapi(), found)
            self._names = frozenset(found)
        return self._names


def _gather(node: object, found: set[str]) -> None:
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict):
            found.update(properties)
        if "in" in node and isinstance(node.get("name"), str):
            found.add(node["name"])
        for child in node.values():
            _gather(child, found)
    elif isinstance(node, list):
        for child in node:
            _gather(child, found)
