"""Pages before a hostile browser: what no browser sends, who is there, and how often one may try.

A fault of ours would be a way to fill the log and to learn where we stumble: nothing that comes in leads to one. What is
done for whom there is not is compared by what is done, never by a clock.
"""

import asyncio
import re

import pytest
from argon2 import extract_parameters
from console_browser import PASSWORD, Browser, add_officer, set_up, sign_in
from counted_keys import work_of
from maison_callers import CONSENT, PERSON
from portal_visitor import signed_in
from sqlalchemy import text

from api.cli.opened import OPERATOR
from api.console.attempts import MOST_ACTS, MOST_ADDRESSES, MOST_TRIES, WINDOW_SECONDS, Attempts
from api.console.site import PAGES
from api.portal.site import COOKIE, ROUTES
from vault import officers
from vault.signin import codes, invitations

NO_ADDRESS = (
    "//[",
    "http://[",
    "//[::1",
    "http://a@[/console",
    "/console\n",
    "/console\\\\x",
    "//\u2100.example/console",
)
QUERIES = (b"\xff", b"x=\xc3", b"x=%ff", b"x=%00", b"a=1&a=2", b"since=0001-01-01", b"until=9999-12-31", b"since=-1",
           b"below=99999999999999999999", b"act=%27", b"brand=%0d%0a", b"tab=%f0%9f%92%a9", b"&".join([b"a=1"] * 99))  # fmt: skip
DEEP = "[" * 10_000
NO_CREDENTIAL = (
    '{"id":"YQ","rawId":"YQ","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"oA"}}'
)
FORMS = (
    {}, {"step": "x"}, {"step": "\x00"}, {"answer": DEEP}, {"answer": "null"}, {"answer": NO_CREDENTIAL}, {"remove": "zz"},
    {"step": "approve", "signature": "00", "thing": "\x00zz"}, {"step": "show", "signature": "=="}, {"label": "\x00"},
    {"brand": "aurelle", "reference": "\x00", "days": "999999999999999"}, {"format": "csv", "since": "0001-01-01"},
    {"format": "json", "until": "9999-12-31"}, {"officer": "\x00", "password": "x", "code": "1"}, {"next": "//["},
    {"officer": "x" * 5000, "password": "\ud7ff", "code": "\u0661\u0662"}, {"brand": "aurelle", "address": "\x00@x.example"},
    {"brand": "aurelle", "address": "@" * 3000}, {"code": "\x00"}, {"request": "zz"}, {"purpose": "\x00", "to": "on"},
    {"right": "access", "words": "\x00"}, {"step": "note", "note": "\x00"}, {"step": "accept", "rung": "\x00"},
)  # fmt: skip


def raw(app, path, query=b"", cookie=""):
    """Get a path with a query as bytes that no client of ours would send."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"vault.example"), (b"cookie", cookie.encode())]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "https"}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": query, "headers": headers, "root_path": ""}
    asyncio.run(app(scope | {"client": ("192.0.2.7", 5), "server": ("vault.example", 443)}, receive, send))
    return sent[0]["status"]


def paths(*, sent=False):
    """Every path of the pages; with `sent` those that take forms."""
    filled = {"{id}": "0" * 32, "{number}": "1", "{index}": "0", "{name}": "access"}
    for page in PAGES:
        if sent and page.post is None:
            continue
        path = f"/console{page.path}"
        for place, value in filled.items():
            path = path.replace(place, value)
        yield path
    yield from (f"/me{name}" for name, (_, _, post) in ROUTES.items() if post or not sent)
    if not sent:
        yield from (
            "/console/language",
            "/me/language",
            "/me/static/\x00",
            "/console/systems/\x00",
            "/console/log/\u0661",
        )


@pytest.fixture
def person(pos):
    return pos.created(PERSON, CONSENT)


@pytest.fixture
def officer(maison):
    browser = Browser(maison.http.app)
    browser.authenticator = set_up(browser, add_officer(maison.vault, "claire", "compliance"), maison.clock)
    return browser


def csrf_of(page):
    return re.search(r'name="form" value="([0-9a-f]+)"', page.answer.text)[1]


@pytest.mark.parametrize("prefix", ["/console", "/me"])
def test_a_language_link_that_is_no_address_leads_home(maison, prefix):
    browser = Browser(maison.http.app)
    for onward in NO_ADDRESS:
        answer = browser.http.get(f"{prefix}/language", params={"to": "fr", "next": onward})
        assert (answer.status_code, answer.headers["location"]) == (303, prefix), onward


@pytest.mark.usefixtures("person")
def test_no_query_is_a_fault_of_ours(maison, officer):
    inside = f"__Host-ecrin-session={officer.token}; {COOKIE}={signed_in(maison).http.cookies.get(COOKIE)}"
    for path in paths():
        for query in QUERIES:
            for cookie in ("", inside):
                assert raw(maison.http.app, path, query, cookie) < 500, (path, query)


@pytest.mark.usefixtures("person")
def test_no_form_is_a_fault_of_ours(maison, officer):
    visitor = Browser(maison.http.app)
    for path in paths(sent=True):
        if path.endswith("/sign-out"):
            continue
        maison.clock.advance(4 * WINDOW_SECONDS)  # what is asked here is what is done with a form, not how often
        if path.startswith("/me"):
            browser = visitor if path in {"/me/sign-in", "/me/code"} else signed_in(maison)
            home = "/me/sign-in" if browser is visitor else "/me"
        elif path in {"/console/sign-in", "/console/set-up"}:
            browser, home = visitor, path
        else:
            browser, home = Browser(maison.http.app), "/console/account"
            assert sign_in(browser, "claire", officer.authenticator, maison.clock).status == 303
        mine = {"form": csrf_of(browser.get(home))}
        for form in FORMS:
            answer = browser.post(path, form | mine)
            assert answer.status < 500, (path, form)


def test_an_officer_there_is_not_costs_what_one_there_is_costs(maison, officer):
    """Signing in with password and code: the same statements and key operations, and a hash of the same cost."""
    vault, works = maison.vault, []
    add_officer(vault, "uncoded", "auditor")
    right = officer.authenticator.at(maison.clock.now())
    tries = [("claire", "a wrong passphrase", right), ("claire", PASSWORD, "00000000"), ("uncoded", PASSWORD, right)]
    tries += [("nobody", PASSWORD, right), ("founder-author", PASSWORD, right), ("", "", ""), ("claire", "", "0" * 6)]
    tries += [("claire", PASSWORD, "000000")] * codes.MOST_FAILURES  # closed by the last of them
    for officer_id, password, code in tries:
        with work_of(vault) as work:
            assert not codes.proves(vault, officer_id, password, code)
        works.append(work)
    for work in works[1:]:
        assert work == works[0]
    assert ("open", 1) in works[0]
    with vault.reading() as conn:
        stored = conn.execute(text("SELECT password_hash FROM officer WHERE id = 'claire'")).scalar_one()
    assert extract_parameters(stored) == extract_parameters(officers._nobody())


def test_a_network_of_addresses_is_one_place_and_forgets_nobody_early():
    attempts = Attempts()
    admitted = [attempts.admit("try", f"2001:db8:0:1::{each:x}", 0, MOST_TRIES) for each in range(100)]
    assert admitted.count(True) == MOST_TRIES
    assert attempts.admit("try", "2001:db8:0:2::1", 0, MOST_TRIES)
    assert not attempts.admit("try", "::ffff:192.0.2.1", 0, 0)
    for each in range(MOST_ADDRESSES - 3):  # as many strangers as fit
        attempts.admit("try", f"10.{each >> 16}.{each >> 8 & 255}.{each & 255}", 0, MOST_TRIES)
    assert not attempts.admit("try", "2001:db8:0:1::ffff", 0, MOST_TRIES)


@pytest.mark.usefixtures("person")
def test_who_is_signed_in_has_the_log_walked_so_often_and_no_more(maison):
    browser = signed_in(maison)
    answers = [browser.get("/me/looks").status for _ in range(MOST_ACTS + 2)]
    assert answers == [200] * MOST_ACTS + [429] * 2
    elsewhere = Browser(maison.http.app)  # another address does not help: it is the person who is counted
    elsewhere.http.cookies.set(COOKIE, browser.http.cookies.get(COOKIE), domain="vault.example")
    elsewhere.http._transport.client = ("198.51.100.9", 1)
    assert elsewhere.get("/me/looks").status == 429
    assert browser.get("/me").status == 200
    maison.clock.advance(WINDOW_SECONDS)
    assert browser.get("/me/looks").status == 200


def test_who_sets_up_anew_is_alone(maison, officer):
    """After a way in was lost, whoever has a browser that is signed in is out."""
    with maison.vault.unit() as uow:
        code = invitations.invite(uow, "claire", OPERATOR)
        uow.commit()
    fresh = Browser(maison.http.app)
    set_up(fresh, code, maison.clock)
    assert fresh.get("/console").status == 200
    assert officer.get("/console").answer.headers["location"].startswith("/console/sign-in")


@pytest.mark.usefixtures("person")
def test_signing_out_clears_what_the_browser_kept(maison, officer):
    for browser, path, home in (
        (officer, "/console/sign-out", "/console/account"),
        (signed_in(maison), "/me/sign-out", "/me"),
    ):
        answer = browser.post(path, {"form": csrf_of(browser.get(home))})
        assert (answer.status, answer.answer.headers["clear-site-data"]) == (303, '"cache", "storage"')
        assert browser.get(home).status == 303
