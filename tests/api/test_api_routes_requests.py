"""Requests over HTTP: handed in by a brand, followed, taken back; nothing of the person in any answer."""

import pytest
from joserfc.jwk import OKPKey
from maison_callers import CONSENT, PERSON, problem_of

from api.requests import protocol_status
from policies.deadlines import Clock
from policies.rights import Assurance, Right
from vault.requests.records import Ground, Outcome, Request, Requester, Source
from vault.requests.states import State

SIGNED_IN = {"assurance": "signed_in"}


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


def hand_in(caller, reference, right="access", **body):
    headers = body.pop("headers", None)
    body = {"reference": reference, "right": right} | body
    more = {} if headers is None else {"headers": headers}
    return caller.send("POST", "/v1/requests", caller.service("rights.write"), body, **more)


def follow(caller, name):
    return caller.send("GET", f"/v1/requests/{name}", caller.service("rights.write"))


def withdraw(caller, name):
    return caller.send("POST", f"/v1/requests/{name}/withdraw", caller.service("rights.write"))


def test_a_request_is_handed_in_followed_and_taken_back(pos, reference):
    made = hand_in(pos, reference, **SIGNED_IN)
    assert made.status_code == 201
    body = made.json()
    assert (body["state"], body["status"], body["reason"]) == ("scoping", "in_progress", None)
    assert 27 * 86_400 < body["due"] - body["received"] < 40 * 86_400
    assert follow(pos, body["request"]).json() == body
    back = withdraw(pos, body["request"]).json()
    assert (back["state"], back["status"], back["outcome"]) == ("withdrawn", "revoked", "withdrawn")
    problem_of(withdraw(pos, body["request"]), 409, "illegal_move")


def test_who_is_not_known_has_to_be_verified(pos, reference):
    body = hand_in(pos, reference, "erasure").json()
    assert (body["state"], body["status"], body["reason"]) == ("acknowledged", "in_progress", "need_user_verification")


def test_an_objection_is_carried_out_when_the_answer_comes(pos, reference):
    token = pos.granted(reference, ("phone", "masked"), max_uses=9)
    body = hand_in(pos, reference, "objection", names=["clienteling"]).json()
    assert (body["state"], body["status"], body["outcome"]) == ("closed", "fulfilled", "granted")
    problem_of(pos.disclose(token), 401, "invalid_token")


def test_a_duplicate_says_of_what(pos, reference):
    first = hand_in(pos, reference, **SIGNED_IN).json()
    second = hand_in(pos, reference, **SIGNED_IN).json()
    assert (second["state"], second["duplicate_of"]) == ("duplicate", first["request"])
    assert second["request"] != first["request"]


def test_a_repeated_call_is_no_duplicate(maison, pos, reference):
    headers = {"Idempotency-Key": "once"}
    first = hand_in(pos, reference, headers=headers, **SIGNED_IN)
    again = hand_in(pos, reference, headers=headers, **SIGNED_IN)
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    assert [each.act for each in maison.entries()].count("request.received") == 1
    other = hand_in(pos, reference, "erasure", headers=headers)
    problem_of(other, 422, "idempotency_mismatch")


def test_a_sister_brand_finds_none_of_it(pos, sister, reference):
    name = hand_in(pos, reference).json()["request"]
    problem_of(hand_in(sister, reference), 404, "unknown_reference")
    problem_of(follow(sister, name), 404, "unknown_request")
    problem_of(withdraw(sister, name), 404, "unknown_request")
    problem_of(follow(pos, "0" * 32), 404, "unknown_request")
    problem_of(follow(pos, "nonsense"), 422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        {"assurance": "code"},
        {"right": "revenge"},
        {"names": ["nonsense"]},
        {"words": "x" * 4001},
        {"requester": "agent"},
        {"requester": "agent", "mandate_hash": "ab"},
        {"right": "restriction", "names": ["restored"]},
        {"key": OKPKey.generate_key("X25519").as_dict(private=True)},
        {"key": {"kty": "oct", "k": "AAAA"}},
        {"key": OKPKey.generate_key("Ed25519").as_dict(private=False)},
        {"surprise": 1},
    ],
)
def test_what_cannot_be_meant_is_refused(pos, reference, body):
    assert hand_in(pos, reference, **body).status_code == 422


def test_a_key_to_seal_to_is_taken(pos, reference):
    assert hand_in(pos, reference, key=OKPKey.generate_key("X25519").as_dict(private=False)).status_code == 201


def test_no_word_of_the_person_is_in_answers_or_log(maison, pos, reference):
    words = "je suis enceinte"
    made = hand_in(pos, reference, "complaint", words=words)
    assert words not in made.text
    assert words not in follow(pos, made.json()["request"]).text
    assert words not in str(maison.entries())


@pytest.mark.parametrize(
    ("state", "outcome", "ground", "status"),
    [
        (State.RECEIVED, Outcome.OPEN, None, ("open", None)),
        (State.IDENTITY_CHECK, Outcome.OPEN, None, ("in_progress", "need_user_verification")),
        (State.IDENTITY_FAILED, Outcome.OPEN, None, ("denied", "insuf_verification")),
        (State.CLOSED, Outcome.UNVERIFIED, None, ("denied", "insuf_verification")),
        (State.OFFICER_REVIEW, Outcome.OPEN, None, ("in_progress", None)),
        (State.REFUSED, Outcome.REFUSED, Ground.LEGAL_OBLIGATION, ("denied", "claim_not_covered")),
        (State.CLOSED, Outcome.REFUSED, Ground.SUSPECTED_FRAUD, ("denied", "suspected_fraud")),
        (State.DELIVERED, Outcome.PARTIALLY_GRANTED, Ground.RIGHTS_OF_OTHERS, ("fulfilled", "other")),
        (State.CLOSED, Outcome.GRANTED, None, ("fulfilled", None)),
        (State.CERTIFIED, Outcome.GRANTED, None, ("fulfilled", None)),
        (State.EXECUTED, Outcome.GRANTED, None, ("in_progress", None)),
        (State.WITHDRAWN, Outcome.WITHDRAWN, None, ("revoked", None)),
        (State.DUPLICATE, Outcome.DUPLICATE, None, ("denied", "other")),
    ],
)
def test_states_have_a_status_of_the_protocol(state, outcome, ground, status):
    request = Request(
        b"", None, "aurelle", Right.ACCESS, "eu", (), Source.BRAND, "x", Requester.SELF, None, "en", Assurance.NONE, state,
        "", outcome, ground, (), Clock(0), 0, None, None, None, (), 1, has_content=False,
    )  # fmt: skip
    assert protocol_status(request) == status
