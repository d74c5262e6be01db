"""Subjects over HTTP: one's own only, changed under the version last seen, and nothing told of anybody else's."""

import pytest
from maison_callers import CONSENT, NOTICE, PERSON, STRANGER, problem_of

CANARY = "canary-4be1"
VISIT = {"date": "2026-09-01", "boutique": "PAR1", "occasion": "walk_in"}


@pytest.fixture
def known(pos):
    """A person the boutique created; its reference."""
    return pos.created()


def without_id(answer):
    """A problem as an attacker compares it: everything but the request's own id."""
    body = answer.json()
    body.pop("request_id")
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, body, headers


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_sister_maisons_reference_is_exactly_as_unknown_as_nobodys(pos, sister, known):
    theirs = sister.describe(known)
    problem_of(theirs, 404, "unknown_reference")
    assert without_id(theirs) == without_id(sister.describe(STRANGER))
    change = {"set": {"preferred_language": "en"}}
    theirs = sister.patch(known, change, '"1"')
    assert without_id(theirs) == without_id(sister.patch(STRANGER, change, '"1"'))
    # Nor does bad input tell them apart: whose reference it is comes first.
    wrong = {"set": {"email": [CANARY]}}
    assert without_id(sister.patch(known, wrong, '"7"')) == without_id(sister.patch(STRANGER, wrong, '"7"'))
    assert without_id(sister.give(known)) == without_id(sister.give(STRANGER))
    assert without_id(sister.withdraw(known)) == without_id(sister.withdraw(STRANGER))
    assert pos.describe(known).json()["version"] == 1


def test_what_is_no_reference_is_refused_unread(pos):
    for reference in ("ref_short", STRANGER.upper(), STRANGER[:-1] + "I", STRANGER + "0"):
        problem_of(pos.describe(reference), 422, "invalid_request")


def test_a_change_needs_the_version_last_seen(pos, known):
    change = {"set": {"preferred_language": "en"}}
    problem_of(pos.patch(known, change), 428, "precondition_required")
    for etag in ('"2"', 'W/"1"', "*", "1", '"1", "2"', '"0"', '"01"', "", '"one"'):
        problem_of(pos.patch(known, change, etag), 412, "version_conflict")
    assert pos.describe(known).json()["version"] == 1
    assert pos.seen(known, "preferred_language") == {"preferred_language": "fr"}


MISFITS = (
    ({}, "invalid_request"),
    ({"fields": {}}, "invalid_request"),
    ({"fields": PERSON, "brand": "vantier"}, "invalid_request"),
    ({"fields": PERSON, CANARY: 1}, "invalid_request"),
    ({"fields": {"email": [CANARY]}}, "invalid_fields"),
    ({"fields": {"shoe_color": CANARY}}, "invalid_fields"),
    ({"fields": {"birth_date": CANARY, "email": [CANARY]}}, "invalid_fields"),
    ({"fields": {"phone": CANARY}}, "invalid_fields"),
    ({"fields": PERSON, "consents": [CONSENT | {"purpose": "marketing.telepathy"}]}, "invalid_fields"),
    ({"fields": PERSON, "consents": [CONSENT | {"notice": NOTICE | {"version": 99}}]}, "invalid_fields"),
    ({"fields": PERSON, "consents": [CONSENT | {"notice": NOTICE | {"language": CANARY}}]}, "invalid_request"),
    ({"fields": PERSON, "region": 7}, "invalid_request"),
)


def test_a_creation_that_does_not_fit_is_refused_and_not_repeated(maison, pos):
    for body, code in MISFITS:
        answer = pos.send("POST", "/v1/subjects", pos.service("subject.write"), body)
        problem_of(answer, 422, code)
        assert CANARY not in answer.text + str(answer.headers)
    assert "subject.registered" not in [entry.act for entry in maison.entries()]


def test_every_refused_field_is_named_by_the_catalogue_and_strangers_by_position(pos):
    fields = {"email": ["nobody"], CANARY.replace("-", "_"): 1, "birth_date": "yesterday"}
    listed = problem_of(pos.create(fields), 422, "invalid_fields")["fields"]
    assert {each["name"] for each in listed} == {"email", "fields[1]", "birth_date"}
    assert all(each["reason"] for each in listed)


def test_journals_are_added_to_and_never_rewritten(pos):
    reference = pos.created(PERSON | {"visits": [VISIT]})
    for change in ({"set": {"visits": [VISIT]}}, {"end": {"visits": [1]}}, {"correct": {"visits": [VISIT]}}):
        body = problem_of(pos.patch(reference, change, '"1"'), 422, "invalid_fields")
        assert body["fields"] == [{"name": "visits", "reason": "journal_entries_stand"}]
    assert pos.patch(reference, {"append": {"visits": [VISIT | {"date": "2026-09-08"}]}}, '"1"').status_code == 200
    seen = pos.seen(reference, "visits")["visits"]
    assert [each["value"]["date"] for each in seen] == ["2026-09-01", "2026-09-08"]


def test_a_change_is_made_whole_or_not_at_all(pos, known):
    change = {"set": {"preferred_language": "en"}, "append": {"email": ["nobody"]}}
    problem_of(pos.patch(known, change, '"1"'), 422, "invalid_fields")
    problem_of(
        pos.patch(known, {"end": {"phone": [9]}, "set": {"preferred_language": "en"}}, '"1"'), 422, "invalid_fields"
    )
    for change in ({}, {"set": {}}, {"set": {"phone": []}, "append": {"phone": ["+33639981235"]}}):
        problem_of(pos.patch(known, change, '"1"'), 422, "invalid_fields")
    assert pos.describe(known).json()["version"] == 1
    assert pos.seen(known, "preferred_language")["preferred_language"] == "fr"


# --- done ------------------------------------------------------------------------------------------------------------


def test_created_described_and_changed_under_one_chain_of_versions(pos):
    made = pos.create(PERSON, CONSENT)
    assert made.status_code == 201
    assert made.json().keys() == {"reference", "version"}
    assert made.headers["etag"] == '"1"'
    reference = made.json()["reference"]
    described = pos.describe(reference)
    assert described.json() == {"reference": reference, "version": 1, "since": "2026-09"}
    for version in (1, 2, 3):
        etag = described.headers["etag"]
        described = pos.patch(reference, {"append": {"favourite_colours": [f"tint {version}"]}}, etag)
        assert (described.status_code, described.headers["etag"]) == (200, f'"{version + 1}"')
        assert pos.patch(reference, {"set": {"preferred_language": "en"}}, etag).status_code == 412


def test_set_append_end_and_correct(pos, known):
    first = pos.seen(known, "phone", "preferred_language", "birth_date")
    change = {
        "set": {"preferred_language": "en"},
        "append": {"email": ["second@example.com"]},
        "end": {"phone": [first["phone"][0]["item"]]},
        "correct": {"birth_date": "1984-05-18"},
    }
    assert pos.patch(known, change, '"1"').json() == {"reference": known, "version": 2}
    now = pos.seen(known, "phone", "email", "preferred_language", "birth_date")
    assert [each["value"] for each in now["phone"]] == ["+971501234567"]
    assert [each["value"] for each in now["email"]] == ["Apolline.Rousselin@example.com", "second@example.com"]
    assert (now["preferred_language"], now["birth_date"]) == ("en", "1984-05-18")
    item = now["email"][1]["item"]
    correction = {"correct": {"email": [{"item": item, "value": "third@example.com"}]}}
    assert pos.patch(known, correction, '"2"').status_code == 200
    assert [each["value"] for each in pos.seen(known, "email")["email"]][1] == "third@example.com"
    # The index follows: what ended or was corrected is found no longer, what came is.
    found = {value: len(pos.search(by, value).json()["candidates"]) for by, value in (
        ("phone", "+33639981234"), ("phone", "+971501234567"), ("email", "second@example.com"), ("email", "third@example.com"),
    )}  # fmt: skip
    assert list(found.values()) == [0, 1, 0, 1]


def test_two_brands_hold_two_references_of_their_own(pos, sister):
    mine, theirs = pos.created(), sister.created()
    assert mine != theirs
    assert pos.describe(mine).status_code == sister.describe(theirs).status_code == 200
    assert pos.describe(theirs).status_code == sister.describe(mine).status_code == 404


# --- search ----------------------------------------------------------------------------------------------------------


SPELLINGS = (
    ("phone", "+33639981234"),
    ("phone", " +33 6 39 98 12 34 "),
    ("phone", "+971 50 123 4567"),
    ("email", "APOLLINE.ROUSSELIN@EXAMPLE.COM"),
    ("client_number", "au-0042"),
)


def test_each_index_finds_by_any_spelling(pos, known):
    for by, value in SPELLINGS:
        answer = pos.search(by, value)
        assert answer.status_code == 200
        assert answer.json() == {"candidates": [{"reference": known, "version": 1, "since": "2026-09"}], "more": False}


def test_who_is_not_there_is_not_found_and_a_sister_maison_finds_nobody(maison, pos, sister, known):
    nobody = {"candidates": [], "more": False}
    assert pos.search("phone", "+33639981299").json() == nobody
    assert sister.search("phone", "+33639981234").json() == nobody
    assert [entry.act for entry in maison.entries()].count("subject.searched") == 2


def test_what_no_index_answers_is_refused_and_not_found_missing(maison, pos, known):
    for by in ("name", "birth_date", "shoe_color"):
        answer = pos.search(by, CANARY)
        problem_of(answer, 422, "unsearchable_field")
        assert CANARY not in answer.text
        assert maison.entries()[-1].read["out"] == "deny"


def test_a_value_of_the_wrong_kind_is_refused_and_not_repeated(pos):
    for by in ("phone", "email"):
        answer = pos.search(by, CANARY)
        problem_of(answer, 422, "invalid_fields")
        assert CANARY not in answer.text


def test_a_search_takes_nothing_from_the_address(maison, pos, known):
    # With the query, no proof fits: `htu` has none, and the vault looks at the path alone. The body is still missing.
    path = "/v1/subjects/search?by=phone&value=%2B33639981234"
    token = pos.service("lookup")
    answer = pos.send("POST", path, token, {}, proofs=[pos.proof("POST", "/v1/subjects/search", token)])
    problem_of(answer, 422, "invalid_request")
    token = pos.service("lookup")
    problem_of(pos.send("GET", "/v1/subjects/search", token), 422, "invalid_request")


def test_at_most_three_are_shown_and_others_admitted(maison, pos):
    assert all(pos.created({"phone": ["+33639981234"]}) for _ in range(3))
    found = pos.search("phone", "+33639981234").json()
    assert (len(found["candidates"]), found["more"]) == (3, False)
    pos.created({"phone": ["+33639981234"]})
    found = pos.search("phone", "+33639981234").json()
    assert (len(found["candidates"]), found["more"]) == (3, True)
    assert len({each["reference"] for each in found["candidates"]}) == 3
