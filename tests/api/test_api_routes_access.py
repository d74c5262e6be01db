"""AuthZEN evaluation: the answer a disclosure would get, without a value, and the same no for everybody unknown."""

import pytest
from maison_callers import CONSENT, PERSON, STRANGER, problem_of


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


def may(caller, reference, *fields, purpose="clienteling.in_store", system=None, **more):
    shaped = [dict(zip(("name", "level", "predicate"), each, strict=False)) for each in fields]
    body = {
        "subject": {"type": "system", "id": system or caller.id},
        "action": {"name": "disclose", "properties": {"purpose": purpose, "fields": shaped, **more}},
        "resource": {"type": "subject", "id": reference},
        "context": {"time": "2026-09-21T10:00:00Z"},
    }
    return caller.send("POST", "/access/v1/evaluation", caller.service("lookup"), body)


def told(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_yes_no_and_less(maison, pos, reference):
    assert told(may(pos, reference, ("phone", "masked")))["decision"] is True
    less = told(may(pos, reference, ("phone", "raw"), ("name", "masked")))
    assert less["decision"] is False
    assert [field["level"] for field in less["context"]["fields"]] == ["masked", "masked"]
    assert told(may(pos, reference, ("allergies", "raw"))) == {"decision": False}
    assert told(may(pos, reference, ("birth_date", "predicate", "over_18")))["decision"] is True
    last = maison.entries()[-1].read
    assert (last["act"], last["out"], last["fld"]) == ("field.evaluated", "allow", ["birth_date:predicate"])
    assert "sref" in last


def test_it_says_what_the_token_endpoint_says(pos, reference):
    wishes = [("phone", "masked"), ("phone", "raw"), ("ring_size", "raw"), ("allergies", "raw"), ("birth_date", "raw")]
    for wish in wishes:
        for purpose in ("clienteling.in_store", "clienteling.aftercare", "service.repair", "marketing.email"):
            answer = told(may(pos, reference, wish, purpose=purpose))
            token = pos.wish(reference, wish, purpose=purpose)
            granted = token.status_code == 200
            assert answer["decision"] is (
                granted and token.json()["authorization_details"][0]["fields"][0]["decision"] == "granted"
            )
            assert ("context" in answer) is granted


def test_strangers_and_those_of_whom_nothing_may_be_seen_are_one_answer(maison, pos, sister, reference):
    pos.withdraw(reference)
    no = {"decision": False}
    refused = may(pos, reference, ("phone", "masked"))
    assert told(refused) == no
    for other in (STRANGER, sister.created(PERSON, CONSENT)):
        answer = may(pos, other, ("phone", "masked"))
        assert told(answer) == no
        drawn = {"x-request-id", "content-length"}
        assert {k: v for k, v in answer.headers.items() if k not in drawn} == {
            k: v for k, v in refused.headers.items() if k not in drawn
        }


def test_a_system_asks_for_itself_alone(pos, reference):
    assert told(may(pos, reference, ("phone", "masked"), system="aurelle-crm")) == {"decision": False}


def test_no_value_and_no_use(maison, pos, reference):
    token = pos.granted(reference, ("phone", "masked"))
    answer = may(pos, reference, ("phone", "masked"))
    assert "•" not in answer.text
    assert pos.disclose(token).status_code == 200


def test_bodies_are_closed(pos, reference):
    problem_of(may(pos, reference, ("phone", "predicate")), 422, "invalid_request")
    problem_of(may(pos, reference, ("phone", "masked", "over_18")), 422, "invalid_request")
    problem_of(may(pos, reference, ("phone", "masked"), more=1), 422, "invalid_request")
    problem_of(may(pos, reference, ("nonsense", "masked")), 422, "unknown_field")
    problem_of(may(pos, reference, ("phone", "masked"), purpose="nonsense"), 422, "unknown_purpose")
