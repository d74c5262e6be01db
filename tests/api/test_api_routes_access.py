"""AuthZEN evaluation: the answer a disclosure would get, without a value, and the same no for everybody unknown."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maison_callers import CONSENT, PERSON, STRANGER, problem_of

from api.bodies.access import MOST
from vault import systems
from vault.budgetlimits import Budgets


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


def question(caller, reference, *fields, purpose="clienteling.in_store", system=None, **more):
    shaped = [dict(zip(("name", "level", "predicate"), each, strict=False)) for each in fields]
    return {
        "subject": {"type": "system", "id": system or caller.id},
        "action": {"name": "disclose", "properties": {"purpose": purpose, "fields": shaped, **more}},
        "resource": {"type": "subject", "id": reference},
        "context": {"time": "2026-09-21T10:00:00Z"},
    }


def may(caller, reference, *fields, **how):
    body = question(caller, reference, *fields, **how)
    return caller.send("POST", "/access/v1/evaluation", caller.service("lookup"), body)


def may_each(caller, *questions, semantic=None, **shared):
    """Several questions in one request, with what it says for all."""
    body = {"evaluations": [*questions], **shared}
    body |= {} if semantic is None else {"options": {"evaluations_semantic": semantic}}
    return caller.send("POST", "/access/v1/evaluations", caller.service("lookup"), body)


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
    problem_of(may(pos, reference, ("nonsense", "masked")), 422, "unknown_field")
    problem_of(may(pos, reference, ("phone", "masked"), purpose="nonsense"), 422, "unknown_purpose")


def alone(pos, body):
    return pos.send("POST", "/access/v1/evaluation", pos.service("lookup"), body)


def test_what_would_be_answered_otherwise_than_meant_is_refused(pos, reference):
    whole = question(pos, reference, ("phone", "masked"))
    of = whole["action"]["properties"]
    for wrong in (
        whole | {"evaluations": [whole]},  # one yes would be taken for all
        whole | {"evaluations": []},
        whole | {"options": {"evaluations_semantic": "execute_all"}},
        asking(whole, {**of, "fields": [{"name": "phone", "level": "predicate", "predicat": "known"}]}),
        asking(whole, {**of, "fields": [{"name": "phone", "level": "masked", "more": 1}]}),
        asking(whole, {"purposes": of["purpose"], "fields": of["fields"]}),
        asking(whole, {"purpose": of["purpose"], "field": of["fields"]}),
        whole | {"subject": whole["subject"] | {"properties": "none"}},
        whole | {"resource": whole["resource"] | {"properties": []}},
        whole | {"resource": {"type": "subject", "identifier": reference}},
        whole | {"context": "none"},
    ):
        problem_of(alone(pos, wrong), 422, "invalid_request")


def asking(whole, properties):
    return whole | {"action": {"name": "disclose", "properties": properties}}


def test_what_the_standard_may_still_get_is_ignored(maison, pos, reference):
    """Members and properties that are not known here, as its certification scenario sends them (2.2.3, 2.2.8, 2.2.9)."""
    more = {"foo": "bar", "futureField": {"nested": True}}
    for wishes in ((("phone", "masked"),), (("allergies", "raw"),)):
        whole = question(pos, reference, *wishes)
        named = {name: each | more for name, each in whole.items() if name in {"subject", "action", "resource"}}
        for name in ("subject", "resource"):
            named[name]["properties"] = {"department": "Sales", "role": "admin", "staff": True}
        named["action"]["properties"] = named["action"]["properties"] | {"method": "GET"}
        fuller = named | more | {"context": {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}}
        before = len(maison.entries())
        answer = told(alone(pos, whole))
        assert told(alone(pos, fuller)) == answer
        assert decisions(may_each(pos, fuller, {}, **whole, **more)) == [answer["decision"]] * 2
        written = [each.read for each in maison.entries()[before:] if each.act == "field.evaluated"]
        ours = ("out", "fld", "pur", "pol")
        assert len(written) == 4
        assert len({str([each.get(name) for name in ours]) for each in written}) == 1
        assert not any(word in str(each) for each in written for word in ("Sales", "futureField", "192.168.1.1"))


def test_who_misspells_that_staff_asks_is_answered_as_without(pos, reference):
    whole = question(pos, reference, ("phone", "raw"))
    of = {name: each for name, each in whole["action"]["properties"].items() if name != "staff"}
    without, misspelt, with_ = (
        told(alone(pos, asking(whole, of | each))) for each in ({}, {"staf": True}, {"staff": True})
    )
    assert misspelt == without
    assert with_["decision"] or not without["decision"]


# --- several in one request (AuthZEN Authorization API 1.0 §7) ----------------------------------------------------------

YES, NO = ("phone", "masked"), ("allergies", "raw")


def decisions(answer):
    return [each["decision"] for each in told(answer)["evaluations"]]


def evaluated(maison):
    return sum(each.act == "field.evaluated" for each in maison.entries())


def test_several_are_answered_in_their_order_as_each_would_be_alone(maison, pos, sister, reference):
    asked = [
        question(pos, reference, YES),
        question(pos, reference, ("phone", "raw"), ("name", "masked")),
        question(pos, STRANGER, YES),
        question(pos, sister.created(PERSON, CONSENT), YES),
        question(pos, reference, YES, system="aurelle-crm"),
        question(pos, reference, ("birth_date", "predicate", "over_18")),
        question(pos, reference, YES, purpose="marketing.email"),
    ]
    alone = [told(pos.send("POST", "/access/v1/evaluation", pos.service("lookup"), each)) for each in asked]
    before = len(maison.entries())
    many = told(may_each(pos, *asked))
    assert many == {"evaluations": alone}
    assert [each["decision"] for each in alone] == [True, False, False, False, False, True, False]
    # Each is an entry of its own, like the seven before.
    written = [each.read for each in maison.entries()[before:]]
    ours = ("act", "out", "fld", "pur", "pol")
    assert [[each.get(name) for name in ours] for each in written] == [
        [each.read.get(name) for name in ours] for each in maison.entries()[before - 7 : before]
    ]
    assert ["sref" in each for each in written] == [True, True, False, False, True, True, True]


def test_what_the_request_says_for_all_fills_in_what_a_question_leaves_out(pos, reference):
    whole = question(pos, reference, YES)
    other = question(pos, reference, NO)["action"]
    stranger = {"resource": {"type": "subject", "id": STRANGER}}
    assert decisions(may_each(pos, {}, {"action": other}, stranger, **whole)) == [True, False, False]
    everything_else = {name: each for name, each in whole.items() if name != "resource"}
    assert decisions(may_each(pos, {"resource": whole["resource"]}, stranger, **everything_else)) == [True, False]
    assert decisions(may_each(pos, whole | {"context": {}}, subject={"type": "system", "id": "aurelle-crm"})) == [True]


def test_without_questions_it_is_the_single_one(pos, reference):
    whole = question(pos, reference, YES)
    for body in (whole, whole | {"evaluations": []}):
        answer = told(pos.send("POST", "/access/v1/evaluations", pos.service("lookup"), body))
        assert answer == told(may(pos, reference, YES))
    unknown = question(pos, reference, ("nonsense", "masked"))
    problem_of(pos.send("POST", "/access/v1/evaluations", pos.service("lookup"), unknown), 422, "unknown_field")


def test_it_ends_with_the_first_no_or_the_first_yes_and_the_rest_is_neither_counted_nor_logged(maison, pos):
    people = [pos.created(PERSON | {"client_number": f"AU-{each}"}, CONSENT) for each in range(4)]
    with maison.vault.unit() as unit:
        systems.change_budgets(unit, pos.id, Budgets(("system:people:3/day",)))
        unit.commit()
    yes, no = (lambda at: question(pos, people[at], YES)), (lambda at: question(pos, people[at], NO))
    assert decisions(may_each(pos, yes(0), no(1), yes(2), yes(3), semantic="deny_on_first_deny")) == [True, False]
    assert evaluated(maison) == 2
    assert decisions(may_each(pos, no(0), yes(1), yes(2), yes(3), semantic="permit_on_first_permit")) == [False, True]
    assert evaluated(maison) == 4
    # Two people are counted, and there is room for one more.
    answer = may_each(pos, yes(0), yes(2), yes(3), yes(1), semantic="execute_all")
    assert decisions(answer) == [True, True, False, True]
    error = told(answer)["evaluations"][2]["context"]["error"]
    assert error == {
        "status": 429, "code": "budget_exhausted", "message": "A budget of this system has no room left.",
    }  # fmt: skip
    # What cannot be decided counts as a no.
    assert decisions(may_each(pos, yes(0), yes(3), yes(1), semantic="deny_on_first_deny")) == [True, False]
    assert decisions(may_each(pos, yes(3), yes(1), yes(0), semantic="permit_on_first_permit")) == [False, True]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    wishes=st.lists(st.booleans(), min_size=1, max_size=6),
    semantic=st.sampled_from(["execute_all", "deny_on_first_deny", "permit_on_first_permit"]),
)
def test_any_several_are_those_that_one_would_have_asked_one_after_the_other(pos, reference, wishes, semantic):
    expected = []
    for wish in wishes:
        expected.append(wish)
        if {"deny_on_first_deny": False, "permit_on_first_permit": True}.get(semantic) is wish:
            break
    asked = [question(pos, reference, YES if wish else NO) for wish in wishes]
    assert decisions(may_each(pos, *asked, semantic=semantic)) == expected


def test_one_that_names_what_is_not_there_fails_alone(pos, reference):
    asked = [
        question(pos, reference, YES),
        question(pos, reference, ("nonsense", "masked")),
        question(pos, reference, YES, purpose="nonsense"),
    ]
    first, *others = told(may_each(pos, *asked))["evaluations"]
    assert first["decision"] is True
    assert [(each["decision"], each["context"]["error"]["code"]) for each in others] == [
        (False, "unknown_field"),
        (False, "unknown_purpose"),
    ]


def test_bodies_of_several_are_closed(pos, reference):
    whole = question(pos, reference, YES)
    parts = [
        {name: each for name, each in whole.items() if name != missing} for missing in ("subject", "action", "resource")
    ]
    for wrong in (
        *({"evaluations": [whole, part]} for part in parts),
        *parts,
        {},
        {"evaluations": []},
        {"evaluations": [whole] * (MOST + 1)},
        {"evaluations": [whole], "options": {"evaluations_semantic": "any"}},
        {"evaluations": [whole], "options": {"another": "value"}},
        {"evaluations": [whole | {"evaluations": [whole]}]},
        {"evaluations": [whole | {"options": {}}]},
        {"evaluations": [question(pos, reference, ("phone", "predicate"))]},
        {"evaluations": whole},
        {"evaluations": [whole], "options": {"evaluation_semantic": "deny_on_first_deny"}},
    ):
        problem_of(pos.send("POST", "/access/v1/evaluations", pos.service("lookup"), wrong), 422, "invalid_request")
    assert len(decisions(may_each(pos, *[{}] * MOST, **whole))) == MOST
