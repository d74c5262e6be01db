"""The portal: in by a code that went to an address on file, and nobody else; what a person sees and switches there."""

import io
import re
import zipfile

import pytest
from console_browser import PUBLIC, Browser
from maison_callers import CONSENT, PERSON
from policy_officers import AUTHOR, Officers

from api.pages.render import HEADERS
from api.portal.site import COOKIE, ROUTES
from vault import evidence
from vault.requests import delivering, handling, letters, records
from vault.requests.records import Wanted
from vault.requests.states import Move, State
from vault.requests.steps import by_officer

ADDRESS = "Apolline.Rousselin@example.com"
HERE = {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"}
PERSONAL = ("Rousselin", "Apolline", "+33639981234", "1984-05-17", "AU-0042")


def code_of(maison):
    found = [each for each in letters.claim(maison.vault, 50) if each.kind is letters.LetterKind.CODE]
    return found[-1].words["code"] if found else None


def signed_in(maison, browser, address=ADDRESS):
    asked = browser.submit("/me/sign-in", brand="aurelle", address=address)
    assert asked.answer.headers["location"] == "/me/code"
    done = browser.submit("/me/code", code=code_of(maison))
    assert done.answer.headers["location"] == "/me", done.text
    return browser


def acts(maison, act):
    return [each.read for each in maison.entries() if each.act == act]


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
        for path in ("", "/looks", "/consents", "/requests", "/proof"):
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
    sent = browser.submit("/me/requests", right="access", words="<script>alert(1)</script>")
    assert sent.answer.headers["location"] == "/me/requests"
    page = browser.get("/me/requests")
    assert "Access" in page.text
    assert "Due" in page.text
    assert "<script>alert" not in page.answer.text
    assert browser.submit("/me/requests", right="riches").status == 400
    assert acts(maison, "request.received")


def test_a_package_that_is_ready_is_taken_by_its_person_and_by_nobody_else(maison, pos, reference, browser):
    signed_in(maison, browser)
    browser.submit("/me/requests", right="access", words="Everything, please.")
    (made,) = listed(maison)
    assert "Take my package" not in browser.get("/me/requests").text
    officers = Officers(maison.vault)
    by = by_officer(AUTHOR, officers.signing(AUTHOR))
    for move in (Move.COLLECT, Move.REVIEW):
        handling.advance(maison.vault, made.id, move, by)
    delivering.prepare(maison.vault, made.id, by)
    (form,) = [each for each in browser.get("/me/requests").forms if each["action"] == "/me/package"]
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
    fields = other.get("/me/requests").form("right")["fields"] | {"request": made.name}
    refused = [
        other.http.post("/me/package", data=fields | {"request": each}, headers=HERE)
        for each in (made.name, "00" * 16, "x")
    ]
    assert {each.status_code for each in refused} == {404}
    assert not any(b"PK" in each.content[:2] for each in refused)


def listed(maison):
    with maison.vault.reading() as conn:
        return records.listed(conn, Wanted())


def test_the_log_is_checked_before_the_persons_eyes(maison, browser):
    signed_in(maison, browser)
    evidence.sign_checkpoints(maison.vault, maison.http.app.state.services.settings.checkpoint_file)
    assert "It is whole" not in browser.get("/me/proof").text
    assert "It is whole" in browser.submit("/me/proof").text


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, {"Origin": None, "Sec-Fetch-Site": None}],
)
def test_a_form_from_elsewhere_or_of_another_session_does_nothing(maison, browser, headers):
    signed_in(maison, browser)
    form = browser.get("/me/requests").form("right")["fields"] | {"right": "access"}
    assert browser.post("/me/requests", form, **headers).status == 403
    assert browser.post("/me/requests", form | {"form": "0" * 64}).status == 403
    assert not acts(maison, "request.received")
    assert browser.get("/me").status == 200


def test_a_session_ends_with_time_with_the_button_and_with_the_person(maison, pos, reference, browser):
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
