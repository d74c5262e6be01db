"""Policy through the console: the rule in words, the difference, what a replay turns, and two officers' own keys."""

import re
from string import Formatter

import pytest
from busy_group import keyed
from console_browser import recorded, signature, vouch
from policy_officers import changed
from sqlalchemy import text

from policies.phrases import Phrase
from vault.governance import versions

# Nobody sees a telephone number in the shop any more; birth days as before.
STRICTER = """
@id("refuse.nobody_rings")
@title("Nobody rings this month")
@basis("GDPR 5(1)(c)")
forbid (principal, action, resource == Category::"contact");
"""


@pytest.fixture
def desks(maison, signed_in):
    """An author and an approver at their consoles, with keys of their own, and a draft of the author's."""
    author, approver = signed_in("compliance", officer_id="claire"), signed_in("approver", officer_id="ines")
    keys = keyed(maison.vault, "claire", "ines")
    number = versions.propose(maison.vault, changed(new=STRICTER), "maisons", "claire", keys["claire"].sign).number
    return author, approver, keys, f"/console/policy/{number}"


def state_of(maison, path):
    with maison.vault.reading() as conn:
        return versions.get(conn, int(path.rpartition("/")[2])).state


def form_of(officer, path, step, **more):
    """The form of a step as this officer's session would send it, whether the page offers it or not."""
    token = officer.get(path).forms[0]["fields"]["form"]
    return {"form": token, "step": step} | more


def signed(officer, keys, name, path, step):
    """What an officer sends who signed the text that the page shows for the step."""
    shown = officer.get(path).answer.text
    (message,) = re.findall(
        rf"<pre[^>]*>([^<]*part: {'approver' if step == 'approve' else 'refusal'}\n.*?)</pre>", shown, re.DOTALL
    ) or [""]
    return form_of(officer, path, step, signature=signature(keys[name], message))


def test_the_page_says_each_rule_in_words_and_a_version_what_it_changes(maison, life, desks):
    author, _, _, path = desks
    rules = author.get("/console/policy").text
    assert "the category is" in rules
    assert "Nobody rings" not in rules
    shown = author.get(path).text
    assert "refuse.nobody_rings" in shown
    assert "the category is contact" in shown


def english_in(answer):
    """The phrases of which a piece is told in English: outside what is marked as the author's own words."""
    shown = re.sub(r"<(h3|span)[^>]* lang=\"en\">.*?</\1>", "", answer.text, flags=re.DOTALL)
    lines = re.findall(r"<li>([^<]*)</li>", shown)
    pieces = [piece.strip(" ,:") for each in Phrase for piece, *_ in Formatter().parse(each.english)]
    french = " ".join(each.french for each in Phrase)
    asked = [piece for piece in pieces if len(piece) > 3 and piece not in french]
    return len(lines), {piece for piece in asked for line in lines if re.search(rf"\b{re.escape(piece)}\b", line)}


def test_a_reader_of_french_is_told_rules_and_changes_in_french(maison, life, desks, signed_in):
    author, _, _, path = desks
    reader = signed_in("compliance", "fr", officer_id="camille")
    for page in ("/console/policy", path):
        count, left = english_in(reader.get(page).answer)
        assert count > 100
        assert left == set(), page
        count, left = english_in(author.get(page).answer)
        assert left >= {"the category is", "the level is at most", "the purpose rests on consent, and consent stands"}
    rules = reader.get("/console/policy").answer.text
    assert "<li>la catégorie est «\u202fIdentité\u202f»</li>" in rules
    assert "<li>la finalité est clienteling, ou en relève</li>" in rules
    assert '<h3 lang="en">Clienteling may know tastes and preferences</h3>' in rules
    shown = reader.get(path).answer.text
    assert "<li>condition pour interdire\u00a0: la catégorie est «\u202fCoordonnées\u202f»</li>" in shown
    assert '<li>titre\u00a0: <span lang="en">Nobody rings this month</span></li>' in shown


def test_a_replay_says_which_decisions_of_the_last_weeks_come_out_otherwise(maison, pos, life, desks, signed_in):
    author, _, _, path = desks
    for _ in range(6):
        pos.disclose(pos.granted(life, ("phone", "masked"), max_uses=5))
    vouch(maison)
    assert "Decisions that come out otherwise" not in author.get(path).text
    for days in ("30", "7"):
        page = author.submit(path, "days", days=days)
        assert page.status == 200
        (row,) = re.findall(r"<tr>(?:(?!</tr>).)*phone(?:(?!</tr>).)*</tr>", page.answer.text, re.DOTALL)
        words = re.sub(r"<[^>]+>|\s+", " ", row)
        assert "aurelle-pos" in words
        assert re.search(r"masked +refused", words), words
        assert words.split()[-1] == "7"
        assert "birth_date" not in page.text  # it comes out the same
        assert life not in page.answer.text
    looks = [each for each in recorded(maison, "audit.viewed") if "policy.replayed" in each.get("pol", ())]
    assert [each["actor"]["id"] for each in looks] == ["claire", "claire"]
    maison.clock.advance(20 * 86_400)
    again = signed_in("auditor", officer_id="auguste")  # who reads may replay: nothing changes by it
    assert "No decision comes out otherwise." in again.submit(path, "days", days="7").text
    for wrong in ("", "365", "x", "-1"):
        assert again.post(path, form_of(again, path, "", days=wrong)).status == 400


def test_two_officers_put_a_version_in_force_each_with_their_own_key(maison, life, desks):
    author, approver, keys, path = desks
    assert "activate" not in [each["fields"].get("step") for each in approver.get(path).forms]
    assert approver.post(f"{path}/step", form_of(approver, path, "activate")).status in {403, 404, 409, 422}
    assert approver.post(f"{path}/step", signed(approver, keys, "ines", path, "approve")).status == 303
    assert state_of(maison, path) == "approved"
    assert approver.post(f"{path}/step", form_of(approver, path, "activate")).status == 303
    assert state_of(maison, path) == "active"
    maison.http.app.state.services.watch.look()  # as every process does each second
    assert "Nobody rings" in author.get("/console/policy").text
    (activated,) = recorded(maison, "policy.activated")[-1:]
    assert activated["actor"]["id"] == "ines"


def test_nobody_approves_what_they_proposed(maison, life, desks):
    author, approver, keys, path = desks
    # The author's role does not reach the step, and the author's key is no approver's.
    assert author.post(f"{path}/step", form_of(author, path, "approve", signature="00")).status == 403
    theirs = signed(approver, keys, "claire", path, "approve")
    assert approver.post(f"{path}/step", theirs).status in {403, 422}
    # Nor where the author has become an approver since: the parts are two people's.
    with maison.vault.engine.begin() as conn:
        conn.execute(text("UPDATE officer SET role = 'approver' WHERE id = 'claire'"))
    own = signed(author, keys, "claire", path, "approve")
    answer = author.post(f"{path}/step", own)
    assert answer.status in {403, 422}
    assert state_of(maison, path) == "draft"
    denied = [each for each in recorded(maison, "policy.refused") if each["out"] == "deny"]
    assert "claire" in {each["actor"]["id"] for each in denied}


def test_a_version_is_refused_for_good_by_an_approvers_key(maison, life, desks):
    _, approver, keys, path = desks
    for wrong in ("", "00", "%%%", signature(keys["ines"], "something else")):
        assert approver.post(f"{path}/step", form_of(approver, path, "refuse", signature=wrong)).status in {
            400,
            403,
            422,
        }
    assert state_of(maison, path) == "draft"
    assert approver.post(f"{path}/step", signed(approver, keys, "ines", path, "refuse")).status == 303
    assert state_of(maison, path) == "refused"
    assert not [each for each in approver.get(path).forms if each["fields"].get("step")]
    assert approver.post(f"{path}/step", form_of(approver, path, "activate")).status in {403, 404, 409, 422}
    assert state_of(maison, path) == "refused"


def test_a_change_of_policy_takes_presence(maison, life, desks):
    _, approver, keys, path = desks
    form = signed(approver, keys, "ines", path, "approve")
    maison.clock.advance(301)
    answer = approver.post(f"{path}/step", form).answer
    assert answer.headers["location"] == f"/console/confirm?next={path}"
    assert state_of(maison, path) == "draft"
