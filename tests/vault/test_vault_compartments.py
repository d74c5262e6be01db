"""Values in compartments: versions that only grow, rows that are never rewritten, amendments of each kind of field."""

import pytest
from maison_people import AURELLE, FIELDS, VANTIER, change, items, one, ordered, person, rows, take_in, value

import audit.entry
from vault.errors import IntegrityFailure, InvalidFields, KeyUnavailable, UnknownReference, VersionConflict
from vault.subjects import update
from vault.unit import execute

NOTE = {"date": "2026-03-01", "topic": "taste", "text": "Prefers the quiet salon."}


@pytest.fixture
def registered(vault):
    return one(take_in(vault))


def stored(vault, field_id):
    """(item, version, current) of a field's rows, by version."""
    found = rows(vault, "SELECT item, version, current FROM field_value WHERE field_id = ? ORDER BY version", field_id)
    return [(item, version, bool(current)) for item, version, current in found]


def envelopes(vault):
    return {
        tuple(row[:3]): bytes(row[3])
        for row in rows(vault, "SELECT category_id, field_id, version, envelope FROM field_value")
    }


def topic(vault):
    return vault.bundle.catalogue.field("advisor_notes").choices[0]


def test_versions_grow_per_compartment_and_are_unique_in_it(vault, registered):
    change(vault, registered, set={"phone": ["+33639985555"]}, append={"email": ["b@example.com"]})
    change(vault, registered, set={"client_number": "AU-2"})
    found = rows(vault, "SELECT category_id, version FROM field_value")
    assert len(found) == len(set(found))
    for category_id, writes in rows(vault, "SELECT category_id, writes FROM compartment"):
        assert sorted(version for category, version in found if category == category_id) == list(range(1, writes + 1))


def test_a_single_value_is_superseded_and_its_row_stays(vault, registered):
    before = envelopes(vault)
    answer = change(vault, registered, set={"client_number": "AU-2"})
    assert answer.version == 2
    assert value(vault, registered.subject, "client_number") == "AU-2"
    assert stored(vault, 101) == [(0, 1, False), (0, 3, True)]
    after = envelopes(vault)
    assert all(after[at] == envelope for at, envelope in before.items())


def test_a_list_is_replaced_whole_and_says_when_items_ended(vault, registered):
    first = items(vault, registered.subject, "phone")
    change(vault, registered, set={"phone": ["+33639985555"]})
    second = items(vault, registered.subject, "phone")
    assert list(second.values()) == ["+33639985555"]
    assert not first.keys() & second.keys()
    assert [current for _, _, current in stored(vault, 201)] == [False, False, False, False, True]


def test_an_empty_list_clears_the_field(vault, registered):
    change(vault, registered, set={"phone": []})
    assert value(vault, registered.subject, "phone") is None
    assert rows(vault, "SELECT count(*) FROM search_token WHERE field_id = 201") == [(0,)]


def test_an_item_is_appended_and_ended_by_its_number(vault, registered):
    before = items(vault, registered.subject, "phone")
    change(vault, registered, append={"phone": ["+33639985555"]})
    both = items(vault, registered.subject, "phone")
    assert {number: both[number] for number in before} == before
    gone = min(before)
    change(vault, registered, end={"phone": [gone]})
    assert items(vault, registered.subject, "phone") == {item: each for item, each in both.items() if item != gone}
    (error,) = [change(vault, registered, end={"phone": [gone]})]
    assert error.problems == (("phone", "unknown_item"),)


def test_a_single_value_can_end(vault, registered):
    change(vault, registered, end={"ring_size": [0]})
    assert value(vault, registered.subject, "ring_size") is None
    change(vault, registered, set={"ring_size": {"value": "53", "system": "eu"}})
    assert value(vault, registered.subject, "ring_size") == {"value": "53", "system": "eu"}


def test_a_correction_keeps_no_copy_of_what_was_wrong(vault, registered):
    wrong = envelopes(vault)
    change(vault, registered, correct={"birth_date": "1985-05-17", "phone": [{"item": 1, "value": "+33639985555"}]})
    assert value(vault, registered.subject, "birth_date") == "1985-05-17"
    assert items(vault, registered.subject, "phone") == {1: "+33639985555", 2: "+971501234567"}
    kept = envelopes(vault).values()
    assert wrong[4, 401, 1] not in kept
    assert wrong[2, 201, 1] not in kept
    assert wrong[2, 201, 2] in kept


def test_a_correction_leaves_earlier_values_that_were_right(vault, registered):
    change(vault, registered, set={"client_number": "AU-2"})
    change(vault, registered, correct={"client_number": "AU-3"})
    assert [current for _, _, current in stored(vault, 101)] == [False, True]
    assert value(vault, registered.subject, "client_number") == "AU-3"


def test_journal_entries_are_appended_and_never_touched(vault, registered):
    note = NOTE | {"topic": topic(vault)}
    change(vault, registered, append={"advisor_notes": [note]})
    first = envelopes(vault)
    change(vault, registered, append={"advisor_notes": [note | {"text": "Collects enamel."}, note | {"text": "Tea."}]})
    texts = [each["text"] for each in value(vault, registered.subject, "advisor_notes")]
    assert texts == ["Prefers the quiet salon.", "Collects enamel.", "Tea."]
    assert all(envelopes(vault)[at] == envelope for at, envelope in first.items())
    for verb, asked in (("set", [note]), ("end", [1]), ("correct", [{"item": 1, "value": note}])):
        error = change(vault, registered, **{verb: {"advisor_notes": asked}})
        assert error.problems == (("advisor_notes", "journal_entries_stand"),)
    assert all(current for _, _, current in stored(vault, 1001))


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"append": {"client_number": "AU-2"}}, ("client_number", "not_a_list")),
        ({"set": {"phone": ["06"]}}, ("phone", "region_needed")),
        ({"set": {"phone": []}, "append": {"phone": ["+33639985555"]}}, ("phone", "changed_twice")),
        ({"end": {"phone": ["1"]}}, ("phone", "not_item_numbers")),
        ({"end": {"phone": [99]}}, ("phone", "unknown_item")),
        ({"end": {"shoe_size": [0]}}, ("shoe_size", "unknown_item")),
        ({"correct": {"phone": "+33639985555"}}, ("phone", "item_needed")),
        ({"correct": {"phone": [{"item": 99, "value": "+33639985555"}]}}, ("phone", "unknown_item")),
        ({"correct": {"shoe_size": {"value": "38", "system": "eu"}}}, ("shoe_size", "unknown_item")),
        ({"set": {"no_such": 1}}, ("fields[1]", "unknown_field")),
        ({}, ("fields", "nothing_to_change")),
    ],
)
def test_a_refused_update_changes_nothing(vault, registered, asked, problem):
    before = envelopes(vault)
    good = {"set": {"profession": "notary"}} if asked else {}
    asked = {verb: {**good.get(verb, {}), **asked.get(verb, {})} for verb in good.keys() | asked.keys()}
    error = change(vault, registered, **asked)
    assert isinstance(error, InvalidFields)
    assert problem in error.problems
    assert envelopes(vault) == before
    assert rows(vault, "SELECT version FROM subject") == [(1,)]


def test_who_saw_another_version_is_told_so(vault, registered):
    assert change(vault, registered, expected=1, set={"client_number": "AU-2"}).version == 2
    assert isinstance(change(vault, registered, expected=1, set={"client_number": "AU-3"}), VersionConflict)
    assert value(vault, registered.subject, "client_number") == "AU-2"


def test_updates_of_one_subject_in_one_batch_see_each_other(vault, registered):
    answers = execute(
        vault,
        update,
        [
            ordered(registered, expected=1, set={"phone": ["+33639985555"]}),
            ordered(registered, expected=1, set={"phone": ["+33639986666"]}),
            ordered(registered, expected=2, append={"phone": ["+33639987777"]}, set={"client_number": "AU-2"}),
            ordered(registered, set={"client_number": "AU-3"}),
            ordered(registered, correct={"client_number": "AU-4"}),
        ],
    )
    assert isinstance(answers[1], VersionConflict)
    assert [each.version for each in answers if not isinstance(each, VersionConflict)] == [2, 3, 4, 5]
    assert value(vault, registered.subject, "phone") == ["+33639985555", "+33639987777"]
    assert value(vault, registered.subject, "client_number") == "AU-4"
    assert sum(current for _, _, current in stored(vault, 101)) == 1
    assert len(rows(vault, "SELECT token FROM search_token WHERE field_id = 101")) == 1


def test_anothers_reference_and_none_at_all_fail_alike(vault, registered):
    stranger = ordered(registered, set={"client_number": "!"})
    stranger = type(stranger)(stranger.reference, VANTIER, "vantier-crm", None, set={"client_number": "!"})
    nobody = type(stranger)("ref_00000000000000000000000000", AURELLE, "aurelle-crm", 7, set={"no_such": 1})
    answers = execute(vault, update, [stranger, ordered(registered, set={"client_number": "AU-2"}), nobody])
    assert isinstance(answers[0], UnknownReference)
    assert isinstance(answers[2], UnknownReference)
    assert answers[1].version == 2


def test_a_brand_changes_its_own_holdings_alone(vault):
    both = one(take_in(vault, person(vantier={"client_number": "V-1", "phone": ["+33639985555"]})))
    (item,) = items(vault, both.subject, "phone", brand=VANTIER)
    change(vault, both, brand=VANTIER, set={"client_number": "V-2"}, end={"phone": [item]})
    assert value(vault, both.subject, "client_number") == "AU-0042"
    assert len(value(vault, both.subject, "phone")) == 2
    assert value(vault, both.subject, "phone", brand=VANTIER) is None
    error = change(vault, both, brand=VANTIER, end={"phone": [1]})
    assert error.problems == (("phone", "unknown_item"),)


def test_minority_ends_only_where_no_other_brand_says_otherwise(vault):
    both = one(take_in(vault, person({"birth_date": "2015-01-01"}, vantier={"birth_date": "2015-01-01"})))

    def minor():
        return bool(rows(vault, "SELECT minor FROM subject")[0][0])

    change(vault, both, correct={"birth_date": "1975-01-01"})
    assert minor()
    change(vault, both, brand=VANTIER, end={"birth_date": [0]})
    change(vault, both, set={"birth_date": "1975-01-01"})
    assert not minor()
    change(vault, both, set={"birth_date": "2015-01-01"})
    assert minor()


def test_the_entry_names_fields_and_value_versions(vault, registered):
    answer = change(vault, registered, set={"client_number": "AU-2"}, append={"phone": ["+33639985555"]})
    (body,) = rows(vault, "SELECT body FROM log_entry ORDER BY idx DESC LIMIT 1")[0]
    entry = audit.entry.decode(bytes(body))
    assert (entry["act"], entry["fld"]) == ("field.written", ["client_number:v3", "phone:v4"])
    assert [each.hex() for each in answer.entries] == [entry["id"]]


def test_more_names_than_one_entry_takes_go_into_several(vault, registered):
    answer = change(vault, registered, append={"wish_list": [f"piece {each}" for each in range(120)]})
    assert len(answer.entries) == 3


def test_a_leaf_that_is_gone_fails_its_item_alone(vault):
    lost, fine = take_in(vault, person(), person())
    rows(vault, "UPDATE compartment SET generation = generation + 9 WHERE subject_id = ?", lost.subject)
    answers = execute(vault, update, [ordered(each, set={"client_number": "AU-2"}) for each in (lost, fine)])
    assert isinstance(answers[0], KeyUnavailable)
    assert answers[1].version == 2
    assert isinstance(value(vault, lost.subject, "client_number"), IntegrityFailure)
    assert value(vault, fine.subject, "client_number") == "AU-2"


def test_equal_values_of_one_person_have_unlike_bytes(vault):
    take_in(vault, person({"phone": ["+33639981234"] * 3}, vantier={"phone": ["+33639981234"]}))
    assert len(set(envelopes(vault).values())) == 4
    assert len({len(each) for each in envelopes(vault).values()}) == 1


def test_fields_of_the_story_fit_the_builder(vault):
    assert FIELDS.keys() <= vault.bundle.catalogue.fields.keys()
