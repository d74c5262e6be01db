"""The portal: in by a code that went to an address on file, and nobody else; what a person sees and switches there."""

import io
import re
import zipfile

import pytest
from console_browser import Browser
from maison_callers import CONSENT, PERSON
from policy_officers import AUTHOR, Officers
from portal_visitor import ADDRESS, HERE, acts, code_of, listed, sent, signed_in, take
from sqlalchemy import text

from api.cli.opened import OPERATOR
from api.pages.render import HEADERS
from api.portal.site import COOKIE, ROUTES
from audit.entry import Actor, ActorKind
from vault import restrictions
from vault.erasure import requests as erasures
from vault.requests import delivering, handling
from vault.requests.states import Move, State
from vault.requests.steps import by_officer
from vault.restrictions import Ground, Lift, Restrict
from vault.signin import visitors
from vault.signin.visitors import Stage

# The wishes are values, and open with the page that changes them; of the others none shows any until it is asked.
PAGES = [
    path
    for path, (stages, get, _) in ROUTES.items()
    if get is not None and stages == {Stage.OPEN} and path != "/preferences"
]
PERSONAL = ("Rousselin", "Apolline", "+33639981234", "1984-05-17", "AU-0042")


def test_a_code_that_went_to_an_address_on_file_lets_in_and_each_step_is_a_new_session(maison, browser):
    browser.get("/me/sign-in")
    tokens = [browser.http.cookies.get(COOKIE)]
    browser.submit("/me/sign-in", brand="aurelle", address=ADDRESS)
    tokens.append(browser.http.cookies.get(COOKIE))
    browser.submit("/me/code", code=code_of(maison))
    tokens.append(browser.http.cookies.get(COOKIE))
    assert len(set(tokens)) == 3
    assert browser.get("/me").status == 200
    planted = Browser(maison.http.app)
    for token in tokens[:2]:
        planted.http.cookies.set(COOKIE, token, domain="vault.example")
        assert planted.get("/me").status == 303
        planted.http.cookies.clear()


def test_who_was_brought_in_finds_the_maison_and_what_brings_in_is_none(maison, browser):
    maison.system("migration", "group", scopes={"import"}, purposes=(), brands=("aurelle", "solenne"))
    maison.system("till", "onyx", scopes={"import"}, purposes=())
    offered = re.findall(r'<option value="([a-z-]+)"', browser.get("/me/sign-in").answer.text)
    assert {"aurelle", "solenne", "onyx"} <= set(offered)
    assert "group" not in offered
    assert browser.submit("/me/sign-in", brand="group", address=ADDRESS).status == 400
    assert browser.submit("/me/sign-in", brand="solenne", address=ADDRESS).status == 303


def test_a_stranger_hears_what_a_client_hears_and_gets_nothing(maison, browser):
    seen = set()
    for address in (ADDRESS, "nobody@example.com", "+33 6 00 00 00 00"):
        fresh = Browser(maison.http.app)
        answer = fresh.submit("/me/sign-in", brand="aurelle", address=address)
        page = fresh.get("/me/code")
        seen.add((answer.status, answer.answer.headers["location"], re.sub(r"[0-9a-f]{32,}", "", page.answer.text)))
        assert fresh.submit("/me/code", code="00000000").status == 403
        assert fresh.get("/me").status == 303
    assert len(seen) == 1


def test_guessing_codes_ends(maison, browser):
    browser.submit("/me/sign-in", brand="aurelle", address=ADDRESS)
    good = code_of(maison)
    wrong = "0" * len(good) if good != "0" * len(good) else "1" * len(good)
    for _ in range(12):
        assert browser.submit("/me/code", code=wrong).status == 403
    assert browser.submit("/me/code", code=good).status == 403
    for _ in range(10):
        last = browser.submit("/me/code", code=wrong)
    assert last.status == 429


def test_everything_else_leads_to_the_door_and_every_answer_has_the_policy(maison, browser):
    for path in ROUTES:
        answer = browser.get(f"/me{path}").answer
        assert answer.status_code in {200, 303, 405}, path
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert not re.search(r"<style|<script|\sstyle=|\son\w+=|javascript:", answer.text)
    assert browser.get("/me/nowhere").status == 404
    (line,) = Browser(maison.http.app).get("/me/sign-in").answer.headers.get_list("set-cookie")
    assert all(part in line for part in ("__Host-", "HttpOnly", "Secure", "SameSite=strict", "Path=/"))


def test_every_page_opens_in_both_languages_and_shows_no_value(maison, pos, reference):
    pos.disclose(pos.granted(reference, ("phone", "masked"), max_uses=2))
    for language in ("en", "fr"):
        browser = signed_in(maison, Browser(maison.http.app, language))
        maison.clock.advance(60)
        for path in PAGES:
            page = browser.get(f"/me{path}")
            assert page.status == 200, (path, page.text)
            assert f'<html lang="{language}">' in page.answer.text
            assert not [each for each in (*PERSONAL, reference) if each in page.answer.text], path


def test_who_looked_is_told_in_plain_words_and_the_own_look_is_an_entry(maison, pos, reference, browser):
    pos.disclose(pos.granted(reference, ("phone", "masked"), max_uses=2))
    signed_in(maison, browser)
    page = browser.get("/me/looks")
    assert "was given it" in page.text
    assert "(masked)" in page.text
    (look,) = [each for each in acts(maison, "audit.viewed") if each.get("pol") == ["audit.own"]]
    assert "sref" in look


def test_a_consent_is_switched_off_and_on_with_one_button_each(maison, pos, reference, browser):
    signed_in(maison, browser)

    def button():
        page = browser.get("/me/consents")
        return next(each["fields"] for each in page.forms if each["fields"].get("purpose") == "clienteling")

    assert button()["to"] == "off"
    assert browser.post("/me/consents", button()).status == 303
    assert pos.wish(reference, ("phone", "masked")).status_code == 400
    maison.clock.advance(1)
    assert button()["to"] == "on"
    assert browser.post("/me/consents", button()).status == 303
    maison.clock.advance(1)
    assert pos.wish(reference, ("phone", "masked")).status_code == 200
    assert [len(acts(maison, f"consent.{each}")) for each in ("withdrawn", "given")] == [1, 2]


def test_a_request_is_sent_and_followed(maison, browser):
    signed_in(maison, browser)
    sent(browser, "access", words="<script>alert(1)</script>")
    page = browser.get("/me/requests?done=sent")
    assert "Sent. You find it below" in page.text
    assert "Due" in page.text
    assert "<script>alert" not in page.answer.text
    assert browser.get("/me/ask/riches").status == 404
    assert acts(maison, "request.received")


def test_a_package_that_is_ready_is_taken_by_its_person_and_by_nobody_else(maison, pos, reference, browser):
    signed_in(maison, browser)
    sent(browser, "access", words="Everything, please.")
    (made,) = listed(maison)
    assert "Take my package" not in browser.get("/me/requests").text
    officers = Officers(maison.vault)
    by = by_officer(AUTHOR, officers.signing(AUTHOR))
    for move in (Move.COLLECT, Move.REVIEW):
        handling.advance(maison.vault, made.id, move, by)
    delivering.prepare(maison.vault, made.id, by)
    form = browser.get("/me/requests").form("request", action="/me/package")
    answer = browser.http.post("/me/package", data=form["fields"], headers=HERE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="{made.name}.zip"'
    assert answer.headers["cache-control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as package:
        assert package.testzip() is None
        assert any(b"Rousselin" in package.read(name) for name in package.namelist())
    assert [each.state for each in listed(maison)] == [State.DELIVERED]
    assert acts(maison, "subject.exported")
    # Somebody else, signed in just as well, with the number of her request.
    pos.created(PERSON | {"email": ["other@example.com"], "phone": ["+33612345678"], "client_number": "AU-7"}, CONSENT)
    other = signed_in(maison, Browser(maison.http.app), "other@example.com")
    refused = [
        take(other, path, request=each)
        for path in ("/me/package", "/me/certificate", "/me/requests/withdraw")
        for each in (made.name, "00" * 16, "x")
    ]
    assert {each.status_code for each in refused} == {404}
    assert not any(b"PK" in each.content[:2] for each in refused)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, {"Origin": None, "Sec-Fetch-Site": None}],
)
def test_a_form_from_elsewhere_or_of_another_session_does_nothing(maison, browser, headers):
    signed_in(maison, browser)
    form = browser.get("/me/ask/access").form("words")["fields"]
    for path, (stages, _, post) in ROUTES.items():
        if post is not None and Stage.OPEN in stages:
            assert browser.post(f"/me{path}", form, **headers).status == 403, path
            assert browser.post(f"/me{path}", form | {"form": "0" * 64}).status == 403, path
    assert not [
        each for each in maison.entries() if each.act.startswith(("request.rec", "consent.w", "field.w", "subject.e"))
    ]
    assert browser.get("/me").status == 200


def test_a_session_dies_with_its_person_at_once(maison, reference, browser):
    signed_in(maison, browser)
    form = browser.get("/me/consents").form("purpose")["fields"]
    token = browser.http.cookies.get(COOKIE)
    subject = erasures.behind(maison.vault, "aurelle", reference)
    erasures.erase(maison.vault, [erasures.Erase(subject, Actor(ActorKind.OFFICER, "dpo"))])
    answer = browser.get("/me/held")
    assert (answer.status, answer.answer.headers["location"]) == (303, "/me/sign-in")
    with maison.vault.reading() as conn:  # the session is gone, and not only its person
        assert conn.execute(text("SELECT count(*) FROM portal_session WHERE stage = 'open'")).scalar() == 0
    browser.http.cookies.set(COOKIE, token, domain="vault.example")
    assert browser.post("/me/consents", form).status == 403
    for path in PAGES:
        assert browser.get(f"/me{path}").status == 303, path
    assert not acts(maison, "consent.withdrawn")


def test_a_restriction_is_told_and_takes_no_right_away(maison, pos, reference, browser):
    signed_in(maison, browser)
    assert "is restricted" not in browser.get("/me").text
    officer = Actor(ActorKind.OFFICER, "dpo")
    with maison.vault.unit() as uow:
        restrictions.restrict(uow, [Restrict("aurelle", reference, Ground.ACCURACY_CONTESTED, officer)])
        uow.commit()
    for path in ("", "/held"):
        assert "is restricted" in browser.get(f"/me{path}").text
    assert "Rousselin" in browser.submit("/me/held", category="identity").text
    sent(browser, "access")
    with maison.vault.unit() as uow:
        restrictions.lift(uow, [Lift("aurelle", reference, Ground.ACCURACY_CONTESTED, officer)])
        uow.commit()
    assert "is restricted" not in browser.get("/me").text


def test_a_session_ends_with_time_and_with_the_button(maison, pos, reference, browser):
    signed_in(maison, browser)
    form = browser.get("/me").form("form", action="/me/sign-out")["fields"]
    token = browser.http.cookies.get(COOKIE)
    assert browser.post("/me/sign-out", form).status == 303
    browser.http.cookies.set(COOKIE, token, domain="vault.example")
    assert browser.get("/me").status == 303
    browser.http.cookies.clear()
    signed_in(maison, browser)
    maison.clock.advance(901)
    assert browser.get("/me").status == 303


def test_a_person_sees_the_own_sessions_and_ends_them_and_nobody_elses(maison, pos, reference, browser):
    pos.created(PERSON | {"email": ["other@example.com"], "phone": ["+33612345678"], "client_number": "AU-9"}, CONSENT)
    other = signed_in(maison, address="other@example.com")
    signed_in(maison, browser)
    lost = [signed_in(maison) for _ in range(2)]
    page = browser.get("/me/sessions")
    named = [each["fields"]["end"] for each in page.forms if each["fields"].get("end")]
    assert (len(named), page.text.count("this one")) == (2, 1)
    assert other.get("/me/sessions").answer.text.count('name="end"') == 0
    form = other.get("/me/sessions").form("form", action="/me/sign-out")["fields"]
    assert other.post("/me/sessions", form | {"end": named[0]}).status == 303
    assert [each.get("/me").status for each in lost] == [200, 200]
    assert browser.submit("/me/sessions", end=named[0]).status == 303
    assert sorted(each.get("/me").status for each in lost) == [200, 303]
    assert browser.submit("/me/sessions", end="").status == 303
    assert [each.get("/me").status for each in lost] == [303, 303]
    assert (browser.get("/me").status, other.get("/me").status) == (200, 200)
    refused = browser.post("/me/sessions", {"end": "", "form": "0" * 64})
    assert refused.status == 403


def test_with_one_session_too_many_the_persons_longest_unused_ends(maison, reference, browser):
    maison.clock.advance(60)
    signed_in(maison, browser)
    for _ in range(visitors.MOST):
        maison.clock.advance(60)
        last = signed_in(maison)
        maison.clock.advance(600)  # codes to one address are few
        last.get("/me")
    assert browser.get("/me").status == 303
    assert last.get("/me/sessions").answer.text.count("<tr>") <= 1 + visitors.MOST


def test_no_row_of_a_session_says_whose_it_is(maison, reference, browser):
    signed_in(maison, browser)
    with maison.vault.reading() as conn:
        (row,) = conn.execute(text("SELECT * FROM portal_session WHERE stage = 'open'")).all()
    told = b"".join(bytes(each) if isinstance(each, bytes | memoryview) else str(each).encode() for each in row)
    assert reference.encode() not in told
    assert visitors.holder_of(maison.vault, "aurelle", reference) in told
    assert visitors.holder_of(maison.vault, "solenne", reference) not in told


def test_an_operator_ends_one_persons_sessions_or_everybodys(maison, pos, reference, browser):
    signed_in(maison, browser)
    for holder, status in ((visitors.holder_of(maison.vault, "aurelle", "ref_" + "A" * 26), 200), (None, 303)):
        with maison.vault.unit() as uow:
            ended = visitors.end_all(uow, holder, OPERATOR)
            uow.commit()
        assert (ended > 0, browser.get("/me").status) == (status == 303, status)
    (entry,) = [each for each in acts(maison, "auth.ended") if "auth.portal" in each["pol"]]
    assert entry["n"] >= 1
