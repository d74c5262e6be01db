import asyncio
import io
import json
import re

import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from api import problems
from api.middleware.body_limit import BodyLimit
from api.middleware.stack import stack
from api.observability.logs import Log
from api.settings import load

CANARY = "canary-3d9a@example.com"
LIMIT = 4096


class Body(BaseModel):
    text: str


def build(stream, clock, entropy, **settings):
    settings = load({"max_body_bytes": LIMIT} | settings)
    log = Log(clock, stream=stream)
    app = FastAPI(middleware=stack(settings, entropy=entropy, log=log, limits={"/v1/imports": 4 * LIMIT}))
    problems.install(app)

    @app.post("/v1/echo/{reference}")
    def echo(reference: str, body: Body):
        return {"length": len(body.text)}

    @app.post("/v1/imports")
    async def imports(request: Request):
        return {"length": sum([len(part) async for part in request.stream()])}

    @app.get("/defect/{reference}")
    def defect(reference: str):
        raise RuntimeError(CANARY)

    @app.get("/late")
    def late():
        def parts():
            yield b"first"
            raise RuntimeError(CANARY)

        return StreamingResponse(parts())

    @app.get("/healthz")
    def healthz():
        return {}

    @app.get("/console")
    def console():
        from starlette.responses import Response

        return Response("", headers={"Content-Security-Policy": "default-src 'self'"})

    return app


@pytest.fixture
def stream():
    return io.BytesIO()


@pytest.fixture
def client(stream, clock, entropy, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return TestClient(build(stream, clock, entropy))


def lines(stream):
    assert CANARY.encode() not in stream.getvalue()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def chunks(count, size=1024):
    for _ in range(count):
        yield b" " * size


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_an_announced_body_over_the_limit_is_refused_unread(client, stream):
    answer = client.post("/v1/echo/x", content=b" " * (LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert lines(stream)[-1]["status"] == 413


@pytest.mark.parametrize("path", ["/v1/echo/x", "/v1/imports"])
def test_a_streamed_body_over_the_limit_is_refused_underway(client, path):
    answer = client.post(path, content=chunks(17), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"
    assert answer.headers["cache-control"] == "no-store"


def test_an_import_may_be_longer_than_another_body(client):
    assert client.post("/v1/imports", content=chunks(16)).json() == {"length": 4 * LIMIT}
    assert client.post("/v1/imports", content=b" " * 4 * LIMIT).json() == {"length": 4 * LIMIT}


def test_a_body_of_the_limit_passes(client):
    body = json.dumps({"text": "x" * (LIMIT - 12)}).encode()
    assert len(body) == LIMIT
    assert client.post("/v1/echo/x", content=body, headers={"content-type": "application/json"}).status_code == 200


@pytest.mark.parametrize("lengths", [[b"-1"], [b"1_0"], [b" 1"], [b"+1"], [b"x"], [b"1", b"1"], [b""]])
def test_a_length_that_could_be_read_in_two_ways_is_refused(lengths):
    async def never(scope, receive, send):
        pytest.fail("the route was reached")

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/", "method": "POST", "headers": [(b"content-length", each) for each in lengths]}
    asyncio.run(BodyLimit(never, LIMIT)(scope, None, send))
    assert sent[0]["status"] == 413


def test_a_bare_application_that_lets_the_refusal_through_is_answered_for():
    async def reader(scope, receive, send):
        while (await receive())["more_body"]:
            pass

    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b" " * 1024, "more_body": True}

    scope = {"type": "http", "path": "/", "method": "POST", "headers": []}
    asyncio.run(BodyLimit(reader, LIMIT)(scope, receive, send))
    assert sent[0]["status"] == 413


# --- headers ---------------------------------------------------------------------------------------------------------

EXPECTED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize("path", ["/healthz", "/v1/echo/x", "/v1/imports", "/missing", "/defect/x"])
def test_every_answer_is_headed(client, path):
    answer = client.get(path)
    assert {name: answer.headers.get(name) for name in EXPECTED} == EXPECTED
    assert "strict-transport-security" not in answer.headers
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_nothing_below_v1_and_oauth_is_stored(client):
    for path in ("/v1/imports", "/oauth/token", "/v1/missing"):
        assert client.post(path).headers["cache-control"] == "no-store"


def test_over_https_the_browser_is_told_to_stay_there(stream, clock, entropy, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    client = TestClient(build(stream, clock, entropy, public_url="https://vault.example"))
    assert client.get("/healthz").headers["strict-transport-security"].startswith("max-age=63072000")


def test_a_routes_own_policy_stands(client):
    answer = client.get("/console")
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]


# --- request ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["0af7651916cd43dd8448eb211c80319c", "6f9619ff-8b86-4011-b42d-00cf4fc964ff"])
def test_a_trace_id_is_taken_over(client, stream, given):
    assert client.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"] == given
    assert client.get("/missing", headers={"x-request-id": given}).json()["request_id"] == given


@pytest.mark.parametrize("given", [CANARY, "", "0" * 31, "0" * 33, "0AF7651916CD43DD8448EB211C80319C", "+33612345678"])
def test_any_other_id_is_replaced(client, stream, given):
    answer = client.get("/missing", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] != given
    assert given == "" or given not in answer.text + stream.getvalue().decode()


# --- the log ---------------------------------------------------------------------------------------------------------


def test_a_request_is_one_line_with_the_route_and_never_the_path(client, stream):
    answer = client.post(f"/v1/echo/{CANARY}?q={CANARY}", json={"text": CANARY})
    assert answer.status_code == 200
    (line,) = lines(stream)
    assert line["event"] == "http.request"
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/echo/{reference}", 200)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["ms"] >= 0
    assert line["time"] == "2026-09-21T14:13:20Z"


def test_a_path_or_method_of_nobodys_is_not_logged(client, stream):
    client.get(f"/{CANARY}")
    client.request("CANARY-METHOD", f"/{CANARY}")
    assert [(line["route"], line["method"]) for line in lines(stream)] == [("unmatched", "GET"), ("unmatched", "OTHER")]
    assert b"CANARY" not in stream.getvalue()


def test_health_probes_do_not_fill_the_log(client, stream):
    client.get("/healthz")
    assert lines(stream) == []


def test_a_defect_is_a_bare_500_and_a_place_in_the_log(client, stream):
    answer = client.get(f"/defect/{CANARY}")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert CANARY not in answer.text
    fault, request = lines(stream)
    assert (fault["event"], fault["error"]) == ("http.fault", "RuntimeError")
    assert re.fullmatch(r"test_api_middleware:\d+", fault["at"])
    assert (request["event"], request["status"]) == ("http.request", 500)


def test_a_defect_in_the_middle_of_an_answer_breaks_the_connection_without_a_word(client, stream):
    with pytest.raises(ConnectionResetError) as caught:
        client.get("/late")
    assert CANARY not in repr(caught.value)
    assert caught.value.__suppress_context__
    assert lines(stream)[0]["event"] == "http.fault"
