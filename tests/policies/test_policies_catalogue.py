"""The shipped catalogue, and the look-ups any catalogue gives."""

import re

import pytest

from policies.catalogue import LARGEST_ID, FieldKind, Sensitivity
from policies.catalogue_file import read_catalogue
from policies.errors import UnknownCategory, UnknownField
from policies.fieldtypes import TYPES
from policies.levels import Level
from policies.predicates import PREDICATES
from policies.transforms import TRANSFORMS

# What the story, the search and the demo stand on: a rename here breaks callers, not only ciphertext.
IMMUTABLE = {
    "client_number": 101, "name": 102, "phone": 201, "email": 202, "postal_address": 301, "birth_date": 401,
    "preferred_language": 501, "ring_size": 601, "wrist_size": 602, "shoe_size": 604, "allergies": 701,
    "purchases": 801, "lifetime_spend": 802, "repairs": 901, "advisor_notes": 1001, "visits": 1002,
    "household_links": 1101,
}  # fmt: skip


def test_breadth(maisons):
    catalogue = maisons.catalogue
    assert len(catalogue.categories) >= 8
    assert len(catalogue.fields) >= 45
    assert {field.kind for field in catalogue.fields.values()} == set(FieldKind)
    assert {category.sensitivity for category in catalogue.categories} == set(Sensitivity)
    types = {field.type for field in catalogue.fields.values()}
    assert types >= {"person_name", "phone", "email", "address", "money", "measurement", "purchase", "note", "visit"}


def test_identifiers_are_unique_and_in_their_category_s_range(maisons):
    fields = list(maisons.catalogue.fields.values())
    assert len({field.id for field in fields}) == len(fields)
    assert len({category.id for category in maisons.catalogue.categories}) == len(maisons.catalogue.categories)
    for field in fields:
        assert 1 <= field.id <= LARGEST_ID
        assert field.id // 100 == field.category_id
        assert re.fullmatch(r"[a-z][a-z0-9_]*", field.name)


def test_identifiers_that_ciphertexts_and_callers_rely_on(maisons):
    assert {name: maisons.catalogue.field(name).id for name in IMMUTABLE} == IMMUTABLE


def test_every_field_offers_presence_and_raw_and_only_known_transforms(maisons):
    for field in maisons.catalogue.fields.values():
        assert field.levels[Level.PRESENCE] == "presence"
        assert field.levels[Level.RAW] == "identity"
        assert field.type in TYPES
        for level, name in field.levels.items():
            assert name == "predicate" if level is Level.PREDICATE else TRANSFORMS[name].level is level
        assert (Level.PREDICATE in field.levels) == bool(field.predicates)
        assert {rule.split()[0] for rule in field.predicates.values()} <= set(PREDICATES)


def test_everything_has_titles_in_both_languages(maisons):
    for each in [*maisons.catalogue.categories, *maisons.catalogue.fields.values(), *maisons.purposes.every]:
        assert set(each.title) == {"fr", "en"}


def test_searchable_fields_name_a_normaliser(maisons):
    found = {field.name: field.search for field in maisons.catalogue.searchable}
    assert found == {"client_number": "client_number/1", "phone": "phone/1", "email": "email/1"}


def test_special_category_marks_its_fields(maisons):
    special = {field.name for field in maisons.catalogue.fields.values() if field.special}
    assert special == {"allergies", "dietary_needs", "access_needs"}
    assert maisons.catalogue.category("health").special


def test_spend_has_no_mask_and_contacts_have_one(maisons):
    assert Level.MASKED not in maisons.catalogue.field("lifetime_spend").levels
    for name in ("phone", "email", "client_number", "name"):
        assert Level.MASKED in maisons.catalogue.field(name).levels


def test_every_category_is_kept_for_a_stated_time(maisons):
    assert all(category.retention_days > 0 for category in maisons.catalogue.categories)
    assert maisons.catalogue.category("health").retention_days <= 365


def test_look_ups(maisons):
    catalogue = maisons.catalogue
    for field in catalogue.fields.values():
        assert catalogue.field_by_id(field.id) is catalogue.field(field.name) is field
    with pytest.raises(UnknownField) as caught:
        catalogue.field("shoe_colour")
    assert caught.value.field == "shoe_colour"
    assert "shoe_colour" not in str(caught.value)
    with pytest.raises(UnknownField):
        catalogue.field_by_id(9999)
    with pytest.raises(UnknownCategory):
        catalogue.category("genome")


def test_a_field_cannot_be_changed_after_reading(maisons):
    field = maisons.catalogue.field("phone")
    with pytest.raises(AttributeError):
        field.id = 7
    with pytest.raises(TypeError):
        field.levels[Level.RAW] = "presence"
    with pytest.raises(TypeError):
        maisons.catalogue.fields["phone"] = field


def test_law_may_forbid_destruction_for_a_time(maisons):
    law = maisons.catalogue.category("purchases").legal_retention
    assert (law.days, law.basis) == (3650, "Code de commerce, art. L. 123-22")
    assert maisons.catalogue.category("contact").legal_retention is None
    assert maisons.catalogue.category_by_id(8) is maisons.catalogue.category("purchases")
    with pytest.raises(UnknownCategory):
        maisons.catalogue.category_by_id(999)


@pytest.mark.parametrize(
    "written",
    [
        "legal_retention = 10",
        "legal_retention = { days = 0, basis = 'x' }",
        "legal_retention = { days = 366, basis = 'x' }",  # beyond the time after which it has to go
        "legal_retention = { days = 10 }",
        "legal_retention = { basis = 'x' }",
        "legal_retention = { days = 10, basis = '' }",
        'legal_retention = { days = 10, basis = "two\\nlines" }',
        "legal_retention = { days = 10, basis = 'x', until = 2030 }",
        "legal_retention = { days = true, basis = 'x' }",
    ],
)
def test_a_law_that_says_nothing_clear_is_a_finding(written):
    text = (
        "[health]\nid = 7\ntitle = { fr = 'a', en = 'b' }\nsensitivity = 'special'\nretention_days = 365\n"
        f"{written}\n[health.field.note]\nid = 701\ntitle = {{ fr = 'a', en = 'b' }}\ntype = 'line'\n"
    )
    findings = []
    read_catalogue("catalogue.toml", text.encode(), findings.append)
    assert any("legal_retention" in each for each in findings)
    assert "two\nlines" not in "".join(findings)


@pytest.mark.parametrize(
    ("type_", "written", "found"),
    [
        ("text", "true", ""),
        ("text", "false", ""),
        ("text", "'yes'", "must be true or false"),
        ("text", "1", "must be true or false"),
        ("line", "true", "nobody writes freely here"),
        ("line", "false", ""),
    ],
)
def test_what_staff_write_for_the_person_is_said_of_free_texts_alone(type_, written, found):
    text = (
        "[address]\nid = 3\ntitle = { fr = 'a', en = 'b' }\nsensitivity = 'high'\nretention_days = 365\n"
        f"[address.field.door]\nid = 301\ntitle = {{ fr = 'a', en = 'b' }}\ntype = '{type_}'\nwritten_for_person = {written}\n"
    )
    findings = []
    catalogue = read_catalogue("catalogue.toml", text.encode(), findings.append)
    assert [each for each in findings if "written_for_person" not in each] == []
    assert bool(findings) is bool(found)
    assert not findings or found in findings[0]
    assert catalogue.field("door").written_for_person is (written == "true")
