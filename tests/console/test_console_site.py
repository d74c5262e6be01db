"""What every request to the console passes: session, role, where its form came from, and proof of presence."""

import re
from dataclasses import replace

import pytest
from console_browser import PASSWORD, Browser, add_officer, confirm, set_up, sign_in
from maison_callers import PUBLIC
from pyotp import TOTP

from api.console.site import COOKIE, PAGES, Door
from api.pages.render import HEADERS

DOOR = ("/console/sign-in", "/console/set-up")


def entries(maison, act):
    return [each.read for each in maison.entries() if each.act == act]


def cookie_line(answer, name=COOKIE):
    return next((each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{name}=")), "")


def test_the_cookie_is_of_the_strictest_kind(browser):
    line = cookie_line(browser.get("/console/sign-in").answer)
    parts = {part.strip().lower() for part in line.split(";")[1:]}
    assert parts == {"httponly", "path=/", "samesite=strict", "secure"}
    assert COOKIE.startswith("__Host-")
    assert re.fullmatch(r"[\w-]{43}", line.partition("=")[2].partition(";")[0])


def test_every_answer_has_the_policy_and_none_is_kept(maison, browser, signed_in):
    officer = signed_in()
    for each in (*DOOR, "/console", "/console/nowhere", "/console/account", "/console/language?to=fr"):
        for visitor in (browser, officer):
            answer = visitor.get(each).answer
            for name, value in HEADERS.items():
                assert answer.headers[name] == value, each
            assert answer.headers["x-frame-options"] == "DENY"
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert not re.search(r"<style|<script(?![^>]+src=)|\sstyle=|\son\w+=|javascript:", answer.text)


def test_without_a_session_every_page_leads_to_the_door(browser):
    for page in PAGES:
        path = f"/console{page.path}".replace("{", "").replace("}", "")
        if isinstance(page.roles, Door) or page.get is None:
            continue
        answer = browser.get(f"{path}?a=b").answer
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/console/sign-in?next=/console")


def test_a_token_that_somebody_planted_is_not_the_one_that_is_signed_in(maison, browser):
    """Session fixation: neither the door's token nor a made-up one becomes a session."""
    code = add_officer(maison.vault, "claire", "compliance")
    browser.get("/console/sign-in")
    planted = browser.token
    authenticator = set_up(browser, code, maison.clock)
    first = browser.token
    assert first != planted
    attacker = Browser(maison.http.app)
    for token in (planted, "A" * 43):
        attacker.http.cookies.set(COOKIE, token, domain="vault.example")
        assert attacker.get("/console").status == 303
        attacker.http.cookies.clear()
    raised = confirm(browser, authenticator, maison.clock)
    assert raised.status == 303
    assert browser.token not in {first, planted}
    attacker.http.cookies.set(COOKIE, first, domain="vault.example")
    assert attacker.get("/console").status == 303  # the token of before the step-up is over too
    assert browser.get("/console").status == 200


def test_two_cookies_of_one_name_are_nobodys(signed_in):
    officer = signed_in()
    answer = officer.http.get("/console", headers={"Cookie": f"{COOKIE}={officer.token}; {COOKIE}={'A' * 43}"})
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": PUBLIC, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://sub.vault.example", "Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": None},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": None},
        {"Origin": f"{PUBLIC}.evil.example", "Sec-Fetch-Site": None},
        {"Origin": None, "Sec-Fetch-Site": "none"},
        {"Origin": None, "Sec-Fetch-Site": None},
    ],
)
def test_a_form_from_elsewhere_does_nothing(maison, signed_in, headers):
    officer = signed_in()
    form = officer.get("/console").form("form", action="/console/sign-out")["fields"]
    refused = officer.post("/console/sign-out", form, **headers)
    assert refused.status == 403
    assert "foreign_form" in refused.text
    assert officer.get("/console").status == 200


def test_a_form_without_this_sessions_own_value_does_nothing(maison, signed_in):
    officer, other = signed_in(), signed_in("auditor")
    theirs = other.get("/console").form("form", action="/console/sign-out")["fields"]["form"]
    for value in ("", theirs, "0" * 64, "é"):
        assert officer.post("/console/sign-out", {"form": value}).status == 403
    assert officer.post("/console/sign-out", {"other": "x"}).status == 403
    assert officer.get("/console").status == 200


def test_the_sign_in_itself_cannot_be_forged(maison, browser):
    """Login CSRF: a form that signs a victim in as somebody else needs the victim's own page."""
    add_officer(maison.vault, "claire", "compliance")
    assert browser.post("/console/sign-in", {"officer": "claire", "password": PASSWORD, "code": "1"}).status == 403
    browser.get("/console/sign-in")
    assert "stale_form" in browser.post("/console/sign-in", {"officer": "claire"}).text


def test_only_small_plain_forms_are_read(signed_in):
    officer = signed_in()
    form = officer.get("/console").form("form", action="/console/sign-out")["fields"]
    headers = {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"}
    assert officer.http.post("/console/sign-out", json=form, headers=headers).status_code == 415
    twice = f"form={form['form']}&form={form['form']}"
    plain = headers | {"Content-Type": "application/x-www-form-urlencoded"}
    assert officer.http.post("/console/sign-out", content=twice, headers=plain).status_code == 400
    assert officer.http.post("/console/sign-out", content="a" * 200_000, headers=plain).status_code == 413
    assert officer.http.put("/console/sign-out").status_code == 405
    assert officer.get("/console").status == 200


def test_signing_out_ends_the_session_on_the_server(maison, signed_in):
    officer = signed_in()
    token = officer.token
    form = officer.get("/console").form("form", action="/console/sign-out")["fields"]
    assert officer.post("/console/sign-out", form).answer.headers["location"] == "/console/sign-in"
    officer.http.cookies.set(COOKIE, token, domain="vault.example")
    assert officer.get("/console").status == 303
    assert len(entries(maison, "auth.ended")) == 1


def test_a_session_that_is_not_used_is_over_and_its_forms_do_nothing(maison, signed_in):
    officer = signed_in()
    form = officer.get("/console").form("form", action="/console/sign-out")["fields"]
    maison.clock.advance(901)
    assert officer.get("/console").status == 303
    officer = signed_in(officer_id="claire-2")
    form = officer.get("/console").form("form", action="/console/sign-out")["fields"]
    maison.clock.advance(901)
    refused = officer.post("/console/sign-out", form)
    assert (refused.status, "session_over" in refused.text) == (403, True)


def test_every_failure_at_the_door_is_answered_alike_and_is_in_the_log(maison, signed_in, browser):
    officer = signed_in(officer_id="claire")
    code = officer.authenticator.at(maison.clock.now() + 30)
    maison.clock.advance(30)
    tries = (
        {"officer": "claire", "password": "wrong passphrase", "code": code},
        {"officer": "claire", "password": PASSWORD, "code": "000000"},
        {"officer": "nobody", "password": PASSWORD, "code": code},
        {"officer": "founder-author", "password": PASSWORD, "code": code},
        {"officer": "", "password": "", "code": ""},
        {"officer": "claire", "password": PASSWORD * 100, "code": code},
    )
    seen = set()
    for each in tries:
        page = browser.submit("/console/sign-in", **each)
        assert page.status == 403
        seen.add(re.sub(r"[0-9a-f]{32,}|challenge[^,]+", "", page.answer.text))
    assert len(seen) == 1
    failed = entries(maison, "auth.failed")
    assert len(failed) == len(tries)
    assert {each["actor"]["id"] for each in failed} == {"unknown"}
    assert sign_in(browser, "claire", officer.authenticator, maison.clock).status == 303
    (*_, success) = entries(maison, "auth.succeeded")
    assert (success["actor"], success["pol"]) == ({"id": "claire", "k": "officer"}, ["auth.code"])


def test_an_address_may_try_so_often_and_no_more(maison, browser):
    code = add_officer(maison.vault, "claire", "compliance")
    for _ in range(20):
        assert browser.submit("/console/set-up", code="AAAAA-AAAAA").status == 403
    assert browser.submit("/console/set-up", code=code).status == 429
    maison.clock.advance(300)
    assert browser.submit("/console/set-up", code=code).status == 303


def test_nobody_is_sent_anywhere_else(maison, signed_in, browser):
    officer = signed_in(officer_id="claire")
    for onward in (
        "https://evil.example",
        "//evil.example",
        "/consoled",
        "/console//evil.example",
        "/console\\evil",
        "/v1",
    ):
        page = browser.get("/console/sign-in?next=" + onward)
        assert page.form("next", "officer")["fields"]["next"] == "/console"
        location = browser.get(f"/console/language?to=fr&next={onward}").answer.headers["location"]
        assert location == "/console"
    form = browser.get("/console/sign-in").form("officer")["fields"]
    maison.clock.advance(30)
    fields = {"officer": "claire", "password": PASSWORD, "code": officer.authenticator.at(maison.clock.now())}
    done = browser.post("/console/sign-in", form | fields | {"next": "https://evil.example/console"})
    assert done.answer.headers["location"] == "/console"


def test_a_role_opens_its_pages_and_no_others(maison, signed_in):
    """The whole matrix: every page with every role, by the table in the code and by what is answered."""
    for role in ("compliance", "auditor", "operator", "approver"):
        officer = signed_in(role)
        for page in PAGES:
            if isinstance(page.roles, Door) or page.get is None or "{" in page.path:
                continue
            answer = officer.get(f"/console{page.path}")
            allowed = role in {each.value for each in page.roles}
            assert answer.status == (200 if allowed else 403), (page.path, role)
            assert ("forbidden" in answer.text) == (not allowed)
        for page in PAGES:
            if isinstance(page.roles, Door) or page.post is None or role in {each.value for each in page.roles}:
                continue
            token = officer.get("/console/account").form("form", action="/console/sign-out")["fields"]["form"]
            path = f"/console{page.path}".replace("{", "").replace("}", "")
            assert officer.post(path, {"form": token}).status == 403, (page.path, role)


def test_a_disabled_officer_is_out_at_the_next_click(maison, signed_in):
    from api.cli.opened import OPERATOR
    from vault import officers

    officer = signed_in(officer_id="claire")
    with maison.vault.unit() as uow:
        officers.disable(uow, "claire", OPERATOR)
        uow.commit()
    assert officer.get("/console").status == 303


def test_what_is_free_text_is_escaped(maison, signed_in):
    """The one text an officer writes freely is the name of a passkey."""
    from vault.signin import passkeys

    officer = signed_in(officer_id="claire")
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}'
    with maison.vault.unit() as uow:
        passkeys.add(uow, "claire", b"id-1", b"key", 0, evil)
        uow.commit()
    shown = officer.get("/console/account").answer.text
    assert "<script>alert" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert "49" not in re.findall(r"&lt;script.*", shown)[0]


def test_removing_or_adding_a_way_in_takes_presence(maison, signed_in):
    from vault.signin import passkeys

    officer = signed_in(officer_id="claire")
    with maison.vault.unit() as uow:
        passkeys.add(uow, "claire", b"id-1", b"key", 0, "desk")
        uow.commit()
    maison.clock.advance(301)
    gone = officer.submit("/console/account", remove=b"id-1".hex())
    assert gone.answer.headers["location"] == "/console/confirm?next=/console/account"
    with maison.vault.reading() as conn:
        assert passkeys.of(conn, "claire")
    assert confirm(officer, officer.authenticator, maison.clock).status == 303
    assert officer.submit("/console/account", remove=b"id-1".hex()).answer.headers["location"] == "/console/account"
    with maison.vault.reading() as conn:
        assert passkeys.of(conn, "claire") == []
    assert len(entries(maison, "officer.credential_removed")) == 1


def test_an_officer_changes_the_password_and_is_alone_afterwards(maison, signed_in):
    officer = signed_in(officer_id="claire")
    other = Browser(maison.http.app)
    assert sign_in(other, "claire", officer.authenticator, maison.clock).status == 303
    fresh = "seven lamps by the quay"
    for old, new, status in (
        ("wrong passphrase", fresh, 403), ("", fresh, 403), ("x" * 2000, fresh, 403), (PASSWORD, "short", 422),
        (PASSWORD, "passwordpassword", 422), (PASSWORD, "Claire Aurelle!", 422), (PASSWORD, "", 422),
    ):  # fmt: skip
        page = officer.submit("/console/account", old=old, new=new)
        assert (page.status, fresh in page.answer.text) == (status, False), new
        assert "notice bad" in page.answer.text
    assert other.get("/console").status == 200
    assert [each["pol"] for each in entries(maison, "auth.failed")] == [["auth.password"]] * 3
    copied = officer.token
    done = officer.submit("/console/account", old=PASSWORD, new=fresh)
    assert officer.token != copied
    assert done.answer.headers["location"] == "/console/account?done=password"
    assert "is changed" in officer.get("/console/account?done=password").text
    assert other.get("/console").status == 303
    (entry,) = entries(maison, "officer.credential_changed")
    assert entry["actor"] == {"id": "claire", "k": "officer"}
    assert sign_in(other, "claire", officer.authenticator, maison.clock).status == 403
    maison.clock.advance(30)
    code = officer.authenticator.at(maison.clock.now())
    assert other.submit("/console/sign-in", officer="claire", password=fresh, code=code).status == 303


def test_the_password_changes_for_who_is_there_and_has_one(maison, signed_in):
    from vault.signin import passkeys

    officer = signed_in(officer_id="claire")
    maison.clock.advance(301)
    form = officer.get("/console/account").form("form", action="/console/sign-out")["fields"]
    asked = officer.post("/console/account", form | {"old": PASSWORD, "new": "seven lamps by the quay"})
    assert asked.answer.headers["location"] == "/console/confirm?next=/console/account"
    assert not entries(maison, "officer.credential_changed")
    keyed = add_officer(maison.vault, "ines", "auditor")
    with maison.vault.unit() as uow:
        passkeys.add(uow, "ines", b"id-9", b"key", 0, "desk")
        uow.commit()
    assert keyed
    assert "another-password" in officer.get("/console/account").answer.text


def test_an_officer_sees_the_own_sessions_and_ends_them(maison, signed_in):
    officer, auditor = signed_in(officer_id="claire"), signed_in("auditor")
    others = [Browser(maison.http.app) for _ in range(2)]
    for each in others:
        assert sign_in(each, "claire", officer.authenticator, maison.clock).status == 303
    page = officer.get("/console/account")
    named = [each["fields"]["end"] for each in page.forms if "end" in each["fields"]]
    assert (len(named), named[-1], page.text.count("this one")) == (3, "others", 1)
    assert officer.token not in page.answer.text
    assert (
        auditor.post(
            "/console/account", auditor.get("/console/account").form("form")["fields"] | {"end": named[0]}
        ).status
        == 303
    )
    assert others[1].get("/console").status == 200  # another officer's name for it does nothing
    assert officer.submit("/console/account", end=named[0]).status == 303
    assert [each.get("/console").status for each in others] == [200, 303]  # the one used last stood first
    maison.clock.advance(301)
    form = officer.get("/console/account").form("end")["fields"]
    assert (
        officer.post("/console/account", form | {"end": "others"})
        .answer.headers["location"]
        .startswith("/console/confirm")
    )
    assert others[0].get("/console").status == 200
    assert confirm(officer, officer.authenticator, maison.clock).status == 303
    copied = Browser(maison.http.app)
    copied.http.cookies.set(COOKIE, officer.token, domain="vault.example")
    assert copied.get("/console").status == 200
    assert officer.submit("/console/account", end="others").status == 303
    assert copied.get("/console").status == 303  # a copy of this very token goes too
    assert others[0].get("/console").status == 303
    assert (officer.get("/console").status, auditor.get("/console").status) == (200, 200)
    assert "others" not in [each["fields"].get("end") for each in officer.get("/console/account").forms]


def test_an_officer_is_told_of_tries_and_changes_until_they_were_seen(maison, signed_in, browser):
    officer = signed_in(officer_id="claire")
    assert officer.submit("/console/account", seen="on").status == 303
    for _ in range(2):
        browser.submit("/console/sign-in", officer="claire", password=PASSWORD, code="000000")
    browser.submit("/console/sign-in", officer="claire", password="wrong passphrase", code="000000")
    maison.clock.advance(60)
    assert "somebody tried them" in officer.get("/console").text
    assert "see your ways in" in officer.get("/console/systems").text
    page = officer.get("/console/account")
    assert "Your password was right, and the code was not : 2 times" in page.text.replace(" :", " :")
    assert "A try in your name failed : 1 time" in page.text
    assert "tried" not in browser.get("/console/sign-in").text  # it is told to nobody else
    later = Browser(maison.http.app)
    assert sign_in(later, "claire", officer.authenticator, maison.clock).status == 303
    assert "Signed in before this on" in later.get("/console/account").text
    assert later.submit("/console/account", seen="on").status == 303
    assert "see your ways in" not in officer.get("/console/systems").text


def test_a_passkey_that_answers_wrongly_is_told_to_its_officer(maison, signed_in):
    from base64 import urlsafe_b64encode

    from vault.signin import news, passkeys

    officer = signed_in(officer_id="claire")
    with maison.vault.unit() as uow:
        passkeys.add(uow, "claire", b"id-1", b"key", 0, "desk")
        news.seen(uow, "claire")
        uow.commit()
    name = urlsafe_b64encode(b"id-1").rstrip(b"=").decode()
    data = urlsafe_b64encode(b"{}").rstrip(b"=").decode()
    answer = (
        f'{{"id":"{name}","rawId":"{name}","type":"public-key","response":'
        f'{{"clientDataJSON":"{data}","authenticatorData":"{data}","signature":"{data}"}}}}'
    )
    refused = Browser(maison.http.app).submit("/console/sign-in", answer=answer)
    assert refused.status == 403
    assert "A try in your name failed" in officer.get("/console/account").text


def test_where_passkeys_alone_count_no_password_is_offered_or_taken(maison, signed_in, browser):
    from vault.signin import passkeys

    officer = signed_in(officer_id="claire")
    services = maison.http.app.state.services
    only = services.settings.model_copy(update={"console_passkeys_only": True})
    maison.http.app.state.services = replace(services, settings=only)
    for path in ("/console/sign-in", "/console/confirm"):
        page = (browser if path.endswith("in") else officer).get(path)
        assert 'type="password"' not in page.answer.text
        assert page.form("answer")
    assert "another-password" not in officer.get("/console/account").answer.text
    maison.clock.advance(30)
    form = browser.get("/console/sign-in").form("answer")["fields"]
    del form["answer"]
    right = {"officer": "claire", "password": PASSWORD, "code": officer.authenticator.at(maison.clock.now())}
    assert browser.post("/console/sign-in", form | right).status == 403
    csrf = officer.get("/console/account").form("form", action="/console/sign-out")["fields"]
    changed = officer.post("/console/account", csrf | {"old": PASSWORD, "new": "seven lamps by the quay"})
    assert (changed.status, entries(maison, "officer.credential_changed")) == (422, [])
    fresh = Browser(maison.http.app)
    fresh.submit("/console/set-up", code=add_officer(maison.vault, "ines", "auditor"))
    page = fresh.get("/console/set-up")
    assert 'type="password"' not in page.answer.text
    (spelt,) = re.findall(r'<code class="secret">([A-Z2-7 ]+)</code>', page.answer.text) or [""]
    assert not spelt
    code = {"password": PASSWORD, "code": "123456"}
    del (form := page.form("answer")["fields"])["answer"]
    assert fresh.post("/console/set-up", form | code).status == 422
    with maison.vault.unit() as uow:
        passkeys.add(uow, "claire", b"id-1", b"key", 0, "desk")
        uow.commit()
    last = officer.submit("/console/account", remove=b"id-1".hex())
    assert (last.status, "only way in" in last.text) == (422, True)


def test_a_set_up_says_what_is_wrong_with_a_password(maison, browser):
    code = add_officer(maison.vault, "claire", "compliance")
    browser.submit("/console/set-up", code=code)
    page = browser.get("/console/set-up")
    (spelt,) = re.findall(r'<code class="secret">([A-Z2-7 ]+)</code>', page.answer.text)
    now = TOTP(spelt.replace(" ", "")).at(maison.clock.now())
    for password, told in (
        ("short", "twelve characters"), ("passwordpassword", "guessed first"), ("claire at Aurelle", "do not count"),
        ("x" * 1025, "too long"),
    ):  # fmt: skip
        answer = browser.post(
            "/console/set-up", page.form("password", "code")["fields"] | {"password": password, "code": now}
        )
        assert (answer.status, told in answer.text) == (422, True), password
    answer = browser.post(
        "/console/set-up", page.form("password", "code")["fields"] | {"password": PASSWORD, "code": "000000"}
    )
    assert (answer.status, "authenticator shows now" in answer.text) == (422, True)


def test_the_pages_come_in_the_readers_language(browser):
    for accepted, expected in (
        ("fr-CH, fr;q=0.9, en;q=0.5", "fr"),
        ("de", "en"),
        ("en-GB", "en"),
        ("", "en"),
        ("fr;q=0", "en"),
    ):
        page = browser.get("/console/sign-in", **{"Accept-Language": accepted})
        assert f'<html lang="{expected}">' in page.answer.text
    browser.get("/console/language?to=fr&next=/console/sign-in")
    assert '<html lang="fr">' in browser.get("/console/sign-in").answer.text


def test_a_sealed_vault_still_shows_its_door(maison, browser, signed_in):
    officer = signed_in(officer_id="claire")
    vault = maison.vault
    sealing = maison.http.app.state.services.sealing
    from api import roots

    roots.seal_mark(maison.http.app.state.services.settings).set()
    sealing.look()
    assert not sealing.open
    assert browser.get("/console/sign-in").status == 200
    page = sign_in(browser, "claire", officer.authenticator, maison.clock)
    assert (page.status, "sealed" in page.text) == (503, True)
    assert officer.get("/console").status == 200
    assert vault.keys.status().state == "sealed"
