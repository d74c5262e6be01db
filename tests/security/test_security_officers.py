"""The pages by who opens them: every page and every form, with real things behind their addresses, for every role."""

import re

import pytest
from console_browser import Browser, add_officer, set_up
from maison_callers import CONSENT, PERSON
from policy_officers import AUTHOR, FILES, Officers

from api.console.site import PAGES, Door
from api.portal.site import ROUTES
from audit.entry import Act
from policies.levels import Level
from policies.model import Wanted as Field
from policies.rights import Right
from vault import evidence
from vault.failures import WINDOW_SECONDS
from vault.governance import breakglass, uploads
from vault.governance.cases import Asked
from vault.officers import Role
from vault.reports import runs, saved
from vault.requests import intake
from vault.requests.content import Content
from vault.requests.records import Source
from vault.requests.steps import by_officer
from vault.signin.visitors import Stage

# What each role may get and what it may send, beside the door. Written here a second time, on purpose.
EVERY = {"compliance", "approver", "auditor", "operator"}
HANDLE, READ = {"compliance", "approver"}, {"compliance", "auditor"}
ACT = {"compliance", "approver", "operator"}
GET = {
    "": EVERY, "/requests": HANDLE, "/requests/{id}": HANDLE, "/person": READ, "/systems": EVERY, "/systems/{id}": EVERY,
    "/purposes": EVERY, "/consents": EVERY, "/policy": EVERY, "/policy/{number}": EVERY, "/log": READ, "/log/export": READ,
    "/log/{index}": READ, "/integrity": EVERY, "/reports": READ, "/reports/{name}": READ, "/reports/{name}/files": READ,
    "/erasures": EVERY, "/budgets": EVERY, "/break-glass": EVERY, "/break-glass/{id}": EVERY, "/officers": EVERY,
    "/confirm": EVERY, "/account": EVERY, "/seal": EVERY, "/alerts": {"auditor", "compliance", "approver"},
    "/kept/{id}": READ, "/made/{id}": READ, "/policy/propose": {"compliance"}, "/policy/propose/{id}": {"compliance"},
    "/policy/{number}/files": EVERY, "/budgets/raise": ACT, "/break-glass/ask": ACT,
}  # fmt: skip
POST = {
    "/requests/{id}": HANDLE, "/person": READ, "/policy/{number}/step": {"approver"}, "/log/export": READ,
    "/integrity": EVERY, "/reports/{name}": READ, "/reports/{name}/files": READ, "/budgets/step": {"compliance", "approver", "operator"},
    "/break-glass/{id}/step": HANDLE, "/confirm": EVERY, "/sign-out": EVERY, "/account": EVERY, "/seal/step": {"compliance", "operator"},
    "/alerts/step": {"compliance", "approver"}, "/reports/{name}/keep": {"compliance"}, "/kept/{id}/step": {"compliance"},
    "/made/{id}": READ, "/policy/{number}": EVERY, "/policy/propose": {"compliance"}, "/policy/propose/{id}": {"compliance"},
    "/policy/propose/{id}/step": {"compliance"}, "/budgets/raise": ACT, "/break-glass/ask": ACT,
}  # fmt: skip


@pytest.fixture
def things(maison, pos, tmp_path):
    """What the places in addresses stand for here."""
    reference = pos.created(PERSON, CONSENT)
    signing = Officers(maison.vault)
    asked = Asked(
        "aurelle", reference, (Field("phone", Level.RAW),), AUTHOR, 15, "A reason of twenty letters, and more."
    )
    case = breakglass.ask(maison.vault, asked, AUTHOR, signing.signing(AUTHOR))
    ask = intake.Ask(reference, "aurelle", Right.ACCESS, by_officer(AUTHOR), Source.OFFICER, content=Content("words"))
    with maison.vault.unit() as uow:
        (request,) = intake.receive(uow, [ask])
        uow.commit()
    evidence.sign_checkpoints(maison.vault, maison.http.app.state.services.settings.checkpoint_file)
    kept = saved.save(maison.vault, saved.NewSaved("weekly", "access", 7, {}, 0), officer := by_officer(AUTHOR).actor)
    run = runs.queue(maison.vault, "access", saved.asked_of(kept, maison.clock.now()), officer)
    upload = uploads.keep(maison.vault, FILES, "maisons", AUTHOR)
    return {
        "/policy/propose/{id}": upload.id.hex(), "/kept/{id}": kept.id.hex(), "/made/{id}": run.id.hex(),
        "/requests/{id}": request.name, "/systems/{id}": "aurelle-pos", "/policy/{number}": "1", "/log/{index}": "0",
        "/reports/{name}": "access", "/break-glass/{id}": case.name,
    }  # fmt: skip


def filled(path, things):
    for place, value in things.items():
        if path.startswith(place):
            return f"/console{place.rpartition('/')[0]}/{value}{path.removeprefix(place)}"
    return f"/console{path}"


def csrf_of(browser):
    return {"form": re.search(r'name="form" value="([0-9a-f]+)"', browser.get("/console/account").answer.text)[1]}


def test_the_table_of_this_test_is_that_of_the_pages():
    inside = [each for each in PAGES if not isinstance(each.roles, Door)]
    assert {each.path: {role.value for role in each.roles} for each in inside if each.get} == GET
    assert {each.path: {role.value for role in each.roles} for each in inside if each.post} == POST
    assert {each.value for each in Role} == EVERY
    # What gives something out, or changes what is given out, takes an officer who has just proved to be there. To read
    # the log anew, and to keep a filter without what it finds, does neither.
    bare = {each.path for each in inside if each.post and not each.raised}
    reading = {"/integrity", "/policy/{number}", "/policy/propose/{id}", "/reports/{name}/keep", "/kept/{id}/step"}
    assert bare == {"/confirm", "/sign-out"} | reading


def test_every_page_and_every_form_asks_for_the_role(maison, things):
    """A refusal is one page for all, and an entry that names the officer."""
    for role in sorted(EVERY):
        maison.clock.advance(2 * WINDOW_SECONDS)  # failures of an address are counted anew
        browser = Browser(maison.http.app)
        set_up(browser, add_officer(maison.vault, f"{role}-1", role), maison.clock)
        refused = 0
        for path, roles in GET.items():
            page = browser.get(filled(path, things))
            assert (page.status == 403) == (role not in roles), (role, path, page.status)
            elsewhere = {
                "/policy/{number}": 404,
                "/policy/{number}/files": 404,
                "/policy/propose/{id}": 404,
                "/kept/{id}": 303,
            }  # none was ever proposed, or another officer's; to the report with its filter
            assert page.status in {200, 403, elsewhere.get(path)}, (role, path)
            refused += page.status == 403
        form = csrf_of(browser)
        for path, roles in POST.items():
            if path == "/sign-out":
                continue
            answer = browser.post(filled(path, things), form)
            told = "forbidden" in answer.text
            assert told == (role not in roles), (role, path, answer.status)
            refused += told
        # More than a few at a time are counted instead (`api.trail.tells`).
        assert bool(denied(maison, f"{role}-1")) == bool(refused), role
        assert browser.post("/console/sign-out", form).status == 303


def denied(maison, officer):
    found = [each.read for each in maison.entries() if each.act == Act.AUTH_FAILED]
    return [each for each in found if each["actor"]["id"] == officer and each["pol"] == ["auth.role"]]


def test_nobody_and_a_person_open_no_page_of_officers_and_the_other_way_round(maison, things):
    stranger, officer = Browser(maison.http.app), Browser(maison.http.app)
    set_up(officer, add_officer(maison.vault, "claire", "compliance"), maison.clock)
    for path in GET:
        page = stranger.get(filled(path, things))
        assert (page.status, page.answer.headers["location"].partition("?")[0]) == (303, "/console/sign-in"), path
    for path in POST:
        assert stranger.post(filled(path, things), {"form": "0" * 64}).status == 403, path
    for name, (stages, get, post) in ROUTES.items():
        if Stage.DOOR in stages:
            continue
        for browser in (stranger, officer):
            if get is not None:
                assert browser.get(f"/me{name}").answer.headers["location"] == "/me/sign-in", name
            if post is not None:
                assert browser.post(f"/me{name}", {"form": "0" * 64}).status == 403, name
