"""Chromium itself on pages full of texts that would run: none did, and none even tried.

The browser asks the application in this process: each request is answered as the application answers it, with every
header, so the content policy is in force as it is for an officer or a person.
"""

import io
import os
import shutil
import zipfile

import pytest
from console_browser import add_officer
from maison_callers import PUBLIC
from playwright.sync_api import sync_playwright
from portal_visitor import package_of, signed_in
from test_security_injection import EVIL, officer_of, person

from api.console.site import PAGES
from api.portal.site import ROUTES
from vault.requests import handling, records
from vault.requests.steps import by_officer

__all__ = ["person"]

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WITNESS = "window.e = () => { window.ran = true; }"


@pytest.fixture
def chromium():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium", pytrace=False)
        pytest.skip("*** TEXTS NOT TRIED IN A BROWSER *** no Chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def opened(chromium, browser=None):
    """A tab whose every request is answered by the application, and what its console says of the content policy."""
    page, said = chromium.new_page(), []
    page.add_init_script(WITNESS)
    page.on("console", lambda message: said.append(message.text) if "Content Security Policy" in message.text else None)

    def answer(route):
        asked = route.request
        path = asked.url.removeprefix(PUBLIC)
        got = browser.http.request(asked.method, path, content=asked.post_data_buffer, headers=asked.headers)
        while got.status_code == 303:  # a redirect would go out to the network, past us
            got = browser.http.get(got.headers["location"])
        kept = {name: value for name, value in got.headers.items() if name not in {"set-cookie", "content-length"}}
        route.fulfill(status=got.status_code, headers=kept, body=got.content)

    if browser is not None:
        page.route("**/*", answer)
    return page, said


def ran(page):
    page.mouse.click(5, 5)
    return page.evaluate("window.ran === true || document.querySelector('x-evil, img[src=x]') !== null")


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)  # what a page does not run is not the engine's doing
def test_no_text_runs_in_chromium(maison, person, chromium, tmp_path):
    claire, me = officer_of(maison, "compliance"), signed_in(maison)
    me.submit("/me/ask/access", words=EVIL)
    with maison.vault.reading() as conn:
        (request,) = records.listed(conn, records.Wanted())
    handling.annotate(maison.vault, request.id, EVIL, by_officer("compliance-1"))
    add_officer(maison.vault, "somebody", "auditor")
    page, said = opened(chromium, claire)
    seen = 0
    for each in PAGES:
        if each.get is not None and "{" not in each.path and not each.path.startswith("/sign"):
            page.goto(f"{PUBLIC}/console{each.path}")
            assert not ran(page), each.path
            seen += 1
    page.goto(f"{PUBLIC}/console/requests/{request.name}")
    page.locator("form:has(input[name=step][value=open]) button").click()
    page.wait_for_load_state()
    assert "x-evil" in page.inner_text("main")
    assert not ran(page)
    assert said == []
    page, said = opened(chromium, me)
    for name, (_, get, _) in ROUTES.items():
        if get is not None:
            page.goto(f"{PUBLIC}/me{name}")
            assert not ran(page), name
            seen += 1
    page.goto(f"{PUBLIC}/me/held")
    values = []
    for number in range(page.locator("main form button").count()):
        page.goto(f"{PUBLIC}/me/held")
        page.locator("main form button").nth(number).click()
        page.wait_for_load_state()
        assert not ran(page), number
        values.append(page.inner_text("main"))
    assert " ".join(values).count("x-evil") > 5
    assert said == []
    assert seen > 20
    (tmp_path / "package.html").write_bytes(page_of(maison, me, request))
    (tmp_path / "control.html").write_text(f'<input value="{EVIL}">')
    page, _ = opened(chromium)
    page.goto((tmp_path / "package.html").as_uri())
    assert "x-evil" in page.inner_text("body")
    assert not ran(page)
    page.goto((tmp_path / "control.html").as_uri())  # the same text where nobody escapes it
    assert ran(page)


def page_of(maison, me, request):
    with zipfile.ZipFile(io.BytesIO(package_of(maison, me, request))) as package:
        return package.read("package.html")
