"""API, console and portal under hosts of their own: each path under its host alone, and no host of a caller's in anything."""

import re

import pytest
from console_browser import Browser, add_officer, set_up
from maison_callers import CONSENT, ELSEWHERE, PERSON, PUBLIC, Maison, app_of, problem_of
from policy_officers import AUTHOR, Officers
from portal_visitor import ADDRESS, signed_in
from starlette.testclient import TestClient

from api.middleware.hosts import Application, application_of, hosts_of
from api.settings import InvalidSettings, load
from policies.rights import Assurance, Right
from vault.requests import delivering, handling, intake
from vault.requests.content import Content
from vault.requests.records import Source
from vault.requests.states import Move
from vault.requests.steps import by_officer
from vault.unit import execute

CONSOLE, PORTAL, ISSUER = "https://console.example", "https://privacy.example", "https://issuer.example"
EVIL = "evil.example"
API_PATHS = ("/v1/catalogue", "/oauth/token", "/.well-known/oauth-authorization-server", "/audit/keys", "/nothing", "/")
CONSOLE_PATHS = ("/console", "/console/sign-in", "/console/static/pages.css", "/console/policy/propose")
PORTAL_PATHS = ("/me", "/me/sign-in", "/me/static/pages.css", "/package", "/package/language")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


@pytest.fixture
def app(opening, bundle, tmp_path):
    return app_of(lambda _: opening(bundle), tmp_path, console_url=CONSOLE, portal_url=PORTAL)


@pytest.fixture
def house(app, clock):
    with TestClient(app, base_url=PUBLIC, raise_server_exceptions=False) as http:
        yield Maison(http, app.state.services.vault, clock)


@pytest.fixture
def pos(house):
    return house.system("aurelle-pos", "aurelle")


def at(house, address, **headers):
    return TestClient(
        house.http.app, base_url=address, headers=headers, raise_server_exceptions=False, follow_redirects=False
    )


def test_a_path_of_another_host_is_not_there(house):
    own = {PUBLIC: API_PATHS, CONSOLE: CONSOLE_PATHS, PORTAL: PORTAL_PATHS}
    for address, mine in own.items():
        others = [path for paths in own.values() if paths is not mine for path in paths]
        for method in METHODS:
            for path in others:
                answer = at(house, address).request(method, path)
                assert (answer.status_code, "set-cookie" in answer.headers) == (404, False), (address, method, path)
                if method != "HEAD":
                    problem_of(answer, 404, "not_found")
                assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_each_is_there_under_its_own(house):
    assert at(house, PUBLIC).get("/.well-known/oauth-authorization-server").status_code == 200
    assert at(house, PUBLIC).get("/audit/keys").status_code == 200
    for address, path in ((CONSOLE, "/console/sign-in"), (PORTAL, "/me/sign-in"), (PORTAL, "/package")):
        for spelt in (address, f"{address}:443", f"{address}:8443", address.upper().replace("HTTPS", "https")):
            answer = at(house, spelt).get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), spelt


@pytest.mark.parametrize(
    "host",
    [EVIL, "10.0.0.9:8420", "localhost", "", f"console.example.{EVIL}", "console.example.", "x@console.example", "[::1",
     "console.example/", "console.example:443:443", "console.example, privacy.example", "console.example#", "cönsole.example",
     "console.example:123456"],
)  # fmt: skip
def test_a_host_that_is_none_of_ours_is_told_so_and_not_repeated(house, host):
    for path in ("/console/sign-in", "/me/sign-in", "/v1/catalogue", "/audit/keys"):
        answer = at(house, PUBLIC).get(path, headers=[(b"host", host.encode("latin-1"))])
        problem_of(answer, 421, "misdirected")
        assert not host or host not in str(answer.headers) + answer.text


def test_two_hosts_are_none(house):
    for pair in ((b"console.example", b"console.example"), (b"console.example", b"privacy.example")):
        answer = at(house, CONSOLE).get("/console/sign-in", headers=[(b"host", each) for each in pair])
        problem_of(answer, 421, "misdirected")


def test_what_a_proxy_might_forward_of_a_host_moves_nothing(house):
    for name in ("X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host"):
        value = "host=console.example" if name == "Forwarded" else "console.example"
        problem_of(at(house, PUBLIC, **{name: value}).get("/console/sign-in"), 404, "not_found")


def test_probes_are_answered_by_address(house):
    for address in (PUBLIC, CONSOLE, ELSEWHERE):
        assert at(house, address).get("/healthz").json() == {"status": "ok"}
        assert at(house, address).get("/readyz").status_code == 200


def test_forms_are_taken_from_the_own_host_alone(house, pos):
    pos.created(PERSON, CONSENT)
    wish = {"brand": "aurelle", "address": ADDRESS}
    for address, path, fields in (
        (PORTAL, "/me/sign-in", wish),
        (CONSOLE, "/console/sign-in", {"officer": "x", "password": "x", "code": "x"}),
        (PORTAL, "/package", {"code": "x"}),
    ):
        other = CONSOLE if address == PORTAL else PORTAL
        for origin, site in (
            (other, "same-site"),
            (other, "same-origin"),
            (PUBLIC, "same-origin"),
            (None, "same-site"),
        ):
            browser = Browser(house.http.app, address=address)
            page = browser.get(path)
            form = next(each for each in page.forms if set(fields) <= set(each["fields"]))
            refused = browser.post(path, form["fields"] | fields, **{"Origin": origin, "Sec-Fetch-Site": site})
            assert refused.status == 403, (path, origin, site)


def test_a_session_is_of_one_host(house, pos):
    pos.created(PERSON, CONSENT)
    me = signed_in(house, Browser(house.http.app, address=PORTAL))
    given = me.get("/me/language?to=fr&next=/me").answer
    assert me.get("/me").status == 200
    assert "domain" not in given.headers["set-cookie"].lower()
    assert "__Host-" in given.headers["set-cookie"]


def test_links_and_passkeys_name_the_settings_and_never_the_caller(house, pos, clock):
    reference = pos.created(PERSON, CONSENT)
    claire = Browser(house.http.app, address=CONSOLE)
    set_up(claire, add_officer(house.vault, "claire", "compliance"), clock)
    page = claire.get("/console/account")
    (options,) = [each["options"] for each in page.forms if each["ceremony"]]
    assert '"id":"console.example"' in options.replace(" ", "")
    by = by_officer(AUTHOR, Officers(house.vault).signing(AUTHOR))
    ask = intake.Ask(reference, "aurelle", Right.ACCESS, by, Source.OFFICER, Assurance.DOCUMENT, content=Content())
    (made,) = execute(house.vault, intake.received, [ask])
    for move in (Move.COLLECT, Move.REVIEW):
        handling.advance(house.vault, made.id, move, by)
    delivering.prepare(house.vault, made.id, by)
    path = f"/console/requests/{made.id.hex()}"
    page = claire.get(f"{path}?tab=answer")
    form = next(each["fields"] for each in page.forms if each["fields"].get("step") == "link")
    problem_of(claire.post(path, form, Host=EVIL).answer, 421, "misdirected")
    shown = claire.post(path, form, **{"X-Forwarded-Host": EVIL})
    (link,) = re.findall(r'value="([^"]+/package#)[\w-]{43}"', shown.answer.text)
    assert link == f"{PORTAL}/package#"
    assert EVIL not in shown.answer.text


def test_under_one_host_the_host_decides_nothing(maison):
    for host in (EVIL, "10.0.0.9:8420", "vault.example"):
        for path in ("/console/sign-in", "/me/sign-in", "/package", "/audit/keys"):
            assert maison.http.get(path, headers={"Host": host}).status_code == 200


# --- settings --------------------------------------------------------------------------------------------------------


def served(**chosen):
    return {name: {each.value for each in those} for name, those in hosts_of(load(chosen)).items()}


def test_without_hosts_of_their_own_nothing_is_asked():
    assert served() == {}
    assert served(public_url=PUBLIC) == {}
    assert served(public_url="http://127.0.0.1:1", console_url="http://localhost:2", portal_url="http://[::1]:3") == {}
    assert served(public_url=PUBLIC, issuer=ISSUER) == {}


def test_what_is_answered_where():
    both = {"console_url": CONSOLE, "portal_url": PORTAL}
    apart = {"vault.example": {"api"}, "console.example": {"console"}, "privacy.example": {"portal"}}
    assert served(public_url=PUBLIC, **both) == apart
    assert served(public_url=PUBLIC, issuer=ISSUER, **both) == apart | {"issuer.example": {"api"}}
    assert served(public_url=PUBLIC, console_url=CONSOLE) == {
        "vault.example": {"api"},
        "console.example": {"console", "portal"},
    }
    assert served(public_url=PUBLIC, portal_url=PORTAL) == {
        "vault.example": {"api", "console"},
        "privacy.example": {"portal"},
    }


def test_the_portal_is_where_the_console_is_unless_it_is_said():
    assert load().portal_url == "http://localhost:8420"
    assert load({"public_url": PUBLIC, "console_url": CONSOLE}).portal_url == CONSOLE
    assert load({"public_url": PUBLIC, "portal_url": f"{PORTAL}/"}).portal_url == PORTAL


@pytest.mark.parametrize(
    "url", ["http://privacy.example", f"{PORTAL}/me", "https://Privacy.example", "privacy.example"]
)
def test_a_portal_url_that_browsers_could_read_differently_is_refused(url):
    with pytest.raises(InvalidSettings) as caught:
        load({"public_url": PUBLIC, "portal_url": url})
    assert {each.partition(":")[0] for each in caught.value.findings} == {"portal_url"}
    assert url not in str(caught.value)


def test_a_path_is_its_first_parts():
    for path, whose in (
        ("/console", Application.CONSOLE), ("/console/", Application.CONSOLE), ("/consoles", Application.API),
        ("/me", Application.PORTAL), ("/me/held", Application.PORTAL), ("/men", Application.API),
        ("/package", Application.PORTAL), ("//me", Application.API), ("/", Application.API), ("", Application.API),
        ("*", Application.API), ("/v1/me", Application.API),
    ):  # fmt: skip
        assert application_of(path) is whose, path
