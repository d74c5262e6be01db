"""The portal on a telephone, in both languages, with and without script: accessible, and nothing runs off the edge."""

from base64 import urlsafe_b64encode

import pytest
from test_browser_console import PHONE, Watched, faults, picture

from api import bootstrap
from api.portal.site import COOKIE
from vault.signin import visitors

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

PICTURES = {"": "me", "/looks": "me-looks", "/consents": "me-consents"}


@pytest.fixture(scope="module")
def inside(served):
    """The cookie of the lady of the story, as if she had just returned her code."""
    vault = bootstrap.open_from(served.settings)
    try:
        with vault.unit() as uow:
            visitor = visitors.opened(uow, visitors.begin(uow), "aurelle", served.reference)
            uow.commit()
    finally:
        vault.close()
    value = urlsafe_b64encode(visitor.token).rstrip(b"=").decode()
    return {
        "name": COOKIE,
        "value": value,
        "domain": "localhost",
        "path": "/",
        "secure": True,
        "httpOnly": True,
        "sameSite": "Strict",
    }


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_page_is_accessible_on_a_telephone(chromium, served, inside, language):
    with Watched(chromium, served, viewport=PHONE, locale=language) as watched:
        page, found = watched.page, {}
        for path in ("/sign-in", "", "/looks", "/consents", "/requests", "/proof", "/nowhere"):
            answer = page.goto(f"/me{path}")
            assert answer.status == (404 if path == "/nowhere" else 200), path
            assert page.get_attribute("html", "lang") == language
            if here := faults(page):
                found[path] = here
            assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0, (
                path
            )
            if path in PICTURES:
                picture(page, f"{PICTURES[path]}-{language}-phone")
            if path == "/sign-in":
                watched.context.add_cookies([inside])
        assert found == {}
        assert watched.unexpected() == []


def test_without_script_a_consent_is_switched_and_the_log_checked(chromium, served, inside):
    with Watched(chromium, served, java_script_enabled=False, viewport=PHONE) as watched:
        page = watched.page
        page.goto("/me/sign-in")
        watched.context.add_cookies([inside])
        page.goto("/me/consents")
        before = page.locator("button", has_text="Switch off").count()
        page.locator("button", has_text="I have read the text and agree").first.click()
        assert page.locator("button", has_text="Switch off").count() == before + 1
        page.locator("button", has_text="Switch off").first.click()
        assert page.locator("button", has_text="Switch off").count() == before
        page.goto("/me/proof")
        page.click("text=Check now")
        assert "It is whole" in page.inner_text("main")
