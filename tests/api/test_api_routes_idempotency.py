"""A write under an Idempotency-Key happens once; its key with another body is refused; two at once are one."""

from concurrent.futures import ThreadPoolExecutor

from maison_callers import CONSENT, PERSON, fresh, problem_of

CANARY = "canary-77aa"


def keyed(key):
    return {"Idempotency-Key": key}


def acts(maison, act):
    return [entry.act for entry in maison.entries()].count(act)


# --- refused ---------------------------------------------------------------------------------------------------------


def test_the_key_with_another_body_is_refused(maison, pos):
    key = fresh()
    assert pos.create(PERSON, headers=keyed(key)).status_code == 201
    other = pos.create(PERSON | {"client_number": "AU-0043"}, headers=keyed(key))
    problem_of(other, 422, "idempotency_mismatch")
    assert acts(maison, "subject.registered") == 1


def test_equal_meaning_in_other_bytes_or_at_another_path_is_another_request(maison, pos):
    key, token = fresh(), pos.service("subject.write")
    body = b'{"region":"fr","fields":{"phone":["+33639981234"]}}'
    sent = [("Content-Type", "application/json"), ("Idempotency-Key", key)]
    assert pos.send("POST", "/v1/subjects", token, content=body, headers=sent).status_code == 201
    problem_of(pos.send("POST", "/v1/subjects", token, content=body + b" ", headers=sent), 422, "idempotency_mismatch")
    reference = pos.created()
    change = {"set": {"preferred_language": "en"}}
    problem_of(pos.patch(reference, change, '"1"', headers=keyed(key)), 422, "idempotency_mismatch")
    assert pos.describe(reference).json()["version"] == 1


def test_what_cannot_be_a_key_is_refused(maison, pos):
    for headers in ([("Idempotency-Key", "")], [("Idempotency-Key", "k" * 256)], [("Idempotency-Key", "a")] * 2):
        problem_of(pos.create(PERSON, headers=headers), 400, "bad_request")
    assert acts(maison, "subject.registered") == 0


def test_a_refused_write_leaves_its_key_free(maison, pos):
    key = fresh()
    refused = pos.create({"email": [CANARY]}, headers=keyed(key))
    problem_of(refused, 422, "invalid_fields")
    assert pos.create(PERSON, headers=keyed(key)).status_code == 201
    assert acts(maison, "subject.registered") == 1


# --- done ------------------------------------------------------------------------------------------------------------


def test_the_same_request_again_gets_the_first_answer_and_does_nothing(maison, pos):
    key = fresh()
    first, again = (pos.create(PERSON, CONSENT, headers=keyed(key)) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.headers["etag"] == again.headers["etag"]
    reference = first.json()["reference"]
    changes = [pos.patch(reference, {"set": {"preferred_language": "en"}}, '"1"', headers=keyed("patch")) for _ in "ab"]
    # The second one's If-Match is stale by then, and it is still the first one's success.
    assert [answer.json()["version"] for answer in changes] == [2, 2]
    assert (acts(maison, "subject.registered"), acts(maison, "field.written")) == (1, 1)


def test_consent_too_is_recorded_once(maison, pos):
    reference, token = pos.created(), pos.service("consent.write")
    body = {"reference": reference, **CONSENT}
    first, again = (pos.send("POST", "/v1/consents", token, body, headers=keyed("consent")) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert acts(maison, "consent.given") == 1


def test_each_system_has_its_own_keys(pos, sister):
    key = fresh()
    mine, theirs = pos.create(PERSON, headers=keyed(key)), sister.create(PERSON, headers=keyed(key))
    assert mine.status_code == theirs.status_code == 201
    assert mine.json()["reference"] != theirs.json()["reference"]


def test_a_key_is_forgotten_after_a_day(maison, pos):
    key = fresh()
    first = pos.create(PERSON, headers=keyed(key)).json()["reference"]
    pos.clock.advance(24 * 3600)
    pos.kept.clear()
    assert pos.create(PERSON, headers=keyed(key)).json()["reference"] != first


def test_two_at_once_are_one(maison, pos):
    key = fresh()
    pos.service("subject.write")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: pos.create(PERSON, headers=keyed(key)), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["reference"] for answer in answers}) == 1
    assert acts(maison, "subject.registered") == 1
