"""Blind search: finds what is held, by any spelling, for its own brand alone; refuses what no index answers."""

import pytest
from maison_people import AURELLE, FIELDS, VANTIER, change, one, person, rows, take_in

import audit.entry
from vault.errors import InvalidFields, UnsearchableField
from vault.search import Search, search
from vault.unit import execute


def find(vault, by, sought, brand=AURELLE):
    return execute(vault, search, [Search(brand, f"{brand}-crm", by, sought)])[0]


def found(vault, by, sought, brand=AURELLE):
    return [each.subject for each in find(vault, by, sought, brand).candidates]


@pytest.mark.parametrize(
    ("by", "sought"),
    [
        ("phone", "+33 6 39 98 12 34"),
        ("phone", "+33 (0)6.39.98.12.34"),
        ("phone", {"number": "0639981234", "region": "FR"}),
        ("phone", "+971501234567"),
        ("email", "APOLLINE.rousselin@EXAMPLE.com"),
        ("client_number", "au0042"),
    ],
)
def test_spellings_of_a_value_find_it(vault, by, sought):
    registered = one(take_in(vault))
    answer = find(vault, by, sought)
    assert [each.reference for each in answer.candidates] == [registered.references[AURELLE]]
    assert answer.candidates[0].since == "2026-09"
    assert answer.candidates[0].version == 1
    assert not answer.more


def test_no_match_is_an_answer_of_the_same_shape(vault):
    take_in(vault)
    answer = find(vault, "phone", "+33639980000")
    assert (answer.candidates, answer.more) == ((), False)


@pytest.mark.parametrize("by", ["name", "birth_date", "allergies", "no_such_field", ""])
def test_without_an_index_a_search_is_refused_and_never_empty(vault, by):
    take_in(vault)
    assert isinstance(find(vault, by, "Rousselin"), UnsearchableField)


@pytest.mark.parametrize(
    ("by", "sought"), [("phone", "0639981234"), ("email", "x"), ("client_number", None), ("phone", 7)]
)
def test_what_cannot_be_a_value_of_the_field_is_refused_without_repeating_it(vault, by, sought):
    error = find(vault, by, sought)
    assert isinstance(error, InvalidFields)
    assert [name for name, _ in error.problems] == [by]
    assert str(sought) not in f"{error.problems}" or sought is None


def test_an_index_is_its_brands_own(vault):
    registered = one(take_in(vault, person(vantier={"client_number": "V-9"})))
    assert found(vault, "client_number", "AU-0042") == [registered.subject]
    assert found(vault, "client_number", "AU-0042", VANTIER) == []
    assert found(vault, "client_number", "V-9", VANTIER) == [registered.subject]
    assert found(vault, "phone", "+33639981234", VANTIER) == []


def test_equal_values_have_unlike_tokens_in_each_brand_and_field(vault):
    both = {"client_number": "33", "email": ["a@example.com"]}
    take_in(vault, person(both, vantier=both))
    tokens = [bytes(token) for (token,) in rows(vault, "SELECT token FROM search_token")]
    assert len(tokens) == len(set(tokens)) == 4


def test_at_most_three_candidates_and_the_rest_is_only_hinted_at(vault):
    three = take_in(vault, *[person({"phone": ["+33639981234", "+33 6 39 98 12 34"]}) for _ in range(3)])
    answer = find(vault, "phone", "+33639981234")
    assert {each.subject for each in answer.candidates} == {each.subject for each in three}
    assert not answer.more
    take_in(vault, *[person({"phone": ["+33639981234"]}) for _ in range(4)])
    answer = find(vault, "phone", "+33639981234")
    assert len(answer.candidates) == 3
    assert answer.more


def test_a_batch_answers_each_in_its_place(vault):
    first, second = take_in(vault, person(), person({"client_number": "B", "phone": ["+33639981111"]}))
    asked = [
        Search(AURELLE, "s", "client_number", "b"),
        Search(AURELLE, "s", "name", "x"),
        Search(AURELLE, "s", "phone", "+33639981234"),
        Search(VANTIER, "s", "phone", "+33639981234"),
        Search(AURELLE, "s", "client_number", "b"),
    ]
    answers = execute(vault, search, asked)
    assert isinstance(answers[1], UnsearchableField)
    shown = [[each.subject for each in answers[place].candidates] for place in (0, 2, 3, 4)]
    assert shown == [[second.subject], [first.subject], [], [second.subject]]


def test_superseded_ended_and_corrected_values_are_found_no_longer(vault):
    registered = one(take_in(vault))
    old_phone, old_email, old_number = "+33639981234", FIELDS["email"][0], "AU-0042"
    change(vault, registered, set={"phone": ["+33639985555"]}, correct={"client_number": "AU-0099"})
    assert found(vault, "phone", old_phone) == []
    assert found(vault, "phone", "+33639985555") == [registered.subject]
    assert found(vault, "client_number", old_number) == []
    assert found(vault, "client_number", "AU-0099") == [registered.subject]
    (item,) = rows(vault, "SELECT item FROM search_token WHERE field_id = 202")[0]
    change(vault, registered, end={"email": [item]})
    assert found(vault, "email", old_email) == []
    change(vault, registered, append={"email": [old_email]}, set={"client_number": old_number})
    assert found(vault, "email", old_email) == [registered.subject]
    assert found(vault, "client_number", old_number) == [registered.subject]


def test_a_value_that_is_over_when_written_is_not_indexed(vault):
    registered = one(
        take_in(vault, person({"phone": [{"value": "+33639981234", "valid_until": "2020-01-01"}, "+33639985555"]}))
    )
    assert found(vault, "phone", "+33639981234") == []
    change(vault, registered, append={"phone": [{"value": "+33639987777", "valid_until": "2020-01-01"}]})
    assert found(vault, "phone", "+33639987777") == []
    assert found(vault, "phone", "+33639985555") == [registered.subject]


def test_an_erased_subject_is_a_stranger(vault):
    registered = one(take_in(vault))
    rows(vault, "UPDATE subject SET state = 'erasing' WHERE id = ?", registered.subject)
    assert found(vault, "client_number", "AU-0042") == []


def test_every_search_is_logged_without_its_term(vault):
    take_in(vault)
    answers = execute(
        vault,
        search,
        [
            Search(AURELLE, "aurelle-pos", "phone", "+33639981234"),
            Search(AURELLE, "aurelle-pos", "phone", "+33639980000"),
            Search(AURELLE, "aurelle-pos", "name", "Rousselin"),
            Search(AURELLE, "aurelle-pos", "Rousselin", "Rousselin"),
        ],
    )
    written = [audit.entry.decode(bytes(body)) for (body,) in rows(vault, "SELECT body FROM log_entry ORDER BY idx")][
        -4:
    ]
    assert {each["act"] for each in written} == {"subject.searched"}
    assert [each["out"] for each in written] == ["allow", "allow", "deny", "deny"]
    assert [each.get("fld") for each in written] == [["phone"], ["phone"], ["name"], None]
    assert [each.get("n") for each in written] == [1, 0, None, None]
    assert ["sref" in each for each in written] == [True, False, False, False]
    assert [entry.hex() for each in answers[:2] for entry in each.entries] == [each["id"] for each in written[:2]]
    assert "Rousselin" not in f"{written}"
    assert "33639981234" not in f"{written} {Search(AURELLE, 's', 'phone', '+33639981234')!r}"
