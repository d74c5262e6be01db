"""Every right asked for at the portal, followed to what it leads to; and what a form may not say."""

import io
import json
import re
import zipfile

import pytest
from console_browser import Browser
from maison_callers import CONSENT, PERSON
from policy_officers import APPROVER, AUTHOR, Officers
from portal_visitor import acts, listed, send, sent, signed_in, take

from audit.verify import main as verify
from policies.rights import Right
from vault.erasure import certificates
from vault.requests import acts as carrying
from vault.requests import content, delivering, erasing, handling
from vault.requests.records import Ground, Outcome
from vault.requests.states import Move, State
from vault.requests.steps import by_officer

SCRIPT = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://evil.example","x")'


class Office:
    """The officers who handle what comes in."""

    def __init__(self, vault):
        self.vault, self.officers = vault, Officers(vault)

    def by(self, officer=AUTHOR):
        return by_officer(officer, self.officers.signing(officer))

    def review(self, request):
        for move in (Move.COLLECT, Move.REVIEW):
            handling.advance(self.vault, request.id, move, self.by())

    def carry_out(self, request):
        match request.right:
            case Right.ACCESS | Right.PORTABILITY:
                delivering.prepare(self.vault, request.id, self.by())
            case Right.RECTIFICATION:
                carrying.rectify(self.vault, request.id, self.by())
            case Right.RESTRICTION:
                carrying.restrict(self.vault, request.id, self.by())
            case Right.ERASURE:
                erasing.check_holds(self.vault, request.id, self.by())
                erasing.rehearse(self.vault, request.id, self.by())
                erasing.approve(self.vault, request.id, self.by(APPROVER))
                erasing.execute(self.vault, request.id, self.by(), without_letter=True)
            case Right.DECISION_REVIEW | Right.COMPLAINT:
                handling.decide(
                    self.vault, request.id, self.by(), "upheld", "You are right, and we have put it in order."
                )


@pytest.fixture
def office(maison):
    return Office(maison.vault)


@pytest.mark.parametrize("right", list(Right))
def test_every_right_goes_from_its_page_to_what_it_leads_to(
    maison, pos, reference, browser, office, right, monkeypatch
):
    signed_in(maison, browser)
    before = pos.wish(reference, ("phone", "masked")).status_code
    sent(browser, right.value)
    (request,) = listed(maison)
    assert (request.right, request.source.value, request.assurance.value) == (right, "portal", "code")
    if request.is_open:
        office.review(request)
        assert "Being reviewed" in browser.get("/me/requests").text
        office.carry_out(request)
    (request,) = listed(maison)
    page = browser.get("/me/requests")
    assert request.name in page.text
    assert before == 200
    match right:
        case Right.ACCESS | Right.PORTABILITY:
            answer = take(browser, "/me/package", request=request.name)
            with zipfile.ZipFile(io.BytesIO(answer.content)) as package:
                assert package.testzip() is None
                assert ("data.json" in package.namelist()) == (right is Right.ACCESS)
        case Right.RECTIFICATION:
            assert "54 (eu)" in browser.submit("/me/held", category="measurements").text
            assert "noted by you" in browser.submit("/me/held", category="measurements").text
        case Right.RESTRICTION:
            assert "is restricted" in browser.get("/me").text
            assert pos.wish(reference, ("phone", "masked")).status_code == 400
        case Right.OBJECTION | Right.CONSENT_WITHDRAWAL:
            assert request.state is State.CLOSED
            assert pos.wish(reference, ("phone", "masked")).status_code == 400
        case Right.ERASURE:
            assert "Tastes and preferences" not in browser.get("/me/held").text
            assert "Contact details" in browser.get("/me/held").text
            assert take(browser, "/me/certificate", request=request.name).status_code == 404  # not yet
            monkeypatch.setattr(certificates, "certificate", lambda vault, erasure: f"certificate of {erasure}\n")
            assert "Take the certificate" in browser.get("/me/requests").text
            answer = take(browser, "/me/certificate", request=request.name)
            with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
                assert set(files.namelist()) == {"certificate-1.note", "certificate.vkey"}
        case Right.DECISION_REVIEW | Right.COMPLAINT:
            assert request.state is State.READY
            assert "Ready for you" in page.text


def test_a_request_is_taken_back_by_its_person(maison, browser):
    signed_in(maison, browser)
    sent(browser, "complaint")
    form = browser.get("/me/requests").form("request", action="/me/requests/withdraw")["fields"]
    assert browser.post("/me/requests/withdraw", form).answer.headers["location"] == "/me/requests?done=withdrawn"
    (request,) = listed(maison)
    assert (request.state, request.outcome) == (State.WITHDRAWN, Outcome.WITHDRAWN)
    page = browser.get("/me/requests")
    assert "Taken back by you" in page.text
    assert browser.post("/me/requests/withdraw", form).status in {409, 422}
    assert "/me/requests/withdraw" not in page.answer.text


def test_a_refusal_is_told_when_it_is_decided_and_not_while_it_is_weighed(maison, browser, office):
    signed_in(maison, browser)
    sent(browser, "access")
    (request,) = listed(maison)
    office.review(request)
    handling.propose_refusal(maison.vault, request.id, Ground.UNFOUNDED, office.by())
    page = browser.get("/me/requests").text
    assert "Being reviewed" in page
    assert "unfounded" not in page
    assert "refus" not in page.lower()
    handling.decide_refusal(maison.vault, request.id, office.by(APPROVER), confirm=True)
    page = browser.get("/me/requests").text
    assert "Manifestly unfounded or excessive" in page
    assert "supervisory authority" in page


def test_more_time_is_told_with_its_reason(maison, browser, office):
    signed_in(maison, browser)
    sent(browser, "access")
    (request,) = listed(maison)
    handling.advance(maison.vault, request.id, Move.EXTEND, office.by(), reason="many_requests")
    page = browser.get("/me/requests").text
    assert "extended" in page
    assert "(many requests)" in page


def test_an_item_of_a_list_is_corrected_by_its_number_from_where_it_is_shown(maison, browser, office):
    signed_in(maison, browser)
    shown = browser.submit("/me/held", category="contact")
    (link,) = [each for each in shown.links if each.startswith("/me/ask/rectification?field=email")]
    form = browser.get(link).form("words", "value")["fields"]
    assert browser.post("/me/ask/rectification", form | {"value": "new@example.com"}).status == 303
    (request,) = listed(maison)
    office.review(request)
    office.carry_out(request)
    assert "new@example.com" in browser.submit("/me/held", category="contact").text


# What a form says that no page of ours offers, or that is nothing of its kind.
WRONG = [
    ("access", {"key": "{"}), ("access", {"key": '"x"'}), ("access", {"key": json.dumps({"kty": "oct", "k": "c2VjcmV0"})}),
    ("access", {"key": "x" * 5000}), ("portability", {"key": json.dumps({"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "d": "c"})}),
    ("access", {"words": "x" * 4001}), ("restriction", {"ground": "restored"}), ("restriction", {"ground": SCRIPT}),
    ("objection", {"purpose:clienteling": ""}), ("consent_withdrawal", {"purpose:clienteling": "off", "purpose:riches": "on"}),
    ("decision_review", {"words": "  "}), ("complaint", {"words": ""}), ("rectification", {"value:value": SCRIPT}),
    ("rectification", {"value:value": ""}), ("rectification", {"value:system": "parsec"}),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong"), WRONG)
def test_what_a_right_does_not_take_is_told_and_sent_nowhere(maison, browser, right, wrong):
    signed_in(maison, browser)
    answer = send(browser, right, **wrong)
    assert answer.status == 422
    assert 'role="alert"' in answer.answer.text
    assert SCRIPT not in answer.answer.text
    assert listed(maison) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"field": "riches"}, {"field": SCRIPT}, {"field": "purchases"}, {"field": "purchases", "item": "0"}, {"field": "email"}, {"field": "email", "item": "x"},
        {"field": "ring_size", "item": "3"}, {"field": "email", "item": "0"},
    ],
)  # fmt: skip
def test_a_correction_of_what_cannot_be_corrected_is_no_page(maison, browser, fields):
    signed_in(maison, browser)
    answer = browser.http.get("/me/ask/rectification", params=fields)
    assert answer.status_code == 400
    assert SCRIPT not in answer.text
    form = browser.get("/me/ask/access").form("words")["fields"]
    assert browser.post("/me/ask/rectification", form | fields | {"value": "x"}).status == 400
    assert listed(maison) == []


# Each free text with something else in it; what is done at once keeps no words (its own test says so).
TEXTS = {
    "access": SCRIPT,
    "portability": FORMULA,
    "rectification": "{{ 7 * 7 }}",
    "erasure": "\u202eevil",
    "restriction": "'; DROP TABLE subject; --",
    "decision_review": "x\r\nSet-Cookie: a=b",
    "complaint": '"><img src=x onerror=alert(1)>',
}


def test_words_of_a_person_run_nowhere_and_stay_what_they_are(maison, browser, office):
    signed_in(maison, browser)
    for right, text in TEXTS.items():
        sent(browser, right, words=text)
    for path in ("/me/requests", "/me/looks", "/me/receipts", "/me"):
        answer = browser.get(path).answer
        assert not [text for text in TEXTS.values() if text in answer.text], path
        assert "49" not in re.findall(r">([^<]*)<", answer.text)
        assert "a=b" not in str(answer.headers)
    for request in listed(maison):
        assert handling.view(maison.vault, request.id, office.by())[1].words == TEXTS[request.right]
    assert not [text for text in TEXTS.values() for each in maison.entries() if text in str(each.read)]


def test_what_is_done_at_once_keeps_no_words(maison, browser):
    signed_in(maison, browser)
    for right in ("objection", "consent_withdrawal"):
        sent(browser, right, words=SCRIPT)
    assert [each.has_content for each in listed(maison)] == [False, False]
    assert SCRIPT not in browser.get("/me/requests").answer.text


def test_a_second_person_of_the_house_sees_none_of_it(maison, pos, browser):
    signed_in(maison, browser)
    sent(browser, "access", words="mine alone")
    (request,) = listed(maison)
    pos.created(PERSON | {"client_number": "AU-7", "email": ["other@example.com"], "phone": []}, CONSENT)
    other = signed_in(maison, Browser(maison.http.app), "other@example.com")
    assert request.name not in other.get("/me/requests").text
    for path in ("/me/package", "/me/certificate", "/me/requests/withdraw"):
        refused, unknown = (take(other, path, request=each) for each in (request.name, "00" * 16))
        assert (refused.status_code, unknown.status_code) == (404, 404)
    assert listed(maison)[0].is_open


def test_what_was_written_is_still_there_when_something_was_missing(maison, browser):
    signed_in(maison, browser)
    words = f"Many words, {SCRIPT} written with care."
    page = send(browser, "restriction", ground="", words=words)
    assert page.status == 422
    assert "Many words, &lt;script&gt;" in page.answer.text
    page = send(browser, "objection", words="x" * 4001)
    assert 'name="purpose:clienteling" value="on" checked' in page.answer.text


def test_a_flood_of_requests_ends(maison, browser):
    signed_in(maison, browser)
    statuses = [send(browser, "complaint", words=f"Complaint {number}").status for number in range(22)]
    assert set(statuses[:1]) == {303}
    assert len([each for each in listed(maison) if each.is_open]) <= 20
    assert len(acts(maison, "request.received")) == len(listed(maison))
    assert content.LONGEST_WORDS == 4_000  # what the page says


# ------------------------------------------------------------------------------------------------ entries of journals

BOUGHT = {"date": "2026-01-05", "family": "jewellery", "product": "Rivière", "price": {"amount": "3200.00", "currency": "EUR"},
          "for": "Capucine Delorme"}  # fmt: skip


@pytest.fixture
def entry(maison, pos, reference, browser):
    """The link from a purchase, as it is shown, to its correction."""
    described = pos.describe(reference)
    assert pos.patch(reference, {"append": {"purchases": [BOUGHT]}}, described.headers["etag"]).status_code == 200
    signed_in(maison, browser)
    shown = browser.submit("/me/held", category="purchases")
    (link,) = [each for each in shown.links if each.startswith("/me/ask/rectification?field=purchases")]
    return link


def purchases_of(pos, reference):
    return [each["value"] for each in pos.seen(reference, "purchases", purpose="legal.claims")["purchases"]]


def correct(browser, link, **more):
    form = browser.get(link).form("words", "value:date")["fields"]
    form.pop("out", None)
    return browser.post("/me/ask/rectification", form | more)


def test_one_entry_is_corrected_and_the_rest_of_it_stays(maison, pos, reference, browser, office, entry):
    page = browser.get(entry)
    assert "Rivière" not in page.text  # nothing is shown until it is asked for
    (show,) = [each for each in page.forms if "show" in each["fields"]]
    shown = browser.post("/me/ask/rectification", show["fields"])
    assert shown.status == 200
    assert "Rivière" in shown.text
    assert shown.form("words", "value:date")["fields"]["value:date"] == "2026-01-05"
    assert "Capucine" not in shown.answer.text
    assert acts(maison, "subject.exported")[-1]["fld"] == ["purchases:raw"]
    assert correct(browser, entry, **{"value:date": "2025-12-24"}).status == 303
    (request,) = listed(maison)
    assert "you contest this" in browser.submit("/me/held", category="purchases").text
    assert pos.wish(reference, ("purchases", "generalised")).status_code == 200
    token = pos.granted(reference, ("purchases", "generalised"))
    assert [each["value"] for each in pos.disclose(token).json()["fields"]] in ([None], [[]])
    office.review(request)
    office.carry_out(request)
    assert purchases_of(pos, reference) == [BOUGHT | {"date": "2025-12-24"}]
    shown = browser.submit("/me/held", category="purchases")
    assert "contest this" not in shown.text
    assert "noted by you" in shown.text


def test_an_entry_that_is_not_theirs_is_taken_out_at_the_portal(maison, pos, reference, browser, office, entry):
    assert correct(browser, entry, out="on").status == 303
    (request,) = listed(maison)
    office.review(request)
    office.carry_out(request)
    assert "Rivière" not in browser.get("/me/held").answer.text
    assert "/me/ask/rectification?field=purchases" not in str(browser.get("/me/held").links)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"value:price.amount": SCRIPT},
        {"value:date": "soon"},
        {"value:family": "spaceships"},
        {"item": "99", "out": "on"},
    ],
)
def test_what_makes_no_entry_is_sent_nowhere(maison, browser, entry, wrong):
    answer = correct(browser, entry, **wrong)
    assert answer.status == 422
    assert SCRIPT not in answer.answer.text
    assert listed(maison) == []


# ------------------------------------------------------------------------------------------- what others handed in


@pytest.mark.parametrize("right", ["access", "erasure", "rectification"])
def test_a_request_handed_in_for_a_person_waits_for_their_word(maison, pos, reference, browser, right):
    values = {"values": {"ring_size": {"value": "54", "system": "eu"}}} if right == "rectification" else {}
    body = {"reference": reference, "right": right, "requester": "agent", "mandate_hash": "ab" * 32} | values
    made = pos.send("POST", "/v1/requests", pos.service("rights.write"), body).json()
    assert made["reason"] == "need_user_verification"
    signed_in(maison, browser)
    page = browser.get("/me/requests")
    assert "act for you" in page.text
    form = page.form("request", action="/me/requests/confirm")["fields"]
    assert browser.post("/me/requests/confirm", form).answer.headers["location"] == "/me/requests?done=confirmed"
    (request,) = listed(maison)
    assert (request.state, request.assurance.value) == (State.SCOPING, "code")
    assert browser.post("/me/requests/confirm", form).status == 409


def test_who_did_not_ask_ends_it(maison, pos, reference, browser):
    body = {"reference": reference, "right": "erasure", "requester": "agent", "mandate_hash": "ab" * 32}
    name = pos.send("POST", "/v1/requests", pos.service("rights.write"), body).json()["request"]
    signed_in(maison, browser)
    form = browser.get("/me/requests").form("request", action="/me/requests/disown")["fields"]
    assert browser.post("/me/requests/disown", form).status == 303
    (request,) = listed(maison)
    assert (request.state, request.outcome) == (State.CLOSED, Outcome.UNVERIFIED)
    told = pos.send("GET", f"/v1/requests/{name}", pos.service("rights.write")).json()
    assert (told["status"], told["reason"]) == ("denied", "insuf_verification")


def test_nobody_else_confirms_or_disowns(maison, pos, reference, browser):
    body = {"reference": reference, "right": "erasure", "requester": "agent", "mandate_hash": "ab" * 32}
    name = pos.send("POST", "/v1/requests", pos.service("rights.write"), body).json()["request"]
    pos.created(PERSON | {"client_number": "AU-7", "email": ["other@example.com"], "phone": []}, CONSENT)
    other = signed_in(maison, Browser(maison.http.app), "other@example.com")
    for path in ("confirm", "disown"):
        assert take(other, f"/me/requests/{path}", request=name).status_code == 404
    assert listed(maison)[0].state is State.ACKNOWLEDGED
    # Nor is one's own that waits for nobody's word confirmed by a form made by hand.
    sent(other, "access")
    mine = next(each for each in listed(maison) if each.right is Right.ACCESS)
    assert take(other, "/me/requests/disown", request=mine.name).status_code == 409


# ------------------------------------------------------------------------------------------------ answers in words


@pytest.mark.parametrize("right", ["complaint", "decision_review"])
def test_the_answer_in_words_is_read_and_taken_along_signed(maison, browser, office, right, tmp_path):
    signed_in(maison, browser)
    sent(browser, right)
    (request,) = listed(maison)
    office.review(request)
    assert take(browser, "/me/answer", request=request.name).status_code == 409
    handling.decide(maison.vault, request.id, office.by(), "upheld", f"We were wrong {SCRIPT}, and mended it.")
    page = browser.get("/me/requests").form("request", action="/me/answer")["fields"]
    read = browser.post("/me/answer", page)
    assert "We were wrong" in read.text
    assert SCRIPT not in read.answer.text
    assert "no-store" in read.answer.headers["cache-control"]
    answer = take(browser, "/me/answer", request=request.name, take="on")
    path = tmp_path / "answer.zip"
    path.write_bytes(answer.content)
    key = maison.http.get("/audit/keys").json()["receipt"]
    assert verify(["package", str(path), "--key", key]) == 0
    with zipfile.ZipFile(path) as files:
        assert "We were wrong" in files.read("answer.txt").decode()
    assert "We were wrong" not in str(maison.entries())
    assert listed(maison)[0].state is State.DELIVERED
    handling.advance(maison.vault, request.id, Move.CLOSE, office.by())
    assert take(browser, "/me/answer", request=request.name).status_code == 409


@pytest.mark.parametrize(
    ("region", "received", "due"),
    [
        ("fr", "November 11, 2026", "December 11, 2026"),  # half past midnight in Paris
        ("gb", "November 10, 2026", "December 10, 2026"),
        ("usca", "November 10, 2026", "December 25, 2026"),
    ],
)
def test_days_are_those_of_the_place_whose_law_counts_them(maison, pos, region, received, due):
    maison.clock.advance(1_794_353_400 - maison.clock.now())  # 2026-11-10, 23:30 UTC
    pos.created(PERSON, CONSENT, region=region)
    me = signed_in(maison)
    sent(me, "access")
    page = me.get("/me/requests").text
    assert f"Received on {received}" in page
    assert f"Due on {due}" in page
