"""The OpenAPI document: what the framework derives from the routes, and what it cannot know about them.

Left to itself it promises its own validation error, which this service never sends, and says nothing of tokens, proofs,
conditional writes and keys that make a write happen once.
"""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from api import problems
from api.attestation import statuslist
from api.authn import staff
from api.authn.credential import credential
from api.oauth import form, introspection, metadata
from vault.staff import WORD

_PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; nothing of the request is repeated.",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(problems.KINDS)},
        "request_id": {"type": "string"},
        "fields": {
            "type": "array",
            "description": "Refused field values: the catalogue's name, or the position of a name it has not.",
            "items": {
                "type": "object",
                "required": ["name", "reason"],
                "properties": {"name": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
        "errors": {
            "type": "array",
            "description": "Places that do not fit the schema; a name that is not ours is `*`.",
            "items": {
                "type": "object",
                "required": ["loc", "type"],
                "properties": {
                    "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
                    "type": {"type": "string"},
                },
            },
        },
    },
}
_OAUTH_ERROR: Final = {
    "type": "object",
    "description": "RFC 6749 §5.2, and a stable code of ours.",
    "required": ["error", "code", "request_id"],
    "properties": {name: {"type": "string"} for name in ("error", "code", "request_id")},
}
_DPOP: Final = {
    "type": "http",
    "scheme": "dpop",
    "description": "RFC 9449: `Authorization: DPoP <token>` and a fresh proof in the `DPoP` header.",
}
_KEY: Final = "Makes the write happen once: the same key and request again gets the first answer."
_STAFF: Final = "The brand's own pseudonym of the member of staff behind the request, never a name."
_ETAG: Final = "The version last seen, as its ETag."
_KEYED: Final = frozenset(
    {
        ("post", "/v1/subjects"),
        ("patch", "/v1/subjects/{reference}"),
        ("post", "/v1/subjects/{reference}/rotation"),
        ("post", "/v1/subjects/{reference}/restriction"),
        ("post", "/v1/subjects/{reference}/restriction/lift"),
        ("post", "/v1/reports"),
        ("post", "/v1/requests"),
        ("post", "/v1/requests/{request_id}/withdraw"),
        ("post", "/v1/consents"),
        ("post", "/v1/consents/withdraw"),
        ("post", "/v1/consents/events"),
        ("post", "/v1/consents/signal"),
        ("post", "/v1/guardians"),
        ("post", "/v1/guardians/end"),
        ("post", "/v1/contact/activity"),
        ("post", "/v1/imports"),
    }
)
_KEY_REQUIRED: Final = ("post", "/v1/imports")
_VERSIONED: Final = frozenset(
    {("post", "/v1/subjects"), ("get", "/v1/subjects/{reference}"), ("patch", "/v1/subjects/{reference}")}
)
_MEDIA_TYPES: Final = {
    metadata.JWKS_PATH: "application/jwk-set+json",
    statuslist.PATH + "/{status_list}": statuslist.MEDIA_TYPE,
}
_FORMS: Final = {
    metadata.TOKEN_PATH: (
        "grant_type",
        "scope",
        "authorization_details",
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
        "resource",
        "audience",
    ),
    metadata.INTROSPECTION_PATH: ("token",),
    metadata.REVOCATION_PATH: ("token",),
}


def install(app: FastAPI) -> None:
    """Complete the document that `app.openapi` gives."""
    derive = app.openapi
    documents: list[dict[str, Any]] = []

    def completed() -> dict[str, Any]:
        if not documents:
            documents.append(_completed(app, derive()))
        return documents[0]

    app.openapi = completed  # type: ignore[method-assign]  # the framework's own way to extend it


def _completed(app: FastAPI, document: dict[str, Any]) -> dict[str, Any]:
    protected = {
        (method.lower(), (context.path or "").replace(":path}", "}"))
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        and any(each.call is credential for each in context.original_route.dependant.dependencies)
        for method in context.methods or ()
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, (method, path), protected=(method, path) in protected)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    schemas["Problem"], schemas["OAuthError"] = _PROBLEM, _OAUTH_ERROR
    components["securitySchemes"] = {"dpop": _DPOP}
    return document


def _complete(operation: dict[str, Any], place: tuple[str, str], *, protected: bool) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    problem = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    parameters = operation.setdefault("parameters", [])
    if place[1] in _FORMS:
        problem["application/json"] = {"schema": {"$ref": "#/components/schemas/OAuthError"}}
        operation["requestBody"] = _form(_FORMS[place[1]])
    responses["default"] = {"description": "Refused, or failed.", "content": problem}
    if place[1] in _MEDIA_TYPES:
        content = responses["200"]["content"]
        content[_MEDIA_TYPES[place[1]]] = content.pop("application/json")
    if place[1] == metadata.INTROSPECTION_PATH:
        responses["200"]["content"][introspection.SIGNED] = {"schema": {"type": "string"}}
    if protected:
        operation["security"] = [{"dpop": []}]
    if protected or place[1] == metadata.TOKEN_PATH:
        parameters.append(_header("DPoP", "A proof of the key, made for this request alone.", required=True))
        parameters.append(_header(staff.HEADER, _STAFF, required=False, pattern=f"^{WORD.pattern}$"))
    if place in _KEYED:
        parameters.append(_header("Idempotency-Key", _KEY, required=place == _KEY_REQUIRED))
    if place[0] == "patch":
        parameters.append(_header("If-Match", _ETAG, required=True))
    if place in _VERSIONED:
        for status, response in responses.items():
            if status.startswith("2"):
                response["headers"] = {"ETag": {"description": _ETAG, "schema": {"type": "string"}}}
    if not parameters:
        del operation["parameters"]


def _header(name: str, description: str, *, required: bool, pattern: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string", **({"pattern": pattern} if pattern else {})},
    }


def _form(own: tuple[str, ...]) -> dict[str, Any]:
    names = (*own, "client_id", "client_assertion_type", "client_assertion")
    needed = ["client_assertion_type", "client_assertion", own[0]]
    schema = {"type": "object", "required": needed, "properties": {name: {"type": "string"} for name in names}}
    return {"required": True, "content": {form.MEDIA_TYPE: {"schema": schema}}}
