"""The console in a real browser: passkeys, both languages, desk and telephone, with and without script, WCAG 2.2 AA."""

import itertools
import os
import re
from pathlib import Path

import pytest
from console_browser import PASSWORD
from pyotp import TOTP
from sqlalchemy import update
from sqlmodel import col

from api.app import create_app
from api.console.requests import TABS
from api.console.site import PAGES as CONSOLE_PAGES
from api.console.site import Door
from api.pages.mount import Pages
from api.settings import load
from vault.store.tables import OfficerSession

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

SCREENS = os.environ.get("ECRIN_TEST_SCREENS")  # a folder: pictures of the pages go there
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Every page of the console by its route, with what stands for the places in its address. A page that is not here fails
# `test_every_page_of_every_site_is_walked`.
WALK = {
    "": ("",),
    "/requests": ("/requests", "/requests?show=all"),
    "/requests/{id}": (*tuple(f"/requests/{{ready}}?tab={tab}" for tab in TABS), "/requests/{rehearsed}?tab=answer"),
    "/person": ("/person",),
    "/systems": ("/systems",),
    "/systems/{id}": ("/systems/aurelle-paris",),
    "/purposes": ("/purposes",),
    "/consents": ("/consents",),
    "/policy": ("/policy",),
    "/policy/propose": ("/policy/propose",),
    "/policy/propose/{id}": ("/policy/propose/{upload}",),
    "/policy/{number}": ("/policy/1", "/policy/2"),
    "/log": ("/log?act=field",),
    "/log/export": ("/log/export",),
    "/log/{index}": ("/log/1",),
    "/integrity": ("/integrity",),
    "/reports": ("/reports",),
    "/reports/{name}": ("/reports/access", "/reports/processing", "/reports/blast_radius"),
    "/reports/{name}/files": ("/reports/refusals/files",),
    "/kept/{id}": ("/kept/{kept}",),
    "/made/{id}": ("/made/{made}",),
    "/erasures": ("/erasures",),
    "/alerts": ("/alerts",),
    "/budgets": ("/budgets",),
    "/budgets/raise": ("/budgets/raise", "/budgets/raise?system=aurelle-paris"),
    "/break-glass": ("/break-glass",),
    "/break-glass/ask": ("/break-glass/ask",),
    "/break-glass/{id}": ("/break-glass/{case}",),
    "/officers": ("/officers",),
    "/seal": ("/seal",),
    "/confirm": ("/confirm",),
    "/account": ("/account",),
}
DOOR = {"/sign-in", "/set-up"}
FILES = {"/policy/{number}/files"}  # what is handed out is no page
FAILED = {"/nowhere": 404, "/systems/nobody": 404, "/log?since=tomorrow": 400, "/alerts/step": 405}
# What is only seen as the answer to a form: where it is, and how one gets there.
ANSWERED = {
    "/policy/{number}": ("/policy/2", "main form:has(#days) button"),
    "/policy/propose/{id}": ("/policy/propose/{upload}", "main form:has(#days) button"),
    "/integrity": ("/integrity", "text=/Recompute now|Recalculer maintenant/"),
    "/person": ("/person", "main form button"),
    "/reports/{name}": ("/reports/access", "main form[method=post][action$='/reports/access'] button"),
    "/requests/{id}": ("/requests/{ready}", "main form:has([value=open]) button"),
    "/budgets/raise": ("/budgets/raise?system=aurelle-paris", "main form[method=post] button"),
    "/break-glass/ask": ("/break-glass/ask", "main form button.main"),
}
LEAD_ON = {
    "/policy/propose", "/policy/propose/{id}/step", "/policy/{number}/step", "/log/export", "/reports/{name}/files", "/reports/{name}/keep",
    "/kept/{id}/step", "/made/{id}", "/alerts/step", "/budgets/step", "/break-glass/{id}/step", "/seal/step", "/sign-out",
    "/account", "/confirm",
}  # fmt: skip
PICTURES = {"": "today", "/alerts": "alerts", "/budgets": "budgets", "/break-glass/ask": "ask", "/policy/propose/x": "draft", "/policy/2": "version",
            "/requests": "requests", "/requests/x?tab=answer": "request", "/made/x": "made", "/erasures": "erasures", "/budgets/raise?system=aurelle-paris, sent": "sign",
            "/policy/2, sent": "replay", "/reports": "reports", "/systems/aurelle-paris": "system", "/policy": "policy", "/log?act=field": "log", "/log/1": "proof",
            "/reports/access": "report", "/integrity": "integrity"}  # fmt: skip


def axe_source():
    import axe_playwright_python

    (found,) = Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")
    return found.read_text("utf-8")


def faults(page):
    page.evaluate(AXE)
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
    return [(each["id"], [node["target"] for node in each["nodes"]][:3]) for each in found["violations"]]


AXE = axe_source()


class Watched:
    """A context whose pages may say nothing in the console: a refused script, style or frame would be said there."""

    def __init__(self, chromium, served, **how):
        self.context = chromium.new_context(base_url=served.url, **how)
        self.page = self.context.new_page()
        self.said = []
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def unexpected(self):
        return [each for each in self.said if "status of 4" not in each]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


def with_authenticator(watched):
    """Give a page a device that holds passkeys and says yes."""
    session = watched.context.new_cdp_session(watched.page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
               "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip
    return session, session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]


def come_with_code(page, code, press=True):
    page.goto("/console/set-up")
    page.fill("input[name=code]", code)
    page.click("main form button")


def picture(page, name):
    if SCREENS:
        page.screenshot(path=f"{SCREENS}/{name}.png", full_page=False)


def test_a_passkey_is_made_used_and_asked_for_again(chromium, served):
    with Watched(chromium, served) as watched:
        page, (session, device) = watched.page, with_authenticator(watched)
        page.goto(f"/console/set-up#{served.codes['compliance-passkey']}")
        assert page.input_value("input[name=code]") == served.codes["compliance-passkey"]
        assert "#" not in page.url  # it is gone from the address too
        page.click("main form button")
        page.fill("input[name=label]", "desk")
        page.click("form[data-ceremony=create] button")
        page.wait_for_url("**/console")
        cookie = next(each for each in watched.context.cookies() if each["name"].endswith("session"))
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
        page.click("header button")
        page.wait_for_url("**/console/sign-in")
        page.click("form[data-ceremony=get] button")
        page.wait_for_url("**/console")
        again = next(each for each in watched.context.cookies() if each["name"].endswith("session"))
        assert again["value"] != cookie["value"]
        page.goto("/console/confirm?next=/console/log/export")
        page.click("form[data-ceremony=get] button")
        page.wait_for_url(f"{served.url}/console/log/export")  # whole: the door's own address ends alike
        raised = next(each for each in watched.context.cookies() if each["name"].endswith("session"))
        assert raised["value"] != again["value"]
        with page.expect_download() as download:
            page.click("main form button")
        assert download.value.suggested_filename == "ecrin-log.csv"
        credentials = session.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]
        assert [each["rpId"] for each in credentials] == ["localhost"]
        assert watched.unexpected() == []


def test_a_passkey_without_its_owner_or_of_another_officer_opens_nothing(chromium, served):
    with Watched(chromium, served) as watched:
        page, (session, device) = watched.page, with_authenticator(watched)
        come_with_code(page, served.codes["auditor-passkey"])
        page.click("form[data-ceremony=create] button")
        page.wait_for_url("**/console")
        page.click("header button")
        session.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
        page.click("form[data-ceremony=get] button")
        page.wait_for_selector("form[data-ceremony=get] [data-trouble]:visible")
        assert page.url.endswith("/sign-in")
        # What a page that only looks like ours would get is bound to its host, and a stale answer to its session.
        page.evaluate("document.querySelector('form[data-ceremony] input[name=answer]').value = '{\"id\":\"AAAA\"}'")
        page.evaluate("document.querySelector('form[data-ceremony]').submit()")
        page.wait_for_selector("[role=alert]:visible")
        assert page.url.endswith("/sign-in")


@pytest.fixture(scope="module")
def signed_in(chromium, served):
    return state_of(chromium, served, "compliance-code")


@pytest.fixture
def officer_state(served, signed_in):
    """The officer's cookies, as if they had just proved to be there: the walks take longer than a proof is good for."""
    with served.vault.unit() as uow:
        raised = col(OfficerSession.stepped_at).is_not(None)
        uow.conn.execute(update(OfficerSession).where(raised).values(stepped_at=uow.now))
        uow.commit()
    return signed_in


def state_of(chromium, served, officer):
    """An officer signed in with password and code in a browser without script; the cookies of it."""
    with Watched(chromium, served, java_script_enabled=False) as watched:
        page = watched.page
        come_with_code(page, served.codes[officer])
        assert page.is_disabled("form[data-ceremony=create] button")
        secret = page.inner_text("code.secret").replace(" ", "")
        page.fill("input[name=password]", PASSWORD)
        page.fill("input[name=code]", TOTP(secret).now())
        page.click("text=Keep both and sign in")
        page.wait_for_url("**/console")
        return watched.context.storage_state()


def names_of(day):
    made = {name: getattr(day, name).id.hex() for name in ("upload", "kept", "made")}
    return {"ready": day.ready.name, "rehearsed": day.rehearsed.name, "case": day.case.name} | made


def test_every_page_of_every_site_is_walked():
    """From the routes themselves, so that no page can be forgotten: the console's, the portal's, the counter's."""
    inside = [each for each in CONSOLE_PAGES if not isinstance(each.roles, Door)]
    assert {each.path for each in inside if each.get} == set(WALK) | FILES
    assert {each.path for each in inside if each.post} == set(ANSWERED) | LEAD_ON
    assert {each.path for each in CONSOLE_PAGES if isinstance(each.roles, Door)} == DOOR
    mounts = {each.prefix for each in create_app(load({})).routes if isinstance(each, Pages)}
    assert mounts == {"/console", "/me", "/package"}


@pytest.mark.usefixtures("fresh")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_page_is_accessible_and_fits(chromium, served, officer_state, language, size):
    how = {
        "storage_state": officer_state,
        "viewport": size,
        "locale": language,
        "color_scheme": "light" if size is DESK else "dark",
    }
    with Watched(chromium, served, **how) as watched:
        page, found, names = watched.page, {}, names_of(served.day)
        kind = f"{language}-{'desk' if size is DESK else 'phone'}"

        def look(path, name=None):
            assert page.get_attribute("html", "lang") == language, path
            if here := faults(page):
                found[path] = here
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, (path, wide)
            if name:
                picture(page, f"{name}-{kind}")

        for path in [each.format(**names) for shown in WALK.values() for each in shown]:
            answer = page.goto(f"/console{path}")
            assert answer.status == 200, path
            look(path, PICTURES.get(re.sub("[0-9a-f]{32}", "x", path)))
        for path, status in FAILED.items():
            assert page.goto(f"/console{path}").status == status, path
            look(path, "failed" if status == 404 else None)
        for path, button in ANSWERED.values():
            page.goto(f"/console{path.format(**names)}")
            fill(page, served)
            with page.expect_navigation():  # the answer may be at the form's own address
                page.locator(button).first.click()
            look(f"{path}, sent", PICTURES.get(f"{path}, sent"))
        assert page.locator("main form:has([name=signature])").count()
        page.goto("/console/alerts")
        assert page.locator("article.alert").count()
        assert found == {}
        assert watched.unexpected() == []


def fill(page, served):
    """What a form wants that stands on the page, where it has such a field."""
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    for field, value in (
        ("[name=reference]", served.reference),
        ("#reason", "She collapsed in the shop; the doctor asks."),
        ("[name='limit system:people/hour']", "999999"),
    ):
        if page.locator(f"main form {field}").count():
            page.fill(field, value)
    if page.locator("#f-phone").count():
        page.select_option("#f-phone", "raw")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("language", "size"), [("fr", PHONE), ("en", DESK)], ids=["fr-phone", "en-desk"])
def test_every_page_stands_without_script(chromium, served, officer_state, language, size):
    how = {"storage_state": officer_state, "viewport": size, "locale": language, "java_script_enabled": False}
    with Watched(chromium, served, **how) as watched:
        page, names = watched.page, names_of(served.day)
        for path in [each.format(**names) for shown in WALK.values() for each in shown]:
            assert page.goto(f"/console{path}").status == 200, path
            assert page.get_attribute("html", "lang") == language, path
            assert page.locator("main h1").count() == 1, path
            # No button waits for a script but those that hand over a passkey.
            assert page.locator("button:disabled").count() == page.locator("form[data-ceremony] button").count(), path
        assert watched.unexpected() == []


def test_the_door_is_accessible_in_both_languages(chromium, served):
    for language in ("en", "fr"):
        with Watched(chromium, served, locale=language, viewport=PHONE) as watched:
            for path in sorted(DOOR):
                watched.page.goto(f"/console{path}")
                assert faults(watched.page) == [], path
                picture(watched.page, f"{path[1:]}-{language}-phone")
            assert watched.unexpected() == []


def test_without_script_everything_but_passkeys_works(chromium, served, officer_state):
    with Watched(chromium, served, java_script_enabled=False, storage_state=officer_state) as watched:
        page = watched.page
        page.goto("/console/log")
        page.select_option("select[name=act]", "field.disclosed")
        page.click("form.filter button")
        assert "act=field.disclosed" in page.url
        page.click("main table a >> nth=0")
        assert "Recomputed just now" in page.inner_text("main")
        page.goto("/console/integrity")
        page.click("text=Recompute now")
        assert "The log holds" in page.inner_text("main")
        page.click("nav.languages a")
        assert page.get_attribute("html", "lang") == "fr"
        page.goto("/console/reports/access/files")
        with page.expect_download() as download:
            page.click("main form button")
        assert download.value.suggested_filename == "ecrin-access.json"


def test_an_operator_seals_and_unseals_it_and_the_server_follows(chromium, served):
    state = state_of(chromium, served, "operator-code")
    with Watched(chromium, served, java_script_enabled=False, storage_state=state) as watched:
        page, ready = watched.page, f"{served.settings.public_url}/readyz"
        page.goto("/console/seal")
        page.click("text=Seal now")
        assert page.url.endswith("/console/seal")  # the browser itself asks for the tick first
        assert watched.context.request.get(ready).status == 200
        page.check("input[name=sure]")
        page.click("text=Seal now")
        page.wait_for_selector("text=Unseal now")
        assert watched.context.request.get(ready).status == 503
        picture(page, "seal-en-desk")
        page.check("input[name=sure]")
        page.click("text=Unseal now")
        page.wait_for_selector("text=Seal now")
        answers = iter(lambda: watched.context.request.get(ready).status, 200)  # asked until it serves again
        assert set(itertools.islice(answers, 3_000)) <= {503}
        assert watched.context.request.get(ready).status == 200


def test_no_other_page_can_frame_it_or_post_to_it(chromium, served, officer_state):
    """Clickjacking and CSRF as an attacker tries them: from a page of another origin, in the officer's own browser."""
    with Watched(chromium, served, storage_state=officer_state) as watched:
        page, url = watched.page, served.url
        elsewhere = url.replace("localhost", "127.0.0.1")
        page.route(f"{elsewhere}/evil", lambda route: route.fulfill(
            content_type="text/html",
            body=f"<iframe src='{url}/console'></iframe><form method=post action='{url}/console/sign-out'><button>x</button></form>",
        ))  # fmt: skip
        page.goto(f"{elsewhere}/evil")
        page.wait_for_timeout(300)
        framed = [each for each in page.frames if each is not page.main_frame]
        assert not any("Today" in each.content() for each in framed)
        page.click("button")
        assert "session" in page.inner_text("main") or "Not from our pages" in page.inner_text("main")
        page.goto("/console")
        assert page.inner_text("h1") == "Today"


def test_pages_print_without_their_frame(chromium, served, officer_state):
    with Watched(chromium, served, storage_state=officer_state) as watched:
        page = watched.page
        page.goto("/console/reports/access")
        page.emulate_media(media="print")
        assert not page.is_visible("nav.menu")
        assert not page.is_visible("form.filter")
        assert page.is_visible("main table")
