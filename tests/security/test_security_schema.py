"""The published document against the running service: generated requests of three kinds of caller, every check on.

Schemathesis makes requests that fit the document and requests that do not, and holds the answers against it: no fault of
ours, no status, media type, header or body that the document does not promise, nothing accepted that it forbids, no method
that is not there.
"""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from maison_callers import CONSENT, ELSEWHERE, PERSON
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from served_maison import maison, pos, sister

__all__ = ["maison", "pos", "sister"]

EXAMPLES = 3  # per operation, caller and mode
# Not run: it sends requests of its own, past our callers (tests/security/test_security_matrix.py is about that).
ELSEWHERE_CHECKED = {"ignored_auth"}
# A request that fits the schema may still be refused: for what the catalogue, the brand's references, the stored version
# or the token's grant say.
REFUSED = [400, 401, 403, 404, 409, 412, 415, 422, 428, 429]
CONFIG = {
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", *map(str, REFUSED)]},
        "negative_data_rejection": {"expected-statuses": list(map(str, REFUSED))},
        "missing_required_header": {"expected-statuses": list(map(str, REFUSED))},
    }
}


MET = {
    "nobody": {("GET /v1/catalogue", 200), ("POST /v1/disclosures", 401), ("POST /oauth/token", 400)},
    "service": {("GET /v1/subjects/{reference}", 200), ("POST /v1/consents", 422), ("POST /v1/disclosures", 403)},
    "disclosure": {("POST /v1/disclosures", 200), ("GET /v1/subjects/{reference}", 403)},
}


# Nothing can be made of these that does not fit: they take nothing, or a path that is any text.
NOTHING_WRONG = {
    "GET /.well-known/authzen-configuration",
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/oauth-protected-resource",
    "GET /audit/checkpoint",
    "GET /audit/checkpoint/witnessed",
    "GET /audit/keys",
    "GET /audit/proof/{entry_id}",
    "GET /audit/tile/{path}",
    "GET /events/jwks",
    "GET /healthz",
    "GET /oauth/jwks",
    "GET /readyz",
    "GET /v1/catalogue",
}
# What these need no generator guesses: values of the catalogue, versions, proofs, paths of tiles. They succeed with what
# docs/api.md says, and those answers are held against the document too (tests/docs/test_docs_examples.py).
UNGUESSED = {
    "GET /audit/checkpoint/witnessed",
    "GET /audit/proof/{entry_id}",
    "GET /attestations/status/{status_list}",
    "GET /audit/tile/entries/{path}",
    "GET /audit/tile/{path}",
    "GET /v1/consents/{reference}",
    "PATCH /v1/subjects/{reference}",
    "POST /access/v1/evaluation",
    "POST /access/v1/evaluations",
    "POST /oauth/introspect",
    "POST /oauth/revoke",
    "POST /oauth/token",
    "POST /v1/attestations",
    "POST /v1/consents",
    "POST /v1/consents/events",
    "POST /v1/consents/signal",
    "POST /v1/consents/withdraw",
    "POST /v1/contact/activity",
    "POST /v1/contact/evaluation",
    "POST /v1/guardians",
    "POST /v1/guardians/end",
    "POST /v1/imports",
    "GET /v1/requests/{request_id}",
    "POST /v1/requests",
    "POST /v1/requests/{request_id}/withdraw",
    "GET /v1/reports/{run_id}",
    "GET /v1/reports/{run_id}/document",
    "POST /v1/reports",
    "POST /v1/subjects",
    "POST /v1/subjects/search",
    "POST /v1/subjects/{reference}/restriction",  # the reference is replaced by then
    "POST /v1/subjects/{reference}/restriction/lift",
}
_OF_SERVICES = {
    "GET /v1/guardians/due",
    "GET /v1/subjects/{reference}",
    "POST /v1/subjects/{reference}/rotation",
}
_OF_TOKENS = {"POST /v1/disclosures", "POST /v1/disclosures/bulk"}
WITHOUT = {
    "nobody": UNGUESSED | _OF_SERVICES | _OF_TOKENS,
    "service": UNGUESSED | _OF_TOKENS,
    "disclosure": UNGUESSED | _OF_SERVICES,
}  # which operation succeeds for no generated request of each caller


@pytest.fixture
def callers(maison, pos, sister):
    """Nobody; a system with every scope; a sister's disclosure token, for a person of its own."""
    reference = sister.created(PERSON, CONSENT)
    known = pos.created(PERSON, CONSENT)
    scopes = "lookup subject.write consent.write rights.write import audit.read"
    return {
        "nobody": (None, "", known),
        "service": (pos, pos.service(scopes), known),
        "disclosure": (sister, sister.granted(reference, ("phone", "masked"), max_uses=100), reference),
    }


def spoilt(case, location):
    """Whether what is in this place was made so that it does not fit."""
    found = case.meta.components.get(location)
    return found is not None and found.mode.is_negative


def sent(maison, case, caller, token, reference):
    """Send a generated request as one of the callers and return the answer."""
    if "reference" in (case.path_parameters or {}) and not spoilt(case, ParameterLocation.PATH):
        case.path_parameters["reference"] = reference
    prepared = requests.Request(**case.as_transport_kwargs(base_url=ELSEWHERE)).prepare()
    headers = {name: value for name, value in prepared.headers.items() if name.lower() != "content-length"}
    if caller is not None and not spoilt(case, ParameterLocation.HEADER):
        path = prepared.path_url.partition("?")[0]
        headers = {name: value for name, value in headers.items() if name.lower() not in {"authorization", "dpop"}}
        headers |= {"Authorization": f"DPoP {token}", "DPoP": caller.proof(prepared.method, path, token)}
    encoded = {name: value.encode("latin-1") if isinstance(value, str) else value for name, value in headers.items()}
    return maison.http.request(prepared.method, prepared.url, headers=encoded, content=prepared.body)


def operations(document):
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG))
    return [each.ok() for each in schema.get_all_operations()]


@pytest.mark.parametrize("kind", ["nobody", "service", "disclosure"])
@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)  # what a document promises does not touch the engine
def test_answers_are_those_of_the_document(maison, callers, kind):
    load_all_checks()
    answered = set()
    left_out = [CHECKS.get_one(name) for name in ELSEWHERE_CHECKED]
    nothing_wrong = set()
    every = operations(maison.http.app.openapi())
    for operation in every:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and not (
                operation.body or operation.headers or operation.path_parameters
            ):
                nothing_wrong.add(operation.label)
                continue

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def holds(case):
                answer = sent(maison, case, *callers[kind])
                answered.add((case.operation.label, answer.status_code))
                case.validate_response(answer, excluded_checks=left_out)

            # Of some operations nothing can be made that does not fit: a path alone is any text.
            try:
                holds()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, operation.label
                nothing_wrong.add(operation.label)
    done = {label for label, status in answered if status // 100 == 2}
    assert nothing_wrong == NOTHING_WRONG
    assert {each.label for each in every} - done <= WITHOUT[kind]
    assert MET[kind] <= answered  # the callers were callers, and not everything was turned away at the door
