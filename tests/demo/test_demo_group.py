"""The demo group is valid, varied, fictional, and the same at every run."""

from collections import Counter

import phonenumbers
import pytest

from api import bundles
from api.bodies.consents import ConsentGiven
from api.demo.group import CODES, SIZE, Group
from api.demo.people import DAY, DOMAINS
from policies.catalogue import FieldKind
from policies.fieldtypes import validate

LANGUAGES = {"Hans", "Kore", "Arab", "Jpan", "Cyrl"}


@pytest.fixture(scope="module")
def bundle():
    return bundles.load()


@pytest.fixture(scope="module")
def rows():
    return list(Group().rows())


@pytest.fixture(scope="module")
def holdings(rows):
    return [holding for row in rows for holding in row["holdings"]]


def test_every_value_of_every_row_is_one_the_catalogue_takes(bundle, holdings):
    for holding in holdings:
        for name, value in holding["fields"].items():
            field = bundle.catalogue.field(name)
            for item in [value] if field.kind is FieldKind.SINGLE else value:
                validate(field, item)


def test_every_consent_is_one_the_bundle_knows_and_the_api_takes(bundle, holdings):
    for consent in (consent for holding in holdings for consent in holding["consents"]):
        ConsentGiven.model_validate(consent)
        purpose = bundle.purposes.get(consent["purpose"])
        notice = consent["notice"]
        assert purpose.notice == notice["id"]
        assert (notice["id"], notice["version"], notice["language"]) in bundle.notices


def test_two_thousand_people_of_three_maisons_some_known_to_two(rows, holdings):
    assert len(rows) == SIZE == len({row["ref"] for row in rows})
    assert set(Counter(holding["brand"] for holding in holdings)) == set(CODES)
    shared = sum(len(row["holdings"]) == 2 for row in rows)
    assert 0.13 < shared / len(rows) < 0.17
    assert {len(row["holdings"]) for row in rows} == {1, 2}


def test_scripts_and_countries(rows, holdings):
    names = [holding["fields"]["name"] for holding in holdings]
    assert {name["native"]["script"] for name in names if "native" in name} == LANGUAGES
    assert all(name["family"].isascii() for name in names if "native" in name)
    assert len({row["region"] for row in rows}) >= 8


def test_search_keys_tell_people_apart(rows):
    for name in ("phone", "email"):
        owners = Counter()
        for row in rows:
            owners.update({value for holding in row["holdings"] for value in holding["fields"][name]})
        assert max(owners.values()) == 1
    numbers = [holding["fields"]["client_number"] for row in rows for holding in row["holdings"]]
    assert len(numbers) == len(set(numbers))


def test_nobody_can_be_reached(holdings):
    for holding in holdings:
        assert all(
            address.endswith(tuple("@" + domain for domain in DOMAINS)) for address in holding["fields"]["email"]
        )
        assert all(phonenumbers.is_valid_number(phonenumbers.parse(phone)) for phone in holding["fields"]["phone"])


def test_what_is_special_is_held_on_explicit_consent_only(holdings):
    with_allergies = [holding for holding in holdings if "allergies" in holding["fields"]]
    assert with_allergies
    for holding in with_allergies:
        assert "clienteling.hospitality" in {consent["purpose"] for consent in holding["consents"]}


def test_nothing_lies_after_the_fixed_day(holdings):
    for holding in holdings:
        for name in ("purchases", "visits", "advisor_notes"):
            assert all(entry["date"] < DAY.isoformat() for entry in holding["fields"].get(name, ()))


def test_the_same_group_at_every_run_and_for_every_size(rows):
    assert list(Group().rows(40)) == rows[:40]
    assert next(Group(seed=1).rows(1)) != rows[0]


def test_the_lady_of_the_story_has_what_the_story_asks_for(rows):
    aurelle, vantier = rows[0]["holdings"]
    assert (aurelle["brand"], vantier["brand"]) == ("aurelle", "vantier")
    assert {"phone", "birth_date", "ring_size", "allergies", "lifetime_spend"} <= set(aurelle["fields"])
    assert "clienteling" in {consent["purpose"] for consent in aurelle["consents"]}
    assert "group.profile_sharing" not in {c["purpose"] for holding in rows[0]["holdings"] for c in holding["consents"]}


def test_people_keep_their_values_out_of_repr():
    person = Group().person(1)
    assert person.email not in repr(person)
    assert person.phones[0] not in repr(person)
    assert person.name["family"] not in repr(person)
