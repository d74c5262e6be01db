"""A reference is replaced: the old one dies, or resolves for a while, and what was granted lives on."""

import pytest
from maison_callers import CONSENT, PERSON, STRANGER, problem_of

from vault import housekeeping


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


def rotate(caller, reference, body=None, **how):
    path = f"/v1/subjects/{reference}/rotation"
    return caller.send("POST", path, caller.service("subject.write"), {} if body is None else body, **how)


def told(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_without_a_grace_the_old_reference_is_a_strangers_at_once(maison, pos, reference):
    token = pos.granted(reference, ("phone", "masked"), max_uses=2)
    new = told(rotate(pos, reference))
    assert (new["until"], new["reference"] != reference) == (None, True)
    assert pos.describe(new["reference"]).status_code == 200
    old, unknown = pos.describe(reference), pos.describe(STRANGER)
    problem_of(old, 404, "unknown_reference")
    assert old.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}
    # The token is bound to the person: it is redeemed as before, and spells the new reference.
    looked = pos.disclose(token)
    assert looked.json()["reference"] == new["reference"]
    problem_of(pos.disclose(token, {"reference": reference}), 404, "unknown_reference")
    problem_of(rotate(pos, reference), 404, "unknown_reference")
    found = pos.search("client_number", "AU-0042").json()["candidates"]
    assert [each["reference"] for each in found] == [new["reference"]]
    assert [entry.act for entry in maison.entries()].count("reference.rotated") == 2


def test_with_a_grace_both_resolve_and_then_the_new_one_alone(maison, pos, reference, clock):
    new = told(rotate(pos, reference, {"grace_seconds": 600}))
    assert new["until"] == clock.now() + 600
    # Answers repeat what was asked; what names nobody spells the new one.
    assert pos.describe(reference).json()["reference"] == reference
    found = pos.search("client_number", "AU-0042").json()["candidates"]
    assert [each["reference"] for each in found] == [new["reference"]]
    # Asked again by the old one: what it was replaced by, not a third.
    assert told(rotate(pos, reference, {"grace_seconds": 600}))["reference"] == new["reference"]
    clock.advance(599)
    pos.kept.clear()
    assert pos.describe(reference).status_code == 200
    clock.advance(1)
    pos.kept.clear()
    problem_of(pos.describe(reference), 404, "unknown_reference")
    assert pos.describe(new["reference"]).status_code == 200
    clock.advance(housekeeping.GRACE_SECONDS + 1)
    assert housekeeping.purge(maison.vault).references == 1
    pos.kept.clear()
    assert pos.describe(new["reference"]).status_code == 200


def test_a_repeated_request_gets_the_first_answer(pos, reference):
    headers = {"Idempotency-Key": "rotate-once"}
    first = told(rotate(pos, reference, headers=headers))
    assert told(rotate(pos, reference, headers=headers)) == first


def test_it_is_the_brands_own_reference_alone(pos, sister, reference):
    theirs = sister.created(PERSON, CONSENT)
    problem_of(rotate(sister, reference), 404, "unknown_reference")
    assert told(rotate(sister, theirs))["reference"] != theirs
    assert pos.describe(reference).status_code == 200
    problem_of(rotate(pos, reference, {"grace_seconds": 30 * 86_400 + 1}), 422, "invalid_request")


def test_consents_and_changes_follow_the_person(pos, reference):
    new = told(rotate(pos, reference))["reference"]
    assert pos.withdraw(new).status_code == 201
    assert pos.patch(new, {"set": {"preferred_language": "en"}}, '"1"').status_code == 200
