"""The authorisation matrix: every route of the running application against every kind of caller.

The table below says what each route lets in. A route that is not in it fails the test, so that a new one cannot come
in unconsidered; so does a line whose route is gone. (OWASP API Security 2023: API1, API2, API3, API5.)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from maison_callers import CONSENT, NDJSON, NOTICE, PERSON, STRANGER, WITHDRAWAL, disable, fresh, ndjson

from api.app import create_app
from api.jobs import make_reports
from api.pages.mount import Pages
from api.settings import load
from vault import evidence

OPEN = "open"  # anybody: no personal data, no token
CLIENT = "client"  # a registered system's own signed assertion, in the body
SERVICE = ("lookup", "subject.write", "consent.write", "rights.write", "import", "audit.read")
DISCLOSURE = "disclosure"
EVALUATION = {
    "subject": {"type": "system", "id": "aurelle-pos"},
    "action": {
        "name": "disclose",
        "properties": {"purpose": "clienteling.in_store", "fields": [{"name": "phone", "level": "masked"}]},
    },
    "resource": {"type": "subject", "id": "{reference}"},
}
HOLDER = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}  # RFC 8037 A.2


@dataclass(frozen=True)
class Expected:
    """What a route asks for, and a request that is good in everything but perhaps the caller."""

    needs: str
    body: Any = None
    headers: tuple = ()
    # Whether a caller of another brand with every right of its own is told that there is nothing here.
    owned: bool = False
    path: str = ""


FAMILY = {"reference": "{reference}", "guardian": "{other}"}
ROUTES = {
    ("GET", "/healthz"): Expected(OPEN),
    ("GET", "/readyz"): Expected(OPEN),
    ("GET", "/v1/catalogue"): Expected(OPEN),
    ("GET", "/audit/checkpoint"): Expected(OPEN),
    ("GET", "/audit/checkpoint/witnessed"): Expected(OPEN),
    ("GET", "/audit/proof/{entry_id}"): Expected(OPEN),
    ("GET", "/audit/keys"): Expected(OPEN),
    ("GET", "/events/jwks"): Expected(OPEN),
    ("GET", "/audit/tile/{path:path}"): Expected(OPEN, path="0/000.p/1"),
    ("GET", "/audit/tile/entries/{path:path}"): Expected("audit.read", path="000.p/1"),
    ("GET", "/.well-known/oauth-authorization-server"): Expected(OPEN),
    ("GET", "/.well-known/oauth-protected-resource"): Expected(OPEN),
    ("GET", "/.well-known/authzen-configuration"): Expected(OPEN),
    ("POST", "/oauth/token"): Expected(CLIENT),
    ("POST", "/oauth/introspect"): Expected(CLIENT),
    ("POST", "/oauth/revoke"): Expected(CLIENT),
    ("POST", "/v1/subjects"): Expected("subject.write", {"fields": PERSON}),
    ("GET", "/v1/subjects/{reference}"): Expected("lookup", owned=True),
    ("PATCH", "/v1/subjects/{reference}"): Expected(
        "subject.write", {"set": {"preferred_language": "en"}}, (("If-Match", '"1"'),), owned=True
    ),
    ("POST", "/v1/subjects/{reference}/rotation"): Expected("subject.write", {"grace_seconds": 600}, owned=True),
    ("POST", "/v1/subjects/{reference}/restriction"): Expected(
        "rights.write", {"ground": "accuracy_contested"}, owned=True
    ),
    ("POST", "/v1/subjects/{reference}/restriction/lift"): Expected(
        "rights.write", {"ground": "accuracy_contested", "informed": True}, owned=True
    ),
    ("POST", "/v1/reports"): Expected("audit.read", {"report": "access", "since": 0, "until": 1}),
    ("GET", "/v1/reports/{run_id}"): Expected("audit.read"),
    ("GET", "/v1/reports/{run_id}/document"): Expected("audit.read"),
    ("POST", "/v1/requests"): Expected("rights.write", {"reference": "{reference}", "right": "complaint"}, owned=True),
    ("GET", "/v1/requests/{request_id}"): Expected("rights.write"),
    ("POST", "/v1/requests/{request_id}/withdraw"): Expected("rights.write"),
    ("POST", "/access/v1/evaluation"): Expected("lookup", EVALUATION),
    ("POST", "/access/v1/evaluations"): Expected("lookup", {"evaluations": [EVALUATION]}),
    ("POST", "/v1/subjects/search"): Expected("lookup", {"by": "client_number", "value": "AU-0042"}),
    ("POST", "/v1/consents"): Expected(
        "consent.write", {"reference": "{reference}", **CONSENT, "notice": NOTICE}, owned=True
    ),
    ("POST", "/v1/consents/withdraw"): Expected(
        "consent.write", {"reference": "{reference}", **WITHDRAWAL}, owned=True
    ),
    ("POST", "/v1/consents/events"): Expected(
        "consent.write", {"reference": "{reference}", **WITHDRAWAL, "event": "objected"}, owned=True
    ),
    ("POST", "/v1/consents/signal"): Expected(
        "consent.write", {"reference": "{reference}"}, (("Sec-GPC", "1"),), owned=True
    ),
    ("GET", "/v1/consents/{reference}"): Expected("consent.write", owned=True),
    ("POST", "/v1/contact/evaluation"): Expected(
        "lookup", {"reference": "{reference}", "purpose": "clienteling.in_store", "channel": "phone"}, owned=True
    ),
    ("POST", "/v1/contact/activity"): Expected(
        "consent.write", {"reference": "{reference}", "kind": "visit"}, owned=True
    ),
    ("GET", "/v1/guardians/due"): Expected("consent.write"),
    ("POST", "/v1/guardians"): Expected(
        "consent.write",
        {**FAMILY, "proof": "declaration", "proof_hash": "0" * 64, "of_age_on": "2030-01-01"},
        owned=True,
    ),
    ("POST", "/v1/guardians/end"): Expected("consent.write", FAMILY, owned=True),
    ("POST", "/v1/imports"): Expected(
        "import", ndjson({"ref": "1", "fields": PERSON}), (("Content-Type", NDJSON), ("Idempotency-Key", "matrix"))
    ),
    ("POST", "/v1/disclosures"): Expected(DISCLOSURE, {"reference": "{reference}"}, owned=True),
    ("POST", "/v1/attestations"): Expected(
        DISCLOSURE,
        {"reference": "{reference}", "fields": ["birth_date"], "audience": "door", "key": HOLDER},
        owned=True,
    ),
    ("GET", "/attestations/status/{status_list}"): Expected(OPEN),
    ("GET", "/oauth/jwks"): Expected(OPEN),
    ("POST", "/v1/disclosures/bulk"): Expected(DISCLOSURE, {"references": ["{reference}"]}),
}


# Applications of pages beside the API. Each has its own table of who may open what, and the test that holds it.
SITES = {
    "/console": "tests/console/test_console_site.py::test_a_role_opens_its_pages_and_no_others",
    "/me": "tests/portal/test_portal_site.py::test_everything_else_leads_to_the_door_and_every_answer_has_the_policy",
    "/package": "tests/packages/test_packages_site.py::test_every_wrong_way_is_answered_alike_and_is_in_the_log",
}

REPORTS = {}  # a report that the brand asked for, made
REQUESTS = {}  # a request of the person behind a reference
OTHERS = {}  # somebody else that the brand knows, for routes that take two people


def published(app):
    """Every (method, path) that the application answers."""
    found = set()
    for context in iter_route_contexts(app.routes):
        found |= {(method, context.path) for method in (context.methods or set()) - {"HEAD", "OPTIONS"}}
    return found


def filled(value, reference):
    if isinstance(value, str):
        return value.replace("{reference}", reference).replace("{other}", OTHERS.get(reference, reference))
    if isinstance(value, list):
        return [filled(each, reference) for each in value]
    if isinstance(value, dict):
        return {name: filled(each, reference) for name, each in value.items()}
    return value


def call(caller, route, token, reference, more=()):
    """Send the route's good request under a token, or without one."""
    expected = ROUTES[route]
    method, path = route[0], route[1].replace("{reference}", reference).replace("{status_list}", "0" * 32)
    path = path.replace("{path:path}", expected.path).replace("{request_id}", REQUESTS.get(reference, "0" * 32))
    path = path.replace("{run_id}", REPORTS.get(reference, "0" * 32))
    headers = [*expected.headers, *more]
    if isinstance(expected.body, bytes):
        return caller.send(method, path, token, content=expected.body, headers=headers, **_unproved(token))
    return caller.send(method, path, token, filled(expected.body, reference), headers=headers, **_unproved(token))


def _unproved(token):
    return {} if token else {"proofs": []}


def code_of(answer):
    return answer.json().get("code") if "json" in answer.headers.get("content-type", "") else None


@pytest.fixture
def known(pos, tmp_path):
    reference = pos.created(PERSON, CONSENT)
    evidence.sign_checkpoints(pos.http.app.state.services.vault, tmp_path / "checkpoint")
    OTHERS[reference] = pos.created({"client_number": "AU-0043"})
    asked = {"reference": reference, "right": "decision_review"}
    REQUESTS[reference] = pos.send("POST", "/v1/requests", pos.service("rights.write"), asked).json()["request"]
    report = call(pos, ("POST", "/v1/reports"), pos.service("audit.read"), reference).json()["id"]
    make_reports(pos.http.app.state.services.vault, lambda: False)
    REPORTS[reference] = report
    return reference


def token_of(caller, kind, reference):
    if kind == DISCLOSURE:
        return caller.granted(reference, ("phone", "masked"), ("birth_date", "generalised"), max_uses=50)
    return caller.service(kind)


def test_every_route_is_in_the_table_and_every_line_has_its_route(tmp_path):
    app = create_app(load({"data_dir": tmp_path}))
    assert published(app) == set(ROUTES)
    # Nor does the framework add any of its own: no document, no page.
    assert app.openapi_url is app.docs_url is app.redoc_url is None


def test_every_application_of_pages_is_in_the_table_and_held_by_a_test_of_its_own(tmp_path):
    app = create_app(load({"data_dir": tmp_path}))
    assert {each.prefix for each in app.router.routes if isinstance(each, Pages)} == set(SITES)
    for test in SITES.values():
        path, _, name = test.partition("::")
        assert f"def {name}(" in (Path(__file__).parents[2] / path).read_text(), test


def test_a_systems_token_opens_no_page_and_gives_nothing_out(pos, known):
    for kind in (*SERVICE, DISCLOSURE):
        token = token_of(pos, kind, known)
        for prefix in SITES:
            for method in ("GET", "POST"):
                answer = pos.send(method, prefix, token)
                assert answer.status_code in {200, 303, 403, 405, 415}, (prefix, method)
                assert answer.content[:2].decode("latin-1") != "PK"
                assert not [each for each in ("Rousselin", known) if each in answer.text], (prefix, method, kind)


def test_nobody_gets_in_where_a_token_is_needed(maison, pos, known):
    for route, expected in ROUTES.items():
        answer = call(pos, route, "", known)
        if expected.needs == OPEN:
            assert answer.status_code in {200, 404}, route  # no checkpoint may be signed yet
        elif expected.needs == CLIENT:
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), route
        else:
            assert (answer.status_code, code_of(answer)) == (401, "token_required"), route
            assert call(pos, route, "x" * 43, known).status_code == 401, route


def closed_routes():
    """Every route that takes a token. Changes last, withdrawal and restriction the very last: the disclosure token is to live
    until it was tried everywhere.
    """
    closed = [route for route, expected in ROUTES.items() if expected.needs not in {OPEN, CLIENT}]
    last = ("subject.write", "consent.write", "rights.write")
    return sorted(closed, key=lambda route: last.index(ROUTES[route].needs) if ROUTES[route].needs in last else -1)


def test_each_scope_opens_its_routes_and_no_others(pos, known):
    closed = closed_routes()
    tokens = {kind: token_of(pos, kind, known) for kind in (*SERVICE, DISCLOSURE)}
    for route in closed:
        for kind, token in tokens.items():
            answer = call(pos, route, token, known)
            if kind == ROUTES[route].needs:
                assert answer.status_code < 300, (route, kind, answer.text)
            else:
                assert (answer.status_code, code_of(answer)) == (403, "insufficient_scope"), (route, kind)


def test_another_brand_with_every_right_of_its_own_finds_nothing_here(pos, sister, known):
    theirs = sister.created(PERSON, CONSENT)
    for route, expected in ROUTES.items():
        if not expected.owned:
            continue
        token = token_of(sister, expected.needs, theirs)
        answer, unknown = call(sister, route, token, known), call(sister, route, token, STRANGER)
        assert (answer.status_code, code_of(answer)) == (404, "unknown_reference"), route
        assert answer.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}, route
    for route in (("GET", "/v1/requests/{request_id}"), ("POST", "/v1/requests/{request_id}/withdraw")):
        answer, unknown = (call(sister, route, sister.service("rights.write"), each) for each in (known, STRANGER))
        assert (answer.status_code, code_of(answer)) == (404, "unknown_request"), route
        assert answer.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}, route
    for route in (("GET", "/v1/reports/{run_id}"), ("GET", "/v1/reports/{run_id}/document")):
        answer, unknown = (call(sister, route, sister.service("audit.read"), each) for each in (known, STRANGER))
        assert (answer.status_code, code_of(answer)) == (404, "unknown_report"), route
        assert answer.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}, route
    bulk = call(sister, ("POST", "/v1/disclosures/bulk"), token_of(sister, DISCLOSURE, theirs), known)
    assert bulk.json() == {"disclosures": [{"reference": known, "error": "unknown_reference"}], "receipt": None}
    found = sister.search("client_number", "AU-0042").json()["candidates"]
    assert [each["reference"] for each in found] == [theirs]
    assert pos.describe(known).json()["version"] == 1
    assert pos.disclose(token_of(pos, DISCLOSURE, known)).status_code == 200


def test_another_brands_token_is_nobodys_to_introspect_or_revoke(pos, sister, known):
    token = token_of(pos, DISCLOSURE, known)
    assert sister.http.post("/oauth/introspect", data=sister.form(token=token)).json() == {"active": False}
    assert sister.http.post("/oauth/revoke", data=sister.form(token=token)).status_code == 200
    assert pos.disclose(token).status_code == 200


def test_a_disabled_system_is_let_in_nowhere(maison, pos, known):
    tokens = {kind: token_of(pos, kind, known) for kind in (*SERVICE, DISCLOSURE)}
    disable(maison.vault, pos)
    for route, expected in ROUTES.items():
        if expected.needs == OPEN:
            continue
        if expected.needs == CLIENT:
            form = pos.form(token=tokens["lookup"], scope="lookup")
            answer = pos.http.post(route[1], data=form, headers={"DPoP": pos.proof("POST", route[1])})
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), route
        else:
            answer = call(pos, route, tokens[expected.needs], known)
            assert (answer.status_code, code_of(answer)) == (401, "invalid_token"), route


def test_no_system_reaches_above_its_registration(maison, known):
    for scope in SERVICE:
        one = maison.system(f"one-{scope.replace('.', '-')}", "aurelle", scopes={scope}, purposes=())
        assert one.service(scope)
        for other in SERVICE:
            if other != scope:
                assert one.ask(scope=other).json()["error"] == "invalid_scope"
        refused = one.wish(known, ("phone", "masked"))
        assert refused.json()["code"] == "purpose_not_registered"
    assert fresh()
