"""Emergencies to their end through the console: approved by another, over by the clock, reviewed, each by key."""

import pytest
from busy_group import keyed
from console_browser import recorded, sign_in, signature, text_to_sign

from policies.levels import Level
from policies.model import Wanted
from vault.governance import breakglass, cases
from vault.governance.cases import Asked

REASON = "She collapsed in the shop; the doctor asks for her telephone."


class Emergency:
    """Claire asks, Ines approves, Renee reviews; each at a console of their own."""

    def __init__(self, maison, signed_in, reference):
        self.maison, self.vault = maison, maison.vault
        self.desks = {
            "claire": signed_in("compliance", officer_id="claire"),
            "ines": signed_in("approver", officer_id="ines"),
            "renee": signed_in("compliance", officer_id="renee"),
        }
        self.keys = keyed(self.vault, *self.desks)
        asked = Asked("aurelle", reference, (Wanted("phone", Level.RAW),), "claire", 15, REASON)
        self.case = breakglass.ask(self.vault, asked, "claire", self.keys["claire"].sign)
        self.path = f"/console/break-glass/{self.case.name}"

    def offered(self, officer):
        return {each["fields"]["step"] for each in self.desks[officer].get(self.path).forms if "step" in each["fields"]}

    def take(self, officer, step, key=None):
        """Take a step as this officer, signed with their key or another's, whether the page offers it or not."""
        desk = self.desks[officer]
        page = desk.get(self.path)
        form = {"form": page.forms[0]["fields"]["form"], "step": step}
        if step in self.offered(officer):
            form["signature"] = signature(self.keys[key or officer], text_to_sign(page, f"case.{step}"))
        else:
            form["signature"] = signature(self.keys[key or officer], "nothing that is shown")
        self.answer = desk.post(f"{self.path}/step", form)
        return self.answer.status

    def over(self):
        """Let its time pass; everybody's session is over too, and they come again."""
        self.maison.clock.advance(16 * 60)
        for name, desk in self.desks.items():
            assert sign_in(desk, name, desk.authenticator, self.maison.clock).status == 303

    @property
    def state(self):
        with self.vault.reading() as conn:
            return cases.get(conn, self.case.id)


@pytest.fixture
def emergency(maison, life, signed_in):
    return Emergency(maison, signed_in, life)


def test_nobody_approves_or_reviews_what_they_asked_for(maison, emergency):
    assert emergency.take("claire", "approve") in {403, 422}
    assert emergency.state.state is cases.State.ASKED
    assert emergency.take("ines", "approve", key="claire") in {403, 422}
    assert emergency.take("ines", "justified") in {400, 403, 409, 422}  # it is not even approved
    assert emergency.take("ines", "approve") == 303
    emergency.over()
    assert emergency.take("claire", "justified") in {403, 422}
    assert emergency.take("ines", "justified", key="renee") in {403, 422}
    assert emergency.state.finding is None


def test_an_emergency_is_reviewed_by_an_officer_who_neither_asked_nor_looked_once_it_is_over(
    maison, emergency, signed_in
):
    assert emergency.take("ines", "approve") == 303
    assert emergency.take("renee", "justified") in {400, 403, 409, 422}
    assert "The case runs still" in emergency.answer.text
    emergency.over()
    assert "waits for review" in signed_in("auditor").get(emergency.path).text
    assert emergency.take("renee", "unjustified") == 303
    case = emergency.state
    assert (case.state, case.finding) == (cases.State.REVIEWED, cases.Finding.UNJUSTIFIED)
    (reviewed,) = recorded(maison, "breakglass.reviewed")
    assert (reviewed["out"], reviewed["actor"]["id"]) == ("allow", "renee")
    assert emergency.offered("renee") <= {"show"}
    assert emergency.take("renee", "justified") in {400, 403, 409, 422}
    assert "The case has moved on" in emergency.answer.text
    assert emergency.state.finding is cases.Finding.UNJUSTIFIED
