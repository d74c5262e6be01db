"""The portal in a real browser: telephone and desk, light and dark, both languages, with and without script, WCAG 2.2 AA."""

import json
import zipfile
from base64 import urlsafe_b64encode

import pytest
from test_browser_console import DESK, PHONE, Watched, faults, picture

from api.demo.group import Group
from api.portal.site import COOKIE, ROUTES
from audit.scrub import FULL
from policies.rights import Assurance, Right
from vault import scrubbing
from vault.requests import delivering, handling, intake, letters
from vault.requests.content import Content
from vault.requests.records import Ground, Source
from vault.requests.states import Move
from vault.requests.steps import by_officer, by_person
from vault.signin import visitors
from vault.signin.visitors import Stage
from vault.unit import execute

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

ANSWER = (
    "You are right: nobody rang you back, and that was ours to do. The boutique of rue Saint-Honoré calls you at the hour"
    " you named.\n\nIf you see it otherwise, you may turn to the authority that is named with your request."
)
PAGES = [path for path, (stages, get, _) in ROUTES.items() if get is not None and Stage.OPEN in stages]
OUTSIDE = [path for path, (stages, get, _) in ROUTES.items() if get is not None and Stage.DOOR in stages]
NARROW = 320  # WCAG 1.4.10: nothing is cut off, and nothing is scrolled sideways
BETWEEN = {"/code"}  # walked where somebody signs in
PICTURES = {"": "me", "/looks": "me-looks", "/consents": "me-consents", "/preferences": "me-preferences", "/proof": "me-proof",
            "/requests": "me-requests", "/held": "me-held-closed", "/ask/restriction": "me-ask", "/receipts": "me-receipts"}  # fmt: skip


@pytest.fixture(scope="module")
def inside(served):
    """The cookie of the lady of the story, as if she had just returned her code."""
    scrubbing.run(served.vault, FULL)  # so that there is a last one to tell of
    with served.vault.unit() as uow:
        visitor = visitors.opened(uow, visitors.begin(uow), "aurelle", served.reference)
        uow.commit()
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


@pytest.fixture(scope="module")
def told(served):
    """What the house has answered her: a complaint in words, and a package that waits, refused in part."""
    vault, by, other = served.vault, by_officer("compliance-code"), by_officer("approver-code")

    def ask(right, words="", *moves):
        wish = intake.Ask(
            served.reference, "aurelle", right, by_person(vault), Source.PORTAL, Assurance.CODE, content=Content(words)
        )
        (made,) = execute(vault, intake.received, [wish])
        for move in moves:
            handling.advance(vault, made.id, move, by)
        return made

    reviewed = (Move.COLLECT, Move.REVIEW)
    handling.decide(vault, ask(Right.COMPLAINT, "Nobody rang back.", *reviewed).id, by, "upheld", ANSWER)
    taken = ask(Right.PORTABILITY, "", *reviewed)
    handling.propose_refusal(vault, taken.id, Ground.LEGAL_CLAIMS, by, ["notes"])
    handling.decide_refusal(vault, taken.id, other, confirm=True)
    delivering.prepare(vault, taken.id, by)


def test_every_page_of_the_portal_is_walked():
    assert {path for path, (_, get, _) in ROUTES.items() if get} == {*PAGES, *OUTSIDE, *BETWEEN}


def code_of(vault):
    """The code that the house has just sent: the server of these tests has no way out, so the letter is still there."""
    return [each for each in letters.claim(vault, 50) if each.kind is letters.LetterKind.CODE][-1].words["code"]


def wide(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def cut(page):
    """Texts that end in dots because there is no room for them."""
    return page.evaluate(
        "[...document.querySelectorAll('main *')].filter(each => getComputedStyle(each).textOverflow === 'ellipsis'"
        " && each.scrollWidth > each.clientWidth).map(each => each.textContent)"
    )


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_person_signs_in_by_code_sees_a_value_and_leaves(chromium, served, script):
    with Watched(chromium, served, viewport=PHONE, locale="en", java_script_enabled=script) as watched:
        page = watched.page
        page.goto("/me")
        assert page.url.endswith("/me/sign-in")
        page.select_option("select[name=brand]", "aurelle")
        page.fill("input[name=address]", Group().person(1).email)
        page.click("main button")
        page.fill("input[name=code]", "00000000")
        page.click("main button")
        assert "not good" in page.inner_text("main")
        page.fill("input[name=code]", code_of(served.vault))
        page.click("main button")
        assert page.inner_text("h1") == "Welcome"
        page.click("main >> text=What is held")
        assert Group().person(1).email not in page.content()
        page.click("#contact button")
        assert Group().person(1).email in page.inner_text("#contact")
        page.click("text=Sign out")
        page.goto("/me/held")
        assert page.url.endswith("/me/sign-in")


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("language", "size", "scheme"),
    [("en", PHONE, "light"), ("fr", PHONE, "dark"), ("en", DESK, "dark"), ("fr", DESK, "light")],
    ids=["en-phone-light", "fr-phone-dark", "en-desk-dark", "fr-desk-light"],
)
def test_every_page_is_accessible(chromium, served, inside, told, language, size, scheme):
    kind = f"{language}-{'desk' if size is DESK else 'phone'}-{scheme}"
    with Watched(chromium, served, viewport=size, locale=language, color_scheme=scheme) as watched:
        page, found = watched.page, {}

        def look(path, name=None):
            assert page.get_attribute("html", "lang") == language, path
            assert wide(page) <= 0, path
            page.set_viewport_size({**size, "width": NARROW})
            assert wide(page) <= 0, (path, NARROW)
            assert cut(page) == [], (path, NARROW)
            page.set_viewport_size(size)
            if here := faults(page):
                found[path] = here
            if name:
                picture(page, f"{name}-{kind}")

        for path in OUTSIDE:
            page.goto(f"/me{path}")
            look(path, f"me{path.replace('/', '-')}")
        page.fill("main [name=request]", "0" * 32)
        page.click("main button")
        look("/erased, failed")
        page.goto("/me/sign-in")
        page.select_option("select[name=brand]", "aurelle")
        page.fill("input[name=address]", "nobody@example.com")
        page.click("main button")
        look("/code", "me-code")
        page.goto("/package")
        look("/package", "package")
        page.fill("main [name=code]", "A" * 43)
        page.click("main button")
        look("/package, failed")
        watched.context.add_cookies([inside])
        for path in [
            *PAGES,
            "/ask/rectification?field=name",
            "/ask/rectification?field=purchases&item=1",
            "/nowhere",
        ]:
            answer = page.goto(f"/me{path}")
            assert answer.status == (404 if path == "/nowhere" else 200), path
            look(path, PICTURES.get(path))
        page.goto("/me/held")
        page.click("#contact button")
        look("/held#contact", "me-held")
        page.goto("/me/held")
        page.click("#notes button")
        assert page.locator(
            "#notes .notice form[action='/me/ask/access'] button"
        ).is_visible()  # texts that nobody read
        look("/held#notes", None)
        page.goto("/me/requests")
        page.emulate_media(media="print")
        assert not page.locator("header nav, footer form").first.is_visible()
        assert faults(page) == []  # on paper, which is white, whatever the screen was
        picture(page, f"print-{kind}")
        page.emulate_media(media="screen", color_scheme=scheme)
        page.click("main form[action='/me/answer'] button")
        look("/answer", "me-answer")
        assert found == {}
        assert watched.unexpected() == []


@pytest.mark.usefixtures("fresh")
def test_without_script_everything_is_done(chromium, served, inside, tmp_path):
    with Watched(chromium, served, java_script_enabled=False, viewport=PHONE, locale="en") as watched:
        page = watched.page
        watched.context.add_cookies([inside])
        page.goto("/me/consents")
        before = page.locator("button", has_text="Switch off").count()
        page.locator("button", has_text="I have read the text and agree").first.click()
        assert page.locator("button", has_text="Switch off").count() == before + 1
        page.locator("button", has_text="Switch off").first.click()
        assert page.locator("button", has_text="Switch off").count() == before
        assert "It holds from this moment" in page.inner_text("[role=status]")

        page.goto("/me/preferences")
        page.check("text=Keep my gifts secret")
        page.select_option("#contact_zone", "Europe/Paris")
        page.click("text=Save")
        assert page.is_checked("text=Keep my gifts secret")
        page.fill("#begins", "2027-02-01")
        page.fill("#ends", "2027-02-20")
        page.click("main >> button:has-text('Add')")
        assert "February 20, 2027" in page.inner_text("main")
        page.click("main >> button:has-text('End')")
        assert "February 20, 2027" not in page.inner_text("main")

        for right in Right:
            page.goto(f"/me/ask/{right}")
            if right is Right.RECTIFICATION:
                page.select_option("#field", "preferred_language")
                page.click("text=Go on")
                page.fill("[name=value]", "fr")
            for box in page.locator("form [type=radio], form [name^='purpose:']").all()[:1]:
                box.check()
            page.fill("#words", "As I said in the boutique.")
            page.click("main button:has-text('Send')")
            assert "Sent. You find it below" in page.inner_text("[role=status]"), right
        page.locator("button", has_text="Take it back").first.click()
        assert "Taken back" in page.inner_text("[role=status]")

        page.goto("/me/receipts")
        with page.expect_download() as download:
            page.click("text=Take these receipts")
        names = unpacked(download.value, tmp_path)
        assert any(each.endswith(".receipt") for each in names)
        page.goto("/me/proof")
        assert "It was whole when it was last checked" in page.inner_text("main")
        with page.expect_download() as download:
            page.click("text=Take the proof")
        assert "log.vkey" in unpacked(download.value, tmp_path)
        page.goto("/me/looks")
        while "was given it" not in page.inner_text("main"):  # letters about requests of hers came since
            with page.expect_navigation():
                page.click("main a[href*='before=']")


def unpacked(download, folder):
    path = folder / download.suggested_filename
    download.save_as(path)
    with zipfile.ZipFile(path) as files:
        assert files.testzip() is None
        for name in files.namelist():
            if name.endswith(".json"):
                json.loads(files.read(name))
        return files.namelist()
