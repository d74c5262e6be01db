"""What is held and what is wished: no value before it is asked for, each look on record, nobody else's, nothing that runs."""

import pytest
from console_browser import Browser
from maison_callers import CONSENT, PERSON
from portal_visitor import acts, signed_in

from api.pages.language import language
from api.pages.telling import told
from api.portal import site
from vault.requests.revealing import REVEALED

SCRIPT = "<script>alert(1)</script>"
VALUES = ("Rousselin", "Apolline", "+33639981234", "AU-0042")


def revealed(maison):
    return [each for each in acts(maison, "subject.exported") if REVEALED in each["pol"]]


def test_categories_come_first_and_one_opens_when_asked_and_is_on_record(maison, pos, browser):
    signed_in(maison, browser)
    page = browser.get("/me/held")
    assert "Contact details" in page.text
    assert not [each for each in VALUES if each in page.answer.text]
    assert revealed(maison) == []
    shown = browser.submit("/me/held", category="contact")
    assert "+33639981234" in shown.text
    assert "aurelle-pos" in shown.text  # who noted it
    assert "Rousselin" not in shown.text.replace("Apolline.Rousselin@example.com", "")
    (entry,) = revealed(maison)
    assert {each.split(":")[0] for each in entry["fld"]} >= {"phone", "email"}
    assert entry["actor"]["via"] == "portal"
    assert not [each for each in VALUES if each in str(entry)]
    assert "Own data opened" in browser.get("/me/receipts").text  # her own look is hers, and told as such
    assert "Own data opened" not in browser.get("/me/looks").text


def test_a_category_there_is_not_opens_nothing(maison, pos, browser):
    signed_in(maison, browser)
    form = browser.get("/me/held").form("category")["fields"]
    for name in ("", "nothing", "../identity", "identity' OR 1=1 --", SCRIPT):
        answer = browser.post("/me/held", form | {"category": name})
        assert answer.status == 400
        assert SCRIPT not in answer.answer.text
    assert revealed(maison) == []


def test_what_another_house_holds_is_neither_shown_nor_told_and_houses_are_named(maison, pos, sister, browser):
    sister.created(
        PERSON | {"client_number": "VA-SECRET", "phone": ["+33612345678"], "allergies": [{"family": "metal"}]}
    )
    signed_in(maison, browser)
    page = browser.get("/me/held")
    assert "Aurelle SA" in page.text
    assert "told there, to a code that they send: Vantier SA" in page.text
    assert "Allergies" not in page.text
    assert "VA-SECRET" not in browser.submit("/me/held", category="identity").text


def test_text_that_a_system_wrote_runs_nowhere(maison, pos, browser):
    pos.created(
        PERSON | {"name": {"family": SCRIPT, "given": '"><img src=x onerror=alert(1)>'}, "email": ["evil@example.com"], "phone": []},
        CONSENT,
    )  # fmt: skip
    signed_in(maison, browser, "evil@example.com")
    page = browser.submit("/me/held", category="identity")
    assert "&lt;script&gt;" in page.answer.text
    assert SCRIPT not in page.answer.text
    assert "<img" not in page.answer.text


def test_opening_again_and_again_ends(maison, pos, browser, monkeypatch):
    monkeypatch.setattr(site, "MOST_ACTS", 2)
    signed_in(maison, browser)
    form = browser.get("/me/held").form("category")["fields"]
    assert [browser.post("/me/held", form).status for _ in range(3)] == [200, 200, 429]
    other = signed_in(maison, Browser(maison.http.app))  # the same person once more: the same count
    assert other.submit("/me/held", category="contact").status == 429


@pytest.mark.parametrize("tag", ["en", "fr"])
def test_every_choice_of_the_catalogue_and_each_kind_of_value_has_words(bundle, tag):
    spoken = language(tag)
    codes = {"eu", "us", "uk", "jp", "cn", "mm", "cm", "in", "fr", "it", "letter"}
    for of in bundle.catalogue.fields.values():
        for each in of.choices if of.type != "measurement" else ():
            shape = {"choice": each, "purchase": {"family": each}, "address": {"use": each}, "repair": {"status": each},
                     "note": {"topic": each}, "important_date": {"occasion": each}, "visit": {"occasion": each},
                     "household_link": {"relation": each}, "allergy": {"family": each}}[of.type]  # fmt: skip
            text = told(spoken, of.type, shape)
            assert "_" not in text, each
            assert tag == "en" or text != each.replace("_", " ") or each in codes, each
    fields = bundle.catalogue.fields
    assert (
        told(spoken, fields["name"].type, {"family": "Dupont", "given": "Anne", "salutation": "Madame"})
        == "Madame Anne Dupont"
    )
    assert told(spoken, fields["residence_country"].type, "CH") == {"en": "Switzerland", "fr": "Suisse"}[tag]
    assert told(spoken, fields["preferred_language"].type, "it") == {"en": "Italian", "fr": "italien"}[tag]
    assert told(spoken, fields["birth_date"].type, "1984-05-17") == {"en": "May 17, 1984", "fr": "17 mai 1984"}[tag]
    assert told(spoken, fields["identity_verified"].type, value=True) == {"en": "yes", "fr": "oui"}[tag]
    assert "3" in told(spoken, fields["lifetime_spend"].type, {"amount": "3200.00", "currency": "EUR"})


def test_wishes_are_saved_shown_and_cleared(maison, pos, browser):
    signed_in(maison, browser)

    def form():
        return {
            name: value
            for name, value in browser.get("/me/preferences").form("contact_zone")["fields"].items()
            if ":" not in name
        }

    wanted = {
        "contact_channel:letter": "on",
        "discretion:gifts_kept_secret": "on",
        "contact_zone": "Asia/Tokyo",
        "preferred_language": "it",
    }
    answer = browser.post("/me/preferences", form() | wanted)
    assert answer.answer.headers["location"] == "/me/preferences?done=wishes"
    page = browser.get("/me/preferences?done=wishes").answer.text
    assert "Saved. The house goes by it" in page
    assert page.count(" checked>") == 2
    assert '<option value="Asia/Tokyo" selected>' in page
    written = len(acts(maison, "field.written"))
    assert browser.post("/me/preferences", form() | wanted).status == 303
    assert len(acts(maison, "field.written")) == written  # the same again writes nothing
    assert browser.post("/me/preferences", form() | {"contact_zone": "", "preferred_language": ""}).status == 303
    assert " checked>" not in browser.get("/me/preferences").answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"contact_zone": "Mars/Olympus"},
        {"contact_zone": SCRIPT},
        {"preferred_language": SCRIPT},
        {"preferred_language": "x" * 5000},
    ],
)
def test_what_is_no_wish_is_refused_and_changes_nothing(maison, pos, browser, wrong):
    signed_in(maison, browser)
    fields = browser.get("/me/preferences").form("contact_zone")["fields"]
    answer = browser.post("/me/preferences", {name: value for name, value in fields.items() if ":" not in name} | wrong)
    assert answer.status in {400, 422}
    assert SCRIPT not in answer.answer.text
    assert not acts(maison, "field.written")


def test_quiet_times_are_added_and_ended(maison, pos, browser):
    signed_in(maison, browser)

    def add(**days):
        return browser.post("/me/preferences/silence", browser.get("/me/preferences").form("begins")["fields"] | days)

    for days in (
        {"begins": "x", "ends": "y"},
        {"begins": "2027-02-30", "ends": "2027-03-01"},
        {"begins": "2027-02-02", "ends": "2027-02-01"},
    ):
        assert add(**days).status == 422, days
    assert add(begins="2027-02-01", ends="2027-02-20").status == 303
    page = browser.get("/me/preferences")
    assert "from February 1, 2027 until February 20, 2027" in page.text
    form = page.form("item")["fields"]
    assert browser.post("/me/preferences/silence", form | {"item": "-1"}).status == 400
    assert browser.post("/me/preferences/silence", form | {"item": "999"}).status == 422
    assert browser.post("/me/preferences/silence", form).status == 303
    assert "February 20" not in browser.get("/me/preferences").text


def test_a_wish_kept_here_is_gone_by_at_the_counter(maison, pos, reference, browser):
    """What the person says at the portal is what a system of the house is told when it asks whether it may write now."""
    signed_in(maison, browser)
    body = {"reference": reference, "purpose": "clienteling", "channel": "phone"}

    def may_call():
        answer = pos.send("POST", "/v1/contact/evaluation", pos.service("lookup"), body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    before = may_call()
    fields = {k: v for k, v in browser.get("/me/preferences").form("contact_zone")["fields"].items() if ":" not in k}
    assert browser.post("/me/preferences", fields | {"contact_channel:letter": "on"}).status == 303
    after = may_call()
    assert (before["allowed"], after["allowed"]) == (True, False)
    assert after["why"] == ["channel"]


def test_a_consent_takes_as_many_fields_and_steps_off_as_on(maison, pos, browser):
    """GDPR Art. 7(3): counted on the page, field by field and request by request."""
    signed_in(maison, browser)
    steps = {}
    for to in ("off", "on"):
        page = browser.get("/me/consents")
        (form,) = [each for each in page.forms if each["fields"].get("purpose") == "clienteling"]
        assert form["fields"]["to"] == to
        answer = browser.post("/me/consents", form["fields"])
        steps[to] = (sorted(form["fields"]), answer.status, answer.answer.headers["location"])
        maison.clock.advance(1)
    assert steps["off"] == steps["on"]
