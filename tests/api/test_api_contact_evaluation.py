"""May I contact this person now? Answered from consent, from the address it covers, and from wishes; never with either."""

import pytest
from maison_callers import CONSENT, PERSON, problem_of

MAIL = {"purpose": "marketing.email", "channel": "web",
        "notice": {"id": "marketing_email", "version": 1, "language": "fr"}}  # fmt: skip
QUIET = {"value": True, "valid_from": "2026-09-01", "valid_until": "2026-09-30"}
OVER = {"value": True, "valid_from": "2026-08-01", "valid_until": "2026-08-31"}
# The clock stands at 14:13 UTC on a Monday: 16:13 in Paris, 23:13 in Tokyo.
PARIS = {"contact_zone": "Europe/Paris", "contact_hours": ["weekday_afternoon"]}


def may(pos, reference, purpose="clienteling", channel="phone", **more):
    body = {"reference": reference, "purpose": purpose, "channel": channel, **more}
    answer = pos.send("POST", "/v1/contact/evaluation", pos.service("lookup"), body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_strangers_and_purposes_there_are_not_are_refused(pos, sister):
    reference = pos.created(PERSON, CONSENT)
    body = {"reference": reference, "purpose": "clienteling", "channel": "phone"}
    theirs = sister.send("POST", "/v1/contact/evaluation", sister.service("lookup"), body)
    problem_of(theirs, 404, "unknown_reference")
    wrong = body | {"purpose": "marketing.telepathy"}
    problem_of(pos.send("POST", "/v1/contact/evaluation", pos.service("lookup"), wrong), 422, "unknown_purpose")


def test_without_a_basis_nothing_is_told_but_that(maison, pos):
    reference = pos.created(PERSON | {"discretion": ["gifts_kept_secret"]})
    refused = {"reference": reference, "allowed": False, "why": ["not_permitted"], "language": "", "mind": []}
    assert may(pos, reference) == refused
    assert maison.entries()[-1].act == "contact.evaluated"
    assert maison.entries()[-1].read["out"] == "deny"
    # A minor with consent answers as anybody does who never gave one; so does a system not registered.
    child = pos.created(PERSON | {"birth_date": "2015-01-01"}, CONSENT)
    assert may(pos, child) == refused | {"reference": child}
    assert may(pos, pos.created(PERSON, CONSENT), purpose="clienteling.remote")["why"] == ["not_permitted"]


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ({}, []),
        (PARIS, []),
        (PARIS | {"contact_zone": "Asia/Tokyo"}, ["hours"]),
        (PARIS | {"contact_zone": "Nowhere/Such"}, ["hours"]),
        ({"keep_quiet": [QUIET]}, ["silence"]),
        ({"keep_quiet": [OVER]}, []),
        ({"contact_channel": ["email"]}, ["channel"]),
        ({"discretion": ["own_advisor_only"], "advisor": "advisor-7"}, ["advisor"]),
    ],
)
def test_wishes_narrow_what_a_consent_allows(pos, wishes, why):
    reference = pos.created(PERSON | wishes, CONSENT)
    answer = may(pos, reference)
    assert (answer["allowed"], answer["why"]) == (not why, why)
    assert answer["language"] == "fr"
    if "advisor" in wishes:
        assert may(pos, reference, staff="advisor-7")["allowed"]


def test_a_wish_that_does_not_open_is_no_wish_and_leaves_a_second_entry(maison, pos):
    reference = pos.created(PERSON | {"discretion": ["gifts_kept_secret"]}, CONSENT)
    with maison.vault.unit() as uow:
        uow.conn.exec_driver_sql("UPDATE field_value SET schema_version = schema_version + 1")
        uow.commit()
    body = {"reference": reference, "purpose": "clienteling", "channel": "phone"}
    answer = pos.send("POST", "/v1/contact/evaluation", pos.service("lookup"), body)
    problem_of(answer, 500, "integrity_failure")
    asked, failed = [each.read for each in maison.entries()[-2:]]
    assert (asked["act"], asked["out"]) == ("contact.evaluated", "allow")
    assert (failed["act"], failed["out"], failed["pol"]) == ("contact.evaluated", "error", ["failed.integrity_failure"])
    assert {"sref", "pur", "bas"} <= failed.keys()
    assert "fld" not in failed  # which wishes there are is not told


def test_what_is_to_be_minded_is_told_and_no_address_is(maison, pos):
    reference = pos.created(PERSON | {"discretion": ["gifts_kept_secret", "plain_packaging"]}, CONSENT)
    body = {"reference": reference, "purpose": "clienteling", "channel": "phone"}
    answer = pos.send("POST", "/v1/contact/evaluation", pos.service("lookup"), body)
    assert answer.json()["mind"] == ["gifts_kept_secret", "plain_packaging"]
    assert PERSON["email"][0] not in answer.text
    assert maison.entries()[-1].read["out"] == "allow"


def test_a_channel_is_open_only_for_an_address_that_is_covered(pos):
    reference = pos.created(PERSON)
    assert pos.give(reference, **MAIL).json()["contacts"] == 1
    assert may(pos, reference, "marketing.email", "email")["allowed"]
    assert may(pos, reference, "marketing.email", "phone")["why"] == ["channel"]
    etag = pos.describe(reference).headers["etag"]
    assert pos.patch(reference, {"set": {"email": ["new.address@example.com"]}}, etag).status_code == 200
    assert may(pos, reference, "marketing.email", "email")["why"] == ["no_contact"]
