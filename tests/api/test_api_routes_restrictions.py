"""Restricting over HTTP: outstanding tokens die, every purpose but legal claims is refused as a stranger's would be."""

import pytest
from maison_callers import CONSENT, PERSON, problem_of

GROUND = {"ground": "accuracy_contested"}
LIFTED = GROUND | {"informed": True}


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


def restrict(caller, reference, body=GROUND, **how):
    return caller.send("POST", f"/v1/subjects/{reference}/restriction", caller.service("rights.write"), body, **how)


def lift(caller, reference, body=LIFTED, **how):
    path = f"/v1/subjects/{reference}/restriction/lift"
    return caller.send("POST", path, caller.service("rights.write"), body, **how)


def test_outstanding_tokens_die_and_do_not_come_back_to_life(pos, reference):
    token = pos.granted(reference, ("phone", "masked"), max_uses=9)
    claims = pos.granted(reference, ("phone", "raw"), purpose="legal.claims", staff="counsel-1")
    assert pos.disclose(token).status_code == 200
    done = restrict(pos, reference)
    assert (done.status_code, done.json()) == (201, {"reference": reference, **GROUND, "stands": True})
    problem_of(pos.disclose(token), 401, "invalid_token")
    problem_of(pos.disclose(claims), 401, "invalid_token")  # decided before: it has to be decided anew
    assert lift(pos, reference).json() == {"reference": reference, **GROUND, "stands": False}
    problem_of(pos.disclose(token), 401, "invalid_token")
    assert pos.disclose(pos.granted(reference, ("phone", "masked"))).status_code == 200


def test_legal_claims_pass_and_everything_else_is_refused_without_saying_why(pos, reference):
    restrict(pos, reference)
    refused = pos.wish(reference, ("phone", "masked")).json()
    assert refused["code"] == "not_granted"
    assert "restrict" not in str(refused)
    assert pos.seen(reference, "email")["email"]
    evaluated = pos.send(
        "POST",
        "/v1/contact/evaluation",
        pos.service("lookup"),
        {"reference": reference, "purpose": "clienteling.in_store", "channel": "phone"},
    ).json()
    assert (evaluated["allowed"], evaluated["why"]) == (False, ["not_permitted"])
    # What the brand may always know of its reference does not tell either.
    assert set(pos.describe(reference).json()) == {"reference", "version", "since"}


def test_a_lift_needs_the_word_that_the_person_was_told_and_a_restriction_of_the_own_brand(pos, sister, reference):
    problem_of(lift(pos, reference), 404, "unknown_restriction")
    restrict(pos, reference)
    problem_of(lift(pos, reference, GROUND), 422, "invalid_request")
    problem_of(lift(pos, reference, GROUND | {"informed": False}), 422, "invalid_request")
    problem_of(lift(pos, reference, {"ground": "unlawful", "informed": True}), 404, "unknown_restriction")
    problem_of(lift(sister, reference), 404, "unknown_reference")
    problem_of(restrict(pos, reference, {"ground": "restored"}), 422, "invalid_request")
    assert pos.wish(reference, ("phone", "masked")).json()["code"] == "not_granted"


def test_a_repeated_request_gets_the_first_answer(maison, pos, reference):
    headers = {"Idempotency-Key": "restrict-once"}
    first, again = restrict(pos, reference, headers=headers), restrict(pos, reference, headers=headers)
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    assert [entry.act for entry in maison.entries()].count("subject.restricted") == 1
