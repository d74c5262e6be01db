import json
from typing import Annotated

import pytest
from fastapi import FastAPI, Header, HTTPException, Request
from pydantic import BaseModel, ConfigDict, SecretStr
from starlette.testclient import TestClient

import policies.errors
import vault.errors
from api import problems
from api.problems import INTERNAL, KINDS, Problem

CANARY = "canary-7c1e@example.com"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    amount: int
    secret: SecretStr = SecretStr("")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: Inner
    free: dict[str, int] = {}
    listed: list[int] = []


RAISED = {
    "reference": vault.errors.UnknownReference(),
    "fields": vault.errors.InvalidFields((("email", "not_an_email"), ("fields[0]", "unknown_field"), (CANARY, "x"))),
    "value": policies.errors.InvalidValue("phone", "not_a_number"),
    "purpose": policies.errors.UnknownPurpose(),
    "token": vault.errors.Refused("invalid_token", CANARY),
    "proof": vault.errors.Refused("invalid_dpop_proof"),
    "replay": vault.errors.Refused("proof_replayed"),
    "none": Problem("token_required"),
    "sealed": vault.errors.Sealed(),
    "full": vault.errors.StoreFull(),
    "deployment": vault.errors.WrongDeployment(CANARY),
    "unknown": vault.errors.Refused(CANARY),
    "defect": RuntimeError(CANARY),
    "http": HTTPException(403, CANARY),
    "teapot": HTTPException(418, CANARY),
}


@pytest.fixture(scope="module")
def client():
    app = FastAPI(openapi_url=None)
    problems.install(app)

    @app.post("/body/{number}")
    def body(number: int, body: Body, if_match: Annotated[int, Header()] = 0):
        return {}

    @app.get("/raise/{name}")
    def fail(name: str, request: Request):
        request.state.request_id = "id-1"
        raise RAISED[name]

    return TestClient(app, raise_server_exceptions=False)


def problem_of(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert CANARY not in answer.text + str(answer.headers)
    body = answer.json()
    assert body["status"] == answer.status_code == KINDS[body["code"]].status
    assert body["type"] == f"urn:ecrin:problem:{body['code']}"
    assert body["title"] == KINDS[body["code"]].title
    return body


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("reference", "unknown_reference"),
        ("fields", "invalid_fields"),
        ("value", "invalid_fields"),
        ("purpose", "unknown_purpose"),
        ("token", "invalid_token"),
        ("sealed", "sealed"),
        ("full", "store_full"),
        ("deployment", "internal_error"),
        ("unknown", "internal_error"),
        ("defect", "internal_error"),
        ("http", "forbidden"),
        ("teapot", "internal_error"),
    ],
)
def test_every_error_is_a_problem_without_a_word_of_the_cause(client, name, code):
    body = problem_of(client.get(f"/raise/{name}"))
    assert body["code"] == code
    assert body["request_id"] == "id-1"


def test_field_problems_name_field_and_reason(client):
    assert problem_of(client.get("/raise/fields"))["fields"] == [
        {"name": "email", "reason": "not_an_email"},
        {"name": "fields[0]", "reason": "unknown_field"},
        {"name": "*", "reason": "x"},
    ]
    assert problem_of(client.get("/raise/value"))["fields"] == [{"name": "phone", "reason": "not_a_number"}]


@pytest.mark.parametrize(
    ("name", "challenge"),
    [
        ("token", 'DPoP error="invalid_token", algs="ES256 EdDSA"'),
        ("proof", 'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA"'),
        ("replay", 'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA"'),
        ("none", 'DPoP algs="ES256 EdDSA"'),
    ],
)
def test_401_carries_the_challenge(client, name, challenge):
    assert client.get(f"/raise/{name}").headers["www-authenticate"] == challenge


def test_what_may_pass_says_when_to_come_back(client):
    assert client.get("/raise/sealed").headers["retry-after"] == "1"
    assert "retry-after" not in client.get("/raise/defect").headers


def test_no_such_path_and_no_such_method(client):
    assert problem_of(client.get(f"/{CANARY}"))["code"] == "not_found"
    answer = client.get("/body/1")
    assert problem_of(answer)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "POST"


def sent(client, body, path="/body/1", **more):
    content = body if isinstance(body, bytes) else json.dumps(body)
    return client.post(path, content=content, headers={"content-type": "application/json"} | more)


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"inner": canary-7c1e@example.com}'])
def test_a_body_that_is_no_json(client, body):
    code = problem_of(sent(client, body))["code"]
    assert code in {"malformed_body", "bad_request"}


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        ({"inner": {"amount": CANARY}}, ["body", "inner", "amount"], "int_parsing"),
        ({"inner": {"amount": 1, CANARY: 1}}, ["body", "inner", "*"], "extra_forbidden"),
        ({"inner": {"amount": 1}, "free": {CANARY: "x"}}, ["body", "free", "*"], "int_parsing"),
        ({"inner": {"amount": 1}, "listed": [1, CANARY]}, ["body", "listed", 1], "int_parsing"),
        ({"inner": {"secret": CANARY}}, ["body", "inner", "amount"], "missing"),
        ([CANARY], ["body"], "model_attributes_type"),
    ],
)
def test_a_body_that_does_not_fit_is_told_place_and_kind_only(client, body, loc, kind):
    answer = problem_of(sent(client, body))
    assert answer["code"] == "invalid_request"
    assert answer["errors"] == [{"loc": loc, "type": kind}]


def test_parameters_are_named_and_not_repeated(client):
    answer = problem_of(sent(client, {"inner": {"amount": 1}}, path=f"/body/{CANARY}", **{"if-match": CANARY}))
    assert {tuple(error["loc"]) for error in answer["errors"]} == {("path", "number"), ("header", "if-match")}


def test_many_errors_make_no_long_answer(client):
    answer = problem_of(sent(client, {"inner": {"amount": 1}, "listed": [CANARY] * 1000}))
    assert len(answer["errors"]) == 32


def every_subclass(kind):
    for child in kind.__subclasses__():
        yield child
        yield from every_subclass(child)


@pytest.mark.parametrize(
    "kind",
    [*every_subclass(vault.errors.VaultError), *every_subclass(policies.errors.PolicyError)],
    ids=lambda k: k.__name__,
)
def test_every_error_is_told_or_kept_on_purpose(kind):
    code = getattr(kind, "code", None)  # `Refused` has one per instance
    assert code is None or (code in KINDS) != (code in INTERNAL), kind
