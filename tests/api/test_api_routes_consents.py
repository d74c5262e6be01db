"""Consents over HTTP: withdrawing is no harder than giving, and takes effect on tokens already out."""

import json
import re

import pytest
from maison_callers import CONSENT, NOTICE, PERSON, WITHDRAWAL, problem_of

from api.bodies.consents import GiveConsent, WithdrawConsent
from api.client.errors import ReceiptInvalid
from api.client.receipts import verify_consent_record

CANARY = "canary-90d3"
FIELDS = (("phone", "masked"), ("ring_size", "raw"))


def granted(pos, reference, **more):
    return pos.granted(reference, *FIELDS, staff="advisor-1", **({"max_uses": 5} | more))


# --- refused ---------------------------------------------------------------------------------------------------------


def test_consent_needs_the_notice_that_was_shown(maison, pos):
    reference = pos.created()
    token = pos.service("consent.write")
    bare = {"reference": reference, **WITHDRAWAL}
    problem_of(pos.send("POST", "/v1/consents", token, bare), 422, "invalid_request")
    for notice in (
        NOTICE | {"version": 2},
        NOTICE | {"id": "marketing_email"},
        NOTICE | {"id": "none"},
        NOTICE | {"language": "zz"},
    ):
        problem_of(pos.give(reference, notice=notice), 422, "invalid_fields")
    problem_of(pos.give(reference, notice=NOTICE | {"version": "1"}), 422, "invalid_request")
    assert "consent.given" not in [entry.act for entry in maison.entries()]
    assert pos.wish(reference, *FIELDS).status_code == 400


def test_what_a_purpose_or_an_event_cannot_be_is_refused_and_not_repeated(pos):
    reference = pos.created()
    problem_of(pos.give(reference, purpose="marketing.telepathy"), 422, "unknown_purpose")
    problem_of(pos.withdraw(reference, purpose="marketing.telepathy"), 422, "unknown_purpose")
    for wrong in ({"purpose": CANARY}, {"channel": CANARY.upper()}, {"collector": f"{CANARY} {CANARY}"}, {CANARY: 1}):
        for act in (pos.give, pos.withdraw):
            answer = act(reference, **wrong)
            problem_of(answer, 422, "invalid_request")
            assert CANARY not in answer.text
    tomorrow = pos.clock.now() + 86_400
    problem_of(pos.give(reference, event_at=tomorrow), 422, "invalid_fields")


def test_withdrawing_asks_for_fewer_fields_than_giving():
    give, withdraw = (model.model_json_schema() for model in (GiveConsent, WithdrawConsent))
    assert set(withdraw["properties"]) < set(give["properties"])
    assert set(withdraw["required"]) < set(give["required"])
    assert "notice" in set(give["required"]) - set(withdraw["properties"])
    # No member that both have is asked for more strictly.
    for name, asked in withdraw["properties"].items():
        assert asked == give["properties"][name]


# --- done ------------------------------------------------------------------------------------------------------------


def test_giving_opens_and_withdrawing_kills_what_is_out_at_its_next_use(maison, pos):
    reference = pos.created()
    assert pos.wish(reference, *FIELDS).status_code == 400
    given = pos.give(reference)
    assert given.status_code == 201
    assert given.json() == {**given.json(), "reference": reference, "purpose": "clienteling", "state": "given"}
    token = granted(pos, reference)
    assert pos.disclose(token).status_code == 200
    withdrawn = pos.withdraw(reference)
    assert (withdrawn.status_code, withdrawn.json()["state"]) == (201, "withdrawn")
    dead = pos.disclose(token)
    problem_of(dead, 401, "invalid_token")
    assert 'error="invalid_token"' in dead.headers["www-authenticate"]
    assert maison.entries()[-1].read["out"] == "deny"
    assert pos.wish(reference, *FIELDS).json()["code"] == "not_granted"
    # Consent given anew opens anew, and does not bring the dead token back.
    assert pos.give(reference).status_code == 201
    problem_of(pos.disclose(token), 401, "invalid_token")
    assert pos.disclose(granted(pos, reference)).status_code == 200


def test_withdrawal_above_takes_everything_below_and_nothing_beside(pos):
    reference = pos.created(PERSON, CONSENT, CONSENT | {"purpose": "clienteling.in_store"})
    below = granted(pos, reference)
    beside = pos.granted(reference, ("ring_size", "raw"), purpose="service.repair", max_uses=5)
    assert pos.withdraw(reference, purpose="clienteling").status_code == 201
    problem_of(pos.disclose(below), 401, "invalid_token")
    assert pos.disclose(beside).status_code == 200


def test_a_sister_maisons_consent_is_its_own(pos, sister):
    mine, theirs = pos.created(PERSON, CONSENT), sister.created(PERSON, CONSENT)
    token = granted(pos, mine)
    assert sister.withdraw(theirs).status_code == 201
    assert pos.disclose(token).status_code == 200


def test_a_bulk_token_outlives_one_persons_withdrawal_for_the_others(pos):
    stays, leaves = pos.created(PERSON, CONSENT), pos.created(PERSON, CONSENT)
    token = granted(pos, [stays, leaves])
    assert pos.withdraw(leaves).status_code == 201
    first, second = pos.bulk(token, [stays, leaves]).json()["disclosures"]
    assert (first["reference"], second) == (stays, {"reference": leaves, "error": "invalid_token"})


# --- addresses, other events, a browser's signal -----------------------------------------------------------------------

MAIL = {"purpose": "marketing.email", "notice": {"id": "marketing_email", "version": 1, "language": "fr"}}
ADDRESS = "Apolline.Rousselin@example.com"


def told(pos, reference, event, **more):
    body = {"reference": reference, **WITHDRAWAL, "event": event, **more}
    return pos.send("POST", "/v1/consents/events", pos.service("consent.write"), body)


def signalled(pos, reference, *values):
    headers = [("Sec-GPC", value) for value in values]
    return pos.send(
        "POST", "/v1/consents/signal", pos.service("consent.write"), {"reference": reference}, headers=headers
    )


def test_a_consent_to_letters_is_for_an_address_and_is_never_repeated(maison, pos):
    reference = pos.created()
    unknown = pos.give(reference, **MAIL, contact=f"{CANARY}@example.com")
    assert problem_of(unknown, 422, "invalid_fields")["fields"] == [{"name": "contact", "reason": "unknown_contact"}]
    assert CANARY not in unknown.text
    given = pos.give(reference, **MAIL, contact=ADDRESS)
    assert (given.json()["state"], given.json()["contacts"]) == ("given", 1)
    assert ADDRESS not in given.text
    assert not any(ADDRESS.encode() in entry.raw for entry in maison.entries())
    assert pos.withdraw(reference, purpose="marketing.email", contact=ADDRESS).json()["contacts"] == 0


def test_other_events_are_one_call_each_and_kill_what_is_out(pos):
    reference = pos.created(PERSON, CONSENT)
    token = granted(pos, reference)
    objected = told(pos, reference, "objected")
    assert (objected.status_code, objected.json()["state"]) == (201, "objected")
    problem_of(pos.disclose(token), 401, "invalid_token")
    assert told(pos, reference, "objection_lifted").json()["state"] == "none"
    assert told(pos, reference, "ended", purpose="service.repair").json()["state"] == "ended"
    for ours in ("expired", "given", "withdrawn"):
        problem_of(told(pos, reference, ours), 422, "invalid_request")


def test_a_signal_objects_only_when_it_is_on(pos):
    reference = pos.created()
    for nothing in ((), ("0",), ("true",), ("1, 1",)):
        answer = signalled(pos, reference, *nothing)
        assert (answer.status_code, answer.json()["objected"]) == (201, [])
    assert signalled(pos, reference, "1").json()["objected"] == ["analytics.segments", "group.profile_sharing"]
    assert signalled(pos, reference, "1").json()["objected"] == []


def test_withdrawing_takes_as_many_calls_as_giving_under_the_same_right(pos):
    """The whole way of each: one token of one scope, one POST, no answer to a question in between."""
    given, withdrawn = [], []
    for way, act in ((given, pos.give), (withdrawn, pos.withdraw)):
        reference = pos.created(PERSON, CONSENT)
        sent = pos.http.request
        pos.kept.clear()  # a token is drawn for each, too

        def counted(method, path, *, sent=sent, way=way, **more):
            way.append((method, path.split("/")[2]))
            return sent(method, path, **more)

        pos.http.request = counted
        assert act(reference).status_code == 201
        pos.http.request = sent
    assert withdrawn == given == [("POST", "token"), ("POST", "consents")]


# --- the record, and its receipt -----------------------------------------------------------------------------------------


def recorded(pos, reference):
    answer = pos.send("GET", f"/v1/consents/{reference}", pos.service("consent.write"))
    assert answer.status_code == 200, answer.text
    return answer.json()["record"], answer.json()["receipt"]


def test_a_record_has_the_shape_of_27560_and_a_receipt_that_anybody_checks(maison, pos):
    reference = pos.created(PERSON, CONSENT)
    pos.give(reference, **MAIL, contact=ADDRESS, method="click")
    pos.withdraw(reference)
    text, note = recorded(pos, reference)
    key = maison.http.get("/audit/keys").json()["receipt"]
    checked = verify_consent_record(text, note, key)
    record = json.loads(text)
    assert checked.record_id == record["record_id"]
    assert record["pii_principal_id"] == reference
    first, second = record["pii_processing"]
    assert {"purpose", "privacy_notice", "pii_information", "pii_controllers", "storage_locations", "jurisdiction",
            "recipient_third_parties", "withdrawal_method", "lawful_basis", "events"} <= set(first)  # fmt: skip
    assert [each["event_state"]["id"] for each in first["events"]] == ["given", "withdrawn"]
    assert second["events"][0]["contact_points"] == 1
    assert all(first["privacy_notice"][0][name] for name in ("version", "language", "sha256", "text"))
    assert record["party_identification"][0]["party_address"]
    assert ADDRESS not in text
    iris = re.findall(r"https?://[^\"]+", text)
    assert iris
    assert all(each.startswith("https://w3id.org/dpv/2.3#") for each in iris)
    assert maison.entries()[-1].act == "consent.exported"


@pytest.mark.parametrize("wrong", ["other record", "other receipt", "a disclosure's", "other key"])
def test_a_receipt_is_of_one_record_under_one_key(maison, pos, wrong):
    reference = pos.created(PERSON, CONSENT)
    text, note = recorded(pos, reference)
    other, its_note = recorded(pos, reference)
    key = maison.http.get("/audit/keys").json()["receipt"]
    asked = {
        "other record": (other, note, key),
        "other receipt": (text, its_note, key),
        "a disclosure's": (text, pos.disclose(granted(pos, reference)).json()["receipt"], key),
        "other key": (text, note, maison.http.get("/audit/keys").json()["log"]),
    }[wrong]
    with pytest.raises(ReceiptInvalid):
        verify_consent_record(*asked)
