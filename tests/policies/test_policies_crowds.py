"""How many must share a generalised value, and what may take its place: a floor that a bundle can only raise."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import transforms
from policies.bundle import parse_bundle
from policies.crowds import LEAST_GROUP, least_group, steps
from policies.decision import decide
from policies.errors import InvalidBundle
from policies.levels import Level
from policies.model import ConsentStatus
from policies.purposes import Basis

ADDRESS = {"lines": ["1 rue Exemple"], "locality": "Paris", "country": "FR", "postal_code": "75001"}


def with_purpose(files, line, key='[purpose."analytics.segments"]'):
    text = files["purposes.toml"].decode()
    return files | {"purposes.toml": text.replace(f"{key}\nversion = 1", f"{key}\nversion = 1\n{line}").encode()}


def with_field(files, line):
    text = files["catalogue.toml"].decode()
    return files | {
        "catalogue.toml": text.replace("[dates.field.birth_date]\n", f"[dates.field.birth_date]\n{line}\n").encode()
    }


def granted(bundle, question, purpose, field="birth_date", level="generalised", **facts):
    (found,) = decide(question(purpose, (field, level), **facts), bundle).granted
    return found


def test_where_nobody_is_named_twenty_must_share(maisons, question):
    assert granted(maisons, question, "analytics.segments").least_group == LEAST_GROUP == 20
    us = {"region": "us"}
    assert granted(maisons, question, "marketing.email", "preferred_language", **us).least_group == LEAST_GROUP


def test_where_the_purpose_names_the_person_there_is_nobody_to_hide(maisons, question):
    agreed = {"consents": {"clienteling": ConsentStatus.GIVEN}}
    assert granted(maisons, question, "clienteling.in_store", **agreed).least_group == 1
    assert granted(maisons, question, "clienteling.in_store", "phone", "raw", **agreed).least_group == 1


@pytest.mark.parametrize("less", ["0", "1", "19", "-1", "true", '"20"', "20.0", "1000001"])
def test_no_bundle_asks_for_less_than_the_code(shipped_files, less):
    for files in (
        with_purpose(shipped_files, f"least_group = {less}"),
        with_field(shipped_files, f"least_group = {less}"),
    ):
        with pytest.raises(InvalidBundle, match="least_group"):
            parse_bundle("less", files)


def test_a_bundle_asks_for_more_by_purpose_and_by_field(shipped_files, question):
    agreed = {"consents": {"clienteling": ConsentStatus.GIVEN}}
    both = parse_bundle("both", with_field(with_purpose(shipped_files, "least_group = 50"), "least_group = 100"))
    assert granted(both, question, "analytics.segments").least_group == 100
    assert granted(both, question, "analytics.segments", "lifetime_spend").least_group == 50
    assert granted(both, question, "clienteling.in_store", **agreed).least_group == 100


@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from([None, *Level]))
def test_nothing_in_a_bundle_goes_below_the_floor(maisons, by_purpose, by_field, identity):
    """Whatever a bundle may hold, also what parsing would refuse."""
    ceilings = {} if identity is None else {"identity": identity}
    purpose = replace(maisons.purposes.get("analytics.segments"), max_level=ceilings, least_group=by_purpose)
    field = replace(maisons.catalogue.field("birth_date"), least_group=by_field)
    named = identity in {Level.MASKED, Level.RAW}
    assert least_group(purpose, field) >= (1 if named else LEAST_GROUP)
    assert least_group(purpose, field) >= max(by_purpose, by_field)


def test_only_generalised_values_are_counted(maisons, question):
    for level in ("presence", "predicate:over_18"):
        assert granted(maisons, question, "analytics.segments", level=level).least_group == 1


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("birth_date", "1980-05-17", [{"month": 5}, {"quarter": 2}]),
        ("client_since", "2019-01-02", [{"year": "2019"}, {"decade": "2010"}]),
        ("postal_address", ADDRESS, [{"country": "FR", "metropolis": "Paris"}, {"country": "FR"}]),
        ("postal_address", ADDRESS | {"locality": "Vézelay"}, [{"country": "FR"}]),
        ("ring_size", {"value": "52", "system": "eu"}, [{"from": 50, "below": 55, "system": "eu"}, {"system": "eu"}]),
        ("visits", {"date": "2026-03-04", "occasion": "walk_in", "place": "PAR1"},
         [{"month": "2026-03", "occasion": "walk_in"}, {"month": "2026-03"}, {"year": "2026"}]),
        ("preferred_language", "fr-FR", ["fr"]),
        ("lifetime_spend", {"amount": "18250.00", "currency": "EUR"}, [{"from": 5000, "below": 20000, "currency": "EUR"}, {"currency": "EUR"}]),
    ],
)  # fmt: skip
def test_steps_grow_coarser(maisons, field, value, expected):
    import datetime as dt

    of = maisons.catalogue.field(field)
    generalised = transforms.apply(of, Level.GENERALISED, "", value, dt.date(2026, 9, 21))
    assert list(steps(of, generalised)) == expected


def test_bases_do_not_matter(maisons):
    purpose = maisons.purposes.get("analytics.segments")
    for basis in Basis:
        assert (
            least_group(replace(purpose, basis={"default": basis}), maisons.catalogue.field("birth_date"))
            == LEAST_GROUP
        )
