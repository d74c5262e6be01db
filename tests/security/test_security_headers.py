"""What every answer carries, good or bad: nothing of it is kept, framed, sniffed or referred, and it can be named."""

import re

import pytest
from maison_callers import CONSENT, ELSEWHERE, PERSON, PUBLIC, STRANGER, app_of, fresh, ndjson
from starlette.testclient import TestClient

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
}
TELLTALE = {"server", "x-powered-by", "access-control-allow-origin", "set-cookie", "location"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = (
    "/healthz",
    "/readyz",
    "/v1/catalogue",
    "/v1/subjects",
    "/v1/subjects/search",
    f"/v1/subjects/{STRANGER}",
    "/v1/consents",
    "/v1/disclosures",
    "/v1/imports",
    "/oauth/token",
    "/audit/keys",
    "/events/jwks",
    "/.well-known/oauth-authorization-server",
    "/v1/nowhere",
    "/",
    "/openapi.json",
    "/docs",
    "/v1/subjects/..%2f..%2fetc",
    "/%00",
    "/v1/subjects/",
)


def check(answer, path):
    """The headers that hold whatever the answer is."""
    for name, value in ALWAYS.items():
        assert answer.headers.get(name) == value, (path, name)
    assert not TELLTALE & set(answer.headers), path
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    if path.startswith(("/v1/", "/oauth/")):
        assert answer.headers["cache-control"] == "no-store", path


def test_every_answer_of_every_method_carries_them(maison):
    for path in PATHS:
        for method in METHODS:
            answer = maison.http.request(method, path, follow_redirects=False)
            check(answer, path)
            assert answer.status_code < 500, (method, path)
            if answer.status_code == 405:
                assert answer.headers["allow"], (method, path)
                if method != "HEAD":
                    assert answer.json()["code"] == "method_not_allowed"
            if answer.status_code >= 400 and method != "HEAD":
                assert answer.headers["content-type"] in {"application/problem+json", "application/json"}


def test_nobody_is_sent_anywhere_else(maison):
    for path in ("/v1/subjects/", "/v1/disclosures/", "/healthz/", "/oauth/token/"):
        for method in ("GET", "POST"):
            answer = maison.http.request(method, path, headers={"Host": "evil.example"}, follow_redirects=False)
            assert answer.status_code in {404, 405}, path
            assert "evil" not in str(answer.headers) + answer.text


def test_no_method_but_the_routes_own_does_anything(maison):
    for path in ("/v1/subjects", "/v1/consents", "/v1/disclosures", "/v1/imports", "/oauth/token"):
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"):
            assert maison.http.request(method, path).status_code == 405, (method, path)
    assert maison.http.get("/v1/nowhere").json()["code"] == "not_found"
    assert maison.http.get("/openapi.json").status_code == maison.http.get("/docs").status_code == 404
    assert maison.http.head("/healthz").content == b""


def test_answers_with_personal_data_or_tokens_are_never_kept(maison, pos):
    reference = pos.created(PERSON, CONSENT)
    token_answer = pos.wish(reference, ("phone", "masked"), max_uses=3)
    token = token_answer.json()["access_token"]
    answers = (
        token_answer,
        pos.describe(reference),
        pos.search("phone", "+33639981234"),
        pos.disclose(token),
        pos.bulk(token, [reference, STRANGER]),
        pos.bring(ndjson({"ref": "1", "fields": PERSON}), fresh()),
        pos.describe(STRANGER),
        pos.disclose("x" * 43),
        pos.create({"email": ["nobody"]}),
    )
    for answer in answers:
        check(answer, "/v1/")


def test_a_given_id_is_taken_over_if_it_can_be_one_and_any_other_is_not(pos):
    for given in ("0" * 31 + "f", "01234567-89ab-cdef-0123-456789abcdef"):
        answer = pos.search("shoe_color", "x", headers={"X-Request-Id": given})
        assert answer.headers["x-request-id"] == answer.json()["request_id"] == given
    for given in ("Apolline Rousselin", "+33639981234", "0" * 33, "F" * 32, ""):
        answer = pos.search("shoe_color", "x", headers={"X-Request-Id": given})
        assert answer.headers["x-request-id"] == answer.json()["request_id"] != given
        check(answer, "/v1/")


def test_a_fault_of_ours_carries_them_and_says_nothing(opening, bundle, tmp_path, clock):
    secret = "canary-b00b"

    def broken(_):
        vault = opening(bundle)

        class Broken:
            def __getattr__(self, name):
                raise RuntimeError(secret)

        vault.bundle = Broken()
        return vault

    with TestClient(app_of(broken, tmp_path), base_url=ELSEWHERE, raise_server_exceptions=False) as http:
        answer = http.get("/v1/catalogue")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        check(answer, "/v1/catalogue")
        assert secret not in answer.text


@pytest.mark.parametrize("public", [PUBLIC, "http://127.0.0.1:8420"])
def test_transport_security_is_promised_where_there_is_transport_security(opening, bundle, tmp_path, public):
    app = app_of(lambda _: opening(bundle), tmp_path, public_url=public)
    with TestClient(app, base_url=ELSEWHERE) as http:
        assert ("strict-transport-security" in http.get("/healthz").headers) == public.startswith("https")
