"""A vault whose root key does not open is served sealed: it says so, and serves what needs no key."""

import pytest
from maison_callers import ELSEWHERE, STRANGER, app_of, problem_of
from policy_officers import FILES, Officers
from sqlalchemy import text
from starlette.testclient import TestClient

from api import roots
from api.settings import load
from vault.errors import StoreUnavailable
from vault.keys.closed import closed_keys

ROUTES = (
    ("GET", "/readyz"),
    ("GET", "/audit/keys"),
    ("GET", "/events/jwks"),
    ("GET", f"/v1/subjects/{STRANGER}"),
    ("POST", "/v1/subjects/search"),
    ("POST", "/v1/disclosures"),
)
KEYLESS = (
    "/healthz",
    "/v1/catalogue",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-protected-resource",
    "/.well-known/authzen-configuration",
)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def sealed(opening, bundle, tmp_path):
    """The service on a vault whose root does not open; the mark keeps it from trying."""
    roots.seal_mark(load({"data_dir": tmp_path})).set()
    app = app_of(lambda _: opening(bundle, keys=lambda _: closed_keys()), tmp_path)
    with TestClient(app, base_url=ELSEWHERE, raise_server_exceptions=False) as http:
        yield http


def test_everything_that_needs_a_key_says_sealed_and_try_again(sealed):
    for method, path in ROUTES:
        answer = sealed.request(method, path, headers={"Authorization": "DPoP x", "DPoP": "x"}, json={})
        problem_of(answer, 503, "sealed")
        assert answer.headers["retry-after"] == "1"
    for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
        answer = sealed.post(path, content="grant_type=client_credentials&token=x", headers=FORM | {"DPoP": "x"})
        problem_of(answer, 503, "sealed")


def test_what_needs_no_key_is_served(sealed):
    for path in KEYLESS:
        assert sealed.get(path).status_code == 200, path
    problem_of(sealed.get("/audit/checkpoint"), 404, "not_found")  # served, and nothing was signed yet


def test_the_process_is_alive_all_the_same(sealed):
    answer = sealed.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_an_open_vault_is_ready(maison):
    assert maison.http.get("/healthz").json() == {"status": "ok"}
    assert maison.http.get("/readyz").json() == {"status": "ready"}


def test_a_vault_whose_policy_is_gone_is_not_ready(maison):
    watch = maison.http.app.state.services.watch
    made = Officers(maison.vault).adopt(FILES)
    watch.look()
    assert maison.http.get("/readyz").status_code == 200
    with maison.vault.unit() as uow:
        uow.conn.execute(text("UPDATE policy_version SET state = 'retired' WHERE number = :n"), {"n": made.number})
        uow.commit()
    watch.look()
    problem_of(maison.http.get("/readyz"), 503, "not_ready")
    assert maison.http.get("/healthz").status_code == 200


def test_a_vault_that_cannot_open_for_another_reason_does_not_serve(tmp_path):
    def gone(_):
        raise StoreUnavailable

    with pytest.raises(StoreUnavailable), TestClient(app_of(gone, tmp_path)):
        pass
