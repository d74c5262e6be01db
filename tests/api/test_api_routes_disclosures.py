"""Disclosures over HTTP: what a token grants and no more, decided again, counted per subject, refused with a reason."""

import base64
import hashlib
import json
from datetime import UTC, datetime

import pytest
from maison_callers import CONSENT, PERSON, STRANGER, disable, problem_of

from api.client.answers import VerifierKeys
from api.client.receipts import verify_receipt
from audit.merkle import leaf_hash
from audit.pseudonym import token_mark, veiled
from vault import details, locked
from vault.staff import staff_keys, staff_told

SPEND = {"amount": "18250.00", "currency": "EUR"}


@pytest.fixture
def known(pos):
    """A person who agreed to clienteling."""
    return pos.created(PERSON | {"lifetime_spend": SPEND}, CONSENT)


def told(answer):
    """Field name -> what is told of it."""
    assert answer.status_code == 200, answer.text
    return {each["name"]: each for each in answer.json()["fields"]}


def wished(answer):
    """The same of a token answer."""
    assert answer.status_code == 200, answer.text
    return {each["name"]: each for each in answer.json()["authorization_details"][0]["fields"]}


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_refused_field_says_why_and_by_which_rule(pos, known):
    asked = [("phone", "masked"), ("allergies", "raw"), ("purchases", "raw"), ("postal_address", "raw")]
    answer = pos.wish(known, *asked, purpose="clienteling.aftercare")
    fields = wished(answer)
    assert {name: (each["decision"], each["level"]) for name, each in fields.items()} == {
        "phone": ("granted", "masked"),
        "allergies": ("refused", None),
        "purchases": ("narrowed", "generalised"),
        "postal_address": ("refused", None),
    }
    assert fields["allergies"]["reason"]
    assert fields["postal_address"]["reason"]
    assert told(pos.disclose(answer.json()["access_token"])).keys() == {"phone", "purchases"}


def test_nothing_granted_is_no_token_and_an_unknown_person_looks_the_same(pos, sister, known):
    refused = pos.wish(known, ("allergies", "raw"))
    unknown = pos.wish(STRANGER, ("allergies", "raw"))
    theirs = sister.wish(known, ("phone", "masked"))
    assert refused.status_code == unknown.status_code == theirs.status_code == 400
    bodies = [answer.json() | {"request_id": ""} for answer in (refused, unknown, theirs)]
    assert bodies[0] == bodies[1] == bodies[2]
    # A list is refused whole: asking is no way to find out who is there.
    assert pos.wish([known, STRANGER], ("phone", "masked")).json() | {"request_id": ""} == bodies[0]


def test_unknown_words_are_refused_where_they_are_asked(pos, known):
    for fields, purpose, code in (
        ((("shoe_color", "raw"),), "clienteling.in_store", "unknown_field"),
        ((("phone", "masked"),), "marketing.telepathy", "unknown_purpose"),
        ((("phone", "masked"),), "marketing.events", "purpose_not_registered"),
        ((("phone", "naked"),), "clienteling.in_store", "invalid_fields"),
    ):
        answer = pos.wish(known, *fields, purpose=purpose)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_authorization_details")
        assert answer.json()["code"] == code


def test_a_body_narrows_and_never_widens(pos, known):
    token = pos.granted(known, ("phone", "masked"), ("birth_date", "generalised"), max_uses=9)
    assert told(pos.disclose(token, {"fields": ["phone"]})).keys() == {"phone"}
    for beyond in (["email"], ["phone", "email"], ["shoe_color"]):
        problem_of(pos.disclose(token, {"fields": beyond}), 403, "insufficient_scope")
    for malformed in ([], ["No Name"], "phone", [1]):
        problem_of(pos.disclose(token, {"fields": malformed}), 422, "invalid_request")
    assert told(pos.disclose(token)).keys() == {"phone", "birth_date"}


def test_a_token_is_for_the_subjects_it_names(pos, sister, known):
    other = pos.created(PERSON, CONSENT)
    token = pos.granted(known, ("phone", "masked"), max_uses=9)
    for reference in (other, STRANGER, sister.created(PERSON, CONSENT)):
        problem_of(pos.disclose(token, {"reference": reference}), 404, "unknown_reference")
    assert pos.disclose(token, {"reference": known}).json()["reference"] == known
    both = pos.granted([known, other], ("phone", "masked"), max_uses=9)
    problem_of(pos.disclose(both), 404, "unknown_reference")  # which of the two?
    assert pos.disclose(both, {"reference": other}).json()["reference"] == other


def test_uses_are_counted_for_each_subject_and_a_refusal_costs_none(maison, pos, known):
    other = pos.created(PERSON, CONSENT)
    token = pos.granted([known, other], ("phone", "masked"), max_uses=2)
    problem_of(pos.disclose(token, {"reference": known, "fields": ["email"]}), 403, "insufficient_scope")
    for _ in range(2):
        assert pos.disclose(token, {"reference": known}).status_code == 200
    problem_of(pos.disclose(token, {"reference": known}), 403, "uses_exhausted")
    assert maison.entries()[-1].read["out"] == "deny"
    assert pos.disclose(token, {"reference": other}).status_code == 200
    # Within one request too: the same person three times, one use left.
    outcomes = pos.bulk(token, [other, known, other, other]).json()["disclosures"]
    assert [each.get("error") for each in outcomes] == [None, "uses_exhausted", "uses_exhausted", "uses_exhausted"]


def test_a_token_ends_with_its_time(pos, known):
    answer = pos.wish(known, ("ring_size", "raw"), staff="advisor-1", max_uses=9)
    token, seconds = answer.json()["access_token"], answer.json()["expires_in"]
    pos.clock.advance(seconds - 1)
    assert pos.disclose(token).status_code == 200
    pos.clock.advance(1)
    problem_of(pos.disclose(token), 401, "invalid_token")


def test_a_change_of_the_values_is_seen_and_does_not_end_the_token(pos, known):
    token = pos.granted(known, ("ring_size", "raw"), staff="advisor-1", max_uses=2)
    assert told(pos.disclose(token))["ring_size"]["value"]["value"] == "52"
    assert pos.patch(known, {"set": {"ring_size": {"value": "53", "system": "eu"}}}, '"1"').status_code == 200
    assert told(pos.disclose(token))["ring_size"]["value"]["value"] == "53"


# --- who asked -------------------------------------------------------------------------------------------------------


def test_entries_bear_who_asked_and_by_which_token_and_two_of_them_share_neither(maison, pos, known):
    def hash_of(token):
        return hashlib.sha256(token.encode()).digest()

    first, second = (pos.granted(known, ("phone", "masked"), staff="advisor-1", max_uses=2) for _ in range(2))
    assert pos.disclose(first).status_code == 200
    problem_of(pos.disclose(first, {"fields": ["email"]}), 403, "insufficient_scope")
    assert pos.disclose(second).status_code == 200
    with maison.vault.unit() as uow:
        (person,) = locked.by_reference(uow, [("aurelle", known)])
    brand_key = staff_keys(maison.vault.keys, ["aurelle"])["aurelle"]
    found = [each.read for each in maison.entries() if "tok" in each.read]
    assert [each["act"] for each in found] == [
        "token.issued",
        "token.issued",
        "field.disclosed",
        "field.denied",
        "field.disclosed",
    ]
    told_as = {veiled(brand_key, bytes.fromhex(each["id"]), bytes.fromhex(each["stf"])).hex() for each in found}
    assert told_as == {staff_told(maison.vault.keys, "aurelle", "advisor-1")}
    assert len({each["stf"] for each in found}) == len({each["tok"] for each in found}) == 5
    for token, places in ((first, {0, 2, 3}), (second, {1, 4})):
        marks = [token_mark(person.log_key, hash_of(token), bytes.fromhex(each["id"])).hex() for each in found]
        assert {place for place, each in enumerate(found) if each["tok"] == marks[place]} == places
    everything = b"".join(each.raw for each in maison.entries())
    for secret in (b"advisor-1", first.encode(), hash_of(first).hex().encode(), *[each.encode() for each in told_as]):
        assert secret not in everything


def test_where_nobody_was_named_the_log_says_nobody(maison, pos, known):
    assert pos.disclose(pos.granted(known, ("phone", "masked"))).status_code == 200
    entry = maison.entries()[-1].read
    assert "stf" not in entry and "tok" in entry


def test_a_decision_that_gave_less_is_explained_field_by_field_beside_the_entry(maison, pos, known):
    asked = [("phone", "masked"), ("allergies", "raw"), ("name", "raw")]
    token = pos.granted(known, *asked, purpose="clienteling.aftercare")
    assert pos.disclose(token).status_code == 200
    found = [each.read for each in maison.entries() if "dc" in each.read]
    with maison.vault.unit() as uow:
        (person,) = locked.by_reference(uow, [("aurelle", known)])
        ids = [bytes.fromhex(each["id"]) for each in found]
        opened = details.opened(uow.conn, maison.vault.deployment, person.log_key, ids)
    assert len(opened) == len(found)
    for entry, told_apart in zip(found, (json.loads(opened[each].detail) for each in ids), strict=True):
        assert told_apart["policies"] == maison.vault.bundle.hash.hex()
        given = [each for each in told_apart["fields"] if each["given"]]
        assert {f"{each['field']}:{each['given']}" for each in given} == set(entry["fld"])
        assert {rule for each in given for rule in each["rules"]} <= set(entry["pol"])
        assert [each["reason"] for each in told_apart["fields"] if not each["given"]] != []
        assert any(each["given"] != each["asked"] for each in told_apart["fields"])


def test_a_decision_that_gave_what_was_asked_for_needs_no_detail(maison, pos, known):
    assert pos.disclose(pos.granted(known, ("phone", "masked"))).status_code == 200
    assert "dc" not in maison.entries()[-1].read


# --- done ------------------------------------------------------------------------------------------------------------


def test_every_level_shows_just_that_much(pos, known):
    shown = {}
    for level in ("presence", "generalised", "masked", "raw"):
        fields = told(pos.disclose(pos.granted(known, ("phone", level), purpose="service.repair", staff="smith-1")))
        shown[level] = fields["phone"]["value"]
        assert fields["phone"]["level"] == level
        assert fields["phone"]["decision"] == "granted"
        assert fields["phone"]["policies"]
    assert shown["presence"] is True
    assert [each["value"] for each in shown["raw"]] == ["+33639981234", "+971501234567"]
    for level in ("generalised", "masked"):
        assert all(each["value"] not in shown["raw"] for each in shown[level])
    hidden = str([shown["presence"], shown["generalised"], shown["masked"]])
    assert "639981" not in hidden
    assert "5012345" not in hidden
    born = pos.granted(known, ("birth_date", "predicate", "over_18"))
    assert told(pos.disclose(born))["birth_date"]["value"] is True
    month = told(pos.disclose(pos.granted(known, ("birth_date", "raw"))))["birth_date"]
    assert (month["decision"], month["level"]) == ("granted", "generalised")
    assert "1984-05-17" not in str(month)


def test_what_the_rules_narrow_is_told_in_the_token_and_again_in_the_answer(pos, known):
    answer = pos.wish(known, ("lifetime_spend", "raw"))
    spend = wished(answer)["lifetime_spend"]
    assert (spend["requested"], spend["level"], spend["decision"]) == ("raw", "generalised", "narrowed")
    seen = told(pos.disclose(answer.json()["access_token"]))["lifetime_spend"]
    assert seen["level"] == "generalised"
    assert "18250" not in str(seen)


def test_a_field_without_a_value_is_an_answer_and_no_refusal(pos):
    reference = pos.created({"phone": ["+33639981234"]}, CONSENT)
    token = pos.granted(reference, ("ring_size", "raw"), ("phone", "masked"), staff="a-1")
    fields = told(pos.disclose(token))
    assert (fields["ring_size"]["decision"], fields["ring_size"]["value"]) == ("granted", None)
    assert fields["phone"]["value"]


def test_the_receipt_and_the_entry_are_evidence(maison, pos, known):
    token = pos.granted(known, ("phone", "masked"))
    body = pos.disclose(token).json()
    keys = published_keys(pos)
    assert verify_receipt(body["receipt"], keys.receipt).entry_id == body["entry"]
    (entry,) = [each for each in maison.entries() if body["entry"] in (each.read["id"], bytes_of(each.read["id"]))]
    assert entry.read["fld"] == ["phone:masked"]
    assert known.encode() not in entry.raw


def published_keys(pos):
    told = pos.http.get("/audit/keys").json()
    return VerifierKeys(told["origin"], told["log"], told["receipt"], tuple(told["logs"]))


def bytes_of(text):
    """An id in the log's spelling, as hexadecimal digits."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()


def test_many_subjects_at_once_each_for_itself(maison, pos, sister, known):
    people = [known, *(pos.created(PERSON, CONSENT) for _ in range(4))]
    token = pos.granted(people, ("phone", "masked"), ("preferred_language", "raw"), max_uses=2)
    theirs = sister.created(PERSON, CONSENT)
    asked = [people[0], STRANGER, people[1], theirs, *people[2:]]
    body = pos.bulk(token, asked).json()
    outcomes = body["disclosures"]
    assert [each["reference"] for each in outcomes] == asked
    assert [each.get("error") for each in outcomes] == [
        None,
        "unknown_reference",
        None,
        "unknown_reference",
        *[None] * 3,
    ]
    served = [each for each in outcomes if "error" not in each]
    assert len({each["entry"] for each in served}) == 5
    assert all(len(each["fields"]) == 2 for each in served)
    keys = published_keys(pos)
    promised = [verify_receipt(body["receipt"], keys.receipt, each["entry"]).leaf_hash for each in served]
    leaves = {each.read["id"]: leaf_hash(each.raw) for each in maison.entries()}
    assert promised == [leaves[each["entry"]] for each in served]
    assert body["receipt"].count("\n") == 2 * len(served) + 4  # of nobody else, and one signature
    narrowed = pos.bulk(token, people, fields=["preferred_language"]).json()["disclosures"]
    assert {each["name"] for one in narrowed for each in one["fields"]} == {"preferred_language"}
    assert {each.get("error") for each in pos.bulk(token, people).json()["disclosures"]} == {"uses_exhausted"}
    assert [entry.act for entry in maison.entries()].count("field.disclosed") == 10


def test_a_bulk_of_none_or_too_many_is_refused(pos, known):
    token = pos.granted(known, ("phone", "masked"))
    problem_of(pos.bulk(token, []), 422, "invalid_request")
    problem_of(pos.bulk(token, [STRANGER] * 501), 422, "invalid_request")
    answer = pos.bulk(token, [STRANGER] * 500)
    assert {each["error"] for each in answer.json()["disclosures"]} == {"unknown_reference"}
    assert answer.json()["receipt"] is None


def test_a_bulk_under_a_bad_token_is_one_refusal_and_one_entry(maison, pos, known):
    token, service = pos.granted([known], ("phone", "masked")), pos.service("lookup")
    before = len(maison.entries())
    problem_of(pos.bulk("nonsense", [known] * 9), 401, "invalid_token")
    problem_of(pos.bulk(service, [known] * 9), 403, "insufficient_scope")
    disable(maison.vault, pos)
    problem_of(pos.bulk(token, [known] * 9), 401, "invalid_token")
    new = [entry for entry in maison.entries()[before:] if entry.act != "system.disabled"]
    assert [(entry.act, entry.read["out"]) for entry in new] == [("auth.failed", "deny")] * 3


# --- as known on an earlier day --------------------------------------------------------------------------------------


def test_what_was_known_on_an_earlier_day_is_answered_and_logged_as_such(maison, pos):
    known = pos.created(PERSON | {"ring_size": {"system": "eu", "value": "52"}}, CONSENT)
    first = maison.clock.now()
    maison.clock.advance(2 * 86_400)
    pos.kept.clear()  # its service tokens ended
    etag = pos.describe(known).headers["etag"]
    assert pos.patch(known, {"set": {"ring_size": {"system": "eu", "value": "53"}}}, etag).status_code == 200

    def seen(**day):
        token = pos.granted(known, ("ring_size", "raw"), purpose="clienteling.aftercare", staff="advisor-1", **day)
        return told(pos.disclose(token))["ring_size"]["value"]

    def day(at):
        return datetime.fromtimestamp(at, UTC).date().isoformat()

    assert seen() == {"system": "eu", "value": "53"}
    assert seen(as_known_on=day(first)) == {"system": "eu", "value": "52"}
    assert seen(as_known_on=day(first + 86_400)) == {"system": "eu", "value": "52"}
    assert seen(as_known_on=day(first - 86_400)) is None
    assert seen(as_known_on=day(maison.clock.now())) == {"system": "eu", "value": "53"}
    marked = ["history.as_known_on" in each.read["pol"] for each in maison.entries() if each.act == "field.disclosed"]
    assert marked == [False, True, True, True, True]


def test_a_day_to_come_is_refused(maison, pos, known):
    tomorrow = datetime.fromtimestamp(maison.clock.now() + 86_400, UTC).date().isoformat()
    answer = pos.wish(known, ("phone", "masked"), as_known_on=tomorrow)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_as_known_on")
