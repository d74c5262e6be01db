"""Alerts: what the rules point at is decided on once, by an officer who may, and the decision is an entry of the log."""

import re

import pytest
from console_browser import recorded, vouch

from audit.entry import Act, Actor, ActorKind, Entry, Outcome

PATH = "/console/alerts"
GUARD = Actor(ActorKind.VAULT, "honey")


@pytest.fixture
def frozen(maison, life):
    """A look at a honey subject, as the log has it (`vault.honey`)."""
    with maison.vault.unit() as uow:
        uow.record(Entry(Act.SYSTEM_FROZEN, Outcome.ALLOW, GUARD, pol=("system:aurelle-pos",)), log_key=bytes(32))
        uow.commit()
    vouch(maison)


def form_of(officer, **more):
    page = officer.get(PATH)
    return {"form": page.forms[0]["fields"]["form"]} | more


def keys(officer):
    return re.findall(r'name="alert" value="([0-9a-f]{32})"', officer.get(PATH).answer.text)


def test_an_alert_is_decided_on_once_and_on_record(maison, frozen, signed_in):
    claire, auditor = signed_in("compliance", officer_id="claire"), signed_in("auditor")
    shown = claire.get(PATH)
    assert "Somebody who does not exist: aurelle-pos" in shown.text
    (where,) = [each for each in shown.links if re.search(r"/log/\d+$", each)]
    assert "system.frozen" in claire.get(where).text
    (key,) = keys(claire)
    assert keys(auditor) == []
    assert "Nobody has decided on it yet." in auditor.get(PATH).text
    assert auditor.post(f"{PATH}/step", form_of(auditor, alert=key, finding="explained")).status == 403
    assert claire.post(f"{PATH}/step", form_of(claire, alert=key, finding="fine")).status == 400
    for wrong in ("", "0" * 32, key.upper() + "0"):
        assert claire.post(f"{PATH}/step", form_of(claire, alert=wrong, finding="explained")).status == 404
    assert recorded(maison, "alert.reviewed") == []
    assert (
        claire.post(f"{PATH}/step", form_of(claire, alert=key, finding="dealt_with")).answer.headers["location"] == PATH
    )
    (entry,) = recorded(maison, "alert.reviewed")
    assert (entry["actor"]["id"], sorted(entry["pol"])) == (
        "claire", sorted((f"alert:{key}", "rule:honey", "finding:dealt_with")),
    )  # fmt: skip
    again = signed_in("approver", officer_id="ines")
    assert "it was wrong, and dealt with" in again.get(PATH).text
    assert again.post(f"{PATH}/step", form_of(again, alert=key, finding="mistaken")).status == 409
    assert len(recorded(maison, "alert.reviewed")) == 1


def test_a_decision_takes_presence_and_a_look_is_recorded(maison, frozen, signed_in):
    claire = signed_in()
    (key,) = keys(claire)
    form = form_of(claire, alert=key, finding="explained")
    looks = [each for each in recorded(maison, "audit.viewed") if "report:anomalies" in each.get("pol", ())]
    assert len(looks) == 2
    maison.clock.advance(301)
    answer = claire.post(f"{PATH}/step", form).answer
    assert answer.headers["location"] == f"/console/confirm?next={PATH}"
    assert recorded(maison, "alert.reviewed") == []


def test_without_anything_to_point_at_the_page_says_so(maison, life, signed_in):
    vouch(maison)
    for language, words in (("en", "The rules point at nothing."), ("fr", "Les règles ne relèvent rien.")):
        officer = signed_in("compliance", language, officer_id=f"claire-{language}")
        assert words in officer.get(PATH).text
