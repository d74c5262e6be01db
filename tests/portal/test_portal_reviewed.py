"""Texts that staff wrote, as their person meets them: that there are some, that an officer reads them, a button, and then the texts."""

import pytest
from console_browser import Browser
from maison_callers import CONSENT, PERSON
from policy_officers import AUTHOR, Officers
from portal_visitor import acts, listed, signed_in

from policies.rights import Right
from vault.requests import delivering, handling, withholding
from vault.requests.records import Ground
from vault.requests.states import Move
from vault.requests.steps import by_officer

CONFIDED, WORK, DOOR = "her brother is ill <b>", "her brother scratched it", "her brother opens the door"
HELD = {
    "advisor_notes": [
        {"date": "2026-01-05", "topic": "family", "text": CONFIDED, "advisor": "adv-7781"},
        {"date": "2026-01-06", "topic": "taste", "text": "her brother likes <i>it", "advisor": "adv-7781"},
    ],
    "repairs": [{"opened": "2026-01-05", "status": "in_work", "product": "Ring", "work": WORK}],
    "delivery_instructions": DOOR,
    "client_number": "AU-88",
    "email": ["texts@example.com"],
    "phone": [],
}
KINDS = {"notes": "advisor_notes", "service": "repairs", "address": "delivery_instructions"}


@pytest.fixture
def me(maison, pos):
    pos.created(PERSON | HELD, CONSENT)
    return signed_in(maison, Browser(maison.http.app), "texts@example.com")


@pytest.fixture
def officer(maison):
    return by_officer(AUTHOR, Officers(maison.vault).signing(AUTHOR))


def opened(me, category):
    return me.submit("/me/held", category=category)


def under_review(maison, officer):
    (request,) = [each for each in listed(maison) if each.right is Right.ACCESS]
    for move in (Move.COLLECT, Move.REVIEW):
        handling.advance(maison.vault, request.id, move, officer)
    return request


def button(page, category):
    """The fields of the button that asks for a copy of a category; None where there is none."""
    named = f"category:{category}"
    return next(
        (each["fields"] for each in page.forms if each["action"] == "/me/ask/access" and named in each["fields"]), None
    )


@pytest.mark.parametrize("category", KINDS)
def test_a_text_that_nobody_read_is_in_no_page_and_the_page_says_so(maison, me, category):
    page = opened(me, category)
    assert "brother" not in page.answer.text
    assert ("2 texts that staff" if category == "notes" else "1 text that staff") in page.text
    assert "what is written here is read by an officer before it is given" in page.text
    if category != "address":
        assert "2026" in page.text  # the rest of the entry is given
    (link,) = [each for each in page.links if f"field={KINDS[category]}" in each][:1]
    form = next(each for each in me.get(link).forms if "show" in each["fields"])
    shown = me.post("/me/ask/rectification", form["fields"])
    assert "brother" not in shown.answer.text
    assert shown.status == 200
    assert ("An officer reads this before" in shown.text) is (category == "address")
    assert shown.form("words")  # it can be told anew, unseen
    assert all("brother" not in str(each.read) for each in maison.entries())


def test_it_is_said_in_french(maison, me):
    page = opened(signed_in(maison, Browser(maison.http.app, "fr"), "texts@example.com"), "notes")
    assert "2 textes écrits par le personnel de la maison ne sont pas encore montrés ici" in page.text
    assert "Demander une copie de ceci" in page.text
    assert "brother" not in page.answer.text


def test_nothing_is_said_where_there_is_nothing_to_read(me):
    page = opened(me, "contact")
    assert "that staff" not in page.text
    assert button(page, "contact") is None


def test_one_press_asks_for_a_copy_and_what_was_read_for_it_is_shown(maison, me, officer):
    form = button(opened(me, "notes"), "notes")
    asked = me.post("/me/ask/access", form)
    assert asked.answer.headers["location"] == "/me/requests?done=sent"
    page = opened(me, "notes")
    assert "You have asked for a copy" in page.text
    assert button(page, "notes") is None
    assert button(opened(me, "service"), "service")  # that is another
    request = under_review(maison, officer)
    assert request.names == ("notes",)
    found = {each.text: each for each in withholding.texts(maison.vault, request.id, officer)}
    withholding.withhold(
        maison.vault, request.id, "advisor_notes", found[CONFIDED].item, Ground.RIGHTS_OF_OTHERS, officer
    )
    assert "brother" not in opened(me, "notes").answer.text
    delivering.prepare(maison.vault, request.id, officer)
    page = opened(me, "notes")
    assert "her brother likes &lt;i&gt;it" in page.answer.text
    assert "ill" not in page.text.split()
    assert "kept back, on this ground: Rights of others" in page.text
    assert "that staff" not in page.text
    assert "brother" not in opened(me, "service").answer.text
    assert all("brother" not in str(each) for each in acts(maison, "request.advanced"))


def test_a_text_that_changed_is_out_of_the_page_again(maison, pos, me, officer):
    me.post("/me/ask/access", button(opened(me, "address"), "address"))
    request = under_review(maison, officer)
    withholding.texts(maison.vault, request.id, officer)
    delivering.prepare(maison.vault, request.id, officer)
    assert DOOR in opened(me, "address").text
    reference = pos.search("client_number", "AU-88").json()["candidates"][0]["reference"]
    change = {"set": {"delivery_instructions": "her other brother"}}
    assert pos.patch(reference, change, pos.describe(reference).headers["etag"]).status_code == 200
    page = opened(me, "address")
    assert "brother" not in page.answer.text
    assert "1 text that staff" in page.text
