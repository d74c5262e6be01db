"""Transforms: what each level shows, and what it can never show."""

import datetime as dt

import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policies.errors import TransformUnavailable
from policies.fieldtypes import validate
from policies.levels import Level
from policies.predicates import years_between
from policies.transforms import _METROPOLES, DOTS, TRANSFORMS, apply, mask

TODAY = dt.date(2026, 11, 23)

SHOWN = [
    ("phone", "+33639981234", Level.MASKED, "+33 •••• 34"),
    ("phone", "+12125550123", Level.MASKED, "+1 •••• 23"),
    ("phone", "+33639981234", Level.GENERALISED, {"country": "FR"}),
    ("email", "jeanne.martin@example.org", Level.MASKED, "j••••@••••.org"),
    ("email", "jo@example.org", Level.MASKED, "••••@••••.org"),
    ("name", {"family": "Duchamp", "given": "Jeanne", "salutation": "Madame"}, Level.MASKED, "J•••• D••••"),
    ("name", {"family": "Li", "given": "Ai"}, Level.MASKED, "•••• ••••"),
    ("name", {"family": "Duchamp", "salutation": "Madame"}, Level.GENERALISED, {"salutation": "Madame"}),
    ("name", {"family": "Duchamp"}, Level.GENERALISED, {}),
    ("client_number", "AUR-000042", Level.MASKED, "••••42"),
    ("client_number", "A42", Level.MASKED, "••••"),
    ("birth_date", "1980-05-17", Level.GENERALISED, {"month": 5}),
    ("client_since", "2011-05-17", Level.GENERALISED, {"year": "2011"}),
    ("postal_address", {"lines": ["1 rue X"], "locality": "Paris", "region": "IDF", "country": "FR"}, Level.GENERALISED, {"country": "FR", "metropolis": "Paris"}),
    ("postal_address", {"lines": ["1 rue X"], "locality": "Giverny", "region": "Normandie", "country": "FR"}, Level.GENERALISED, {"country": "FR", "region": "Normandie"}),
    ("postal_address", {"lines": ["1 rue X"], "locality": "Giverny", "country": "FR"}, Level.GENERALISED, {"country": "FR"}),
    ("lifetime_spend", {"amount": "48000.00", "currency": "EUR"}, Level.GENERALISED, {"from": 20000, "below": 50000, "currency": "EUR"}),
    ("lifetime_spend", {"amount": "0.00", "currency": "EUR"}, Level.GENERALISED, {"from": 0, "below": 1000, "currency": "EUR"}),
    ("lifetime_spend", {"amount": "9000000", "currency": "EUR"}, Level.GENERALISED, {"from": 500000, "below": None, "currency": "EUR"}),
    ("lifetime_spend", {"amount": "300000", "currency": "JPY"}, Level.GENERALISED, {"from": 100000, "below": 500000, "currency": "JPY"}),
    ("ring_size", {"value": "52.5", "system": "eu"}, Level.GENERALISED, {"from": 50, "below": 55, "system": "eu"}),
    ("ring_size", {"value": "L½", "system": "uk"}, Level.GENERALISED, {"system": "uk"}),
    ("visits", {"date": "2026-09-30", "boutique": "PAR1", "occasion": "event", "advisor": "a1"}, Level.GENERALISED, {"month": "2026-09", "occasion": "event"}),
    ("advisor_notes", {"date": "2026-09-30", "topic": "taste", "text": "Aime le jade"}, Level.GENERALISED, {"year": "2026", "topic": "taste"}),
    ("important_dates", {"occasion": "graduation", "date": "2001-06-30", "about": "Zoé"}, Level.GENERALISED, {"month": 6, "occasion": "graduation"}),
    ("repairs", {"opened": "2026-01-02", "status": "ready", "product": "39"}, Level.GENERALISED, {"status": "ready"}),
    ("household_links", {"relation": "child", "reference": "ref_" + "0" * 26}, Level.GENERALISED, {"relation": "child"}),
    ("allergies", {"family": "food", "substance": "sesame"}, Level.GENERALISED, {"family": "food"}),
    ("preferred_language", "zh-Hant-TW", Level.GENERALISED, "zh"),
    ("gift_recipients", "Zoé", Level.MASKED, "••••"),
    ("profession", "Architecte", Level.MASKED, "A••••"),
    ("purchases", {"date": "2025-02-03", "family": "watches", "product": "Régulateur", "serial": "V1", "price": {"amount": "18500.00", "currency": "CHF"}, "for": "Zoé"}, Level.GENERALISED, {"year": "2025", "family": "watches", "spend": {"from": 5000, "below": 20000, "currency": "CHF"}}),
]  # fmt: skip

ANSWERED = [
    ("birth_date", "2008-11-23", "over_18", True),
    ("birth_date", "2008-11-24", "over_18", False),
    ("birth_date", "1980-11-02", "birthday_this_month", True),
    ("birth_date", "1980-12-23", "birthday_this_month", False),
    ("client_since", "2021-11-23", "client_for_five_years", True),
    ("last_purchase_date", "2025-11-23", "bought_within_a_year", True),
    ("last_purchase_date", "2025-11-22", "bought_within_a_year", False),
    ("last_purchase_date", "2027-01-01", "bought_within_a_year", False),
    ("standing", "privileged", "at_least_loyal", True),
    ("standing", "client", "at_least_loyal", False),
    ("identity_verified", True, "is_verified", True),
    ("contact_channel", "phone", "accepts_calls", True),
    ("postal_address", {"lines": ["x"], "locality": "Dubai", "country": "AE"}, "lives_in_the_gulf", True),
    ("postal_address", {"lines": ["x"], "locality": "Dubai", "country": "AE"}, "lives_in_france", False),
    ("allergies", {"family": "metal"}, "allergic_to_metal", True),
    ("household_links", {"relation": "partner"}, "has_partner", True),
    ("repairs", {"opened": "2026-01-02", "status": "in_work", "product": "x"}, "repair_is_ready", False),
    ("important_dates", {"occasion": "other", "date": "2000-11-01"}, "occasion_this_month", True),
    ("visits", {"date": "2026-10-01", "boutique": "PAR1"}, "visited_this_quarter", True),
]


@pytest.mark.parametrize(("name", "value", "level", "shown"), SHOWN)
def test_level_shows(maisons, name, value, level, shown):
    assert apply(maisons.catalogue.field(name), level, "", value, TODAY) == shown


@pytest.mark.parametrize(("name", "value", "predicate", "answer"), ANSWERED)
def test_predicate_answers(maisons, name, value, predicate, answer):
    assert apply(maisons.catalogue.field(name), Level.PREDICATE, predicate, value, TODAY) is answer


def test_presence_and_raw_of_every_field(maisons):
    for field in maisons.catalogue.fields.values():
        assert apply(field, Level.PRESENCE, "", "whatever", TODAY) is True
        assert apply(field, Level.RAW, "", "whatever", TODAY) == "whatever"


def test_every_transform_that_cuts_is_shown_above(maisons):
    used = {maisons.catalogue.field(name).levels[level] for name, _, level, _ in SHOWN}
    in_bundle = {name for field in maisons.catalogue.fields.values() for name in field.levels.values()}
    assert in_bundle - used == {"presence", "identity", "predicate"}
    assert in_bundle - {"predicate"} <= set(TRANSFORMS)


@pytest.mark.parametrize(
    ("name", "level", "predicate", "value"),
    [
        ("birth_date", Level.MASKED, "", "1980-05-17"),
        ("birth_date", Level.PREDICATE, "over_21", "1980-05-17"),
        ("birth_date", Level.PREDICATE, "", "1980-05-17"),
        ("birth_date", Level.GENERALISED, "", {"secret": "canary"}),
        ("phone", Level.MASKED, "", "canary"),
        ("postal_address", Level.GENERALISED, "", "canary"),
        ("lifetime_spend", Level.GENERALISED, "", {"amount": "canary", "currency": "EUR"}),
    ],
)
def test_what_cannot_be_shown_shows_nothing(maisons, name, level, predicate, value):
    with pytest.raises(TransformUnavailable) as caught:
        apply(maisons.catalogue.field(name), level, predicate, value, TODAY)
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)


@given(st.text(max_size=200))
def test_mask_has_one_length_and_hides_short_strings(value):
    masked = mask(value)
    if len(value) < 6:
        assert masked == DOTS
    else:
        assert masked == value[0] + DOTS


@settings(deadline=None)
@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=60), st.sampled_from(["com", "fr", "co.uk"]))
def test_masked_email_shows_at_most_one_letter_and_the_ending(maisons, local, ending):
    shown = apply(maisons.catalogue.field("email"), Level.MASKED, "", f"{local}@house-of-{local}.{ending}", TODAY)
    assert shown.replace(DOTS, "") in {f"@.{ending.rpartition('.')[2]}", f"{local[0]}@.{ending.rpartition('.')[2]}"}
    assert (local[0] == shown[0]) == (len(local) >= 6)


@given(st.integers(600_000_000, 799_999_999))
def test_masked_phone_shows_calling_code_and_two_digits(maisons, number):
    shown = apply(maisons.catalogue.field("phone"), Level.MASKED, "", f"+33{number}", TODAY)
    assert shown == f"+33 {DOTS} {number % 100:02d}"


@pytest.mark.parametrize("code", sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
def test_calling_code_is_the_one_the_parser_finds(maisons, code):
    number = f"+{code}2345678"
    assert phonenumbers.parse(number, None).country_code == code
    shown = apply(maisons.catalogue.field("phone"), Level.MASKED, "", number, TODAY)
    assert shown == f"+{code} {DOTS} 78"


@pytest.mark.parametrize("number", ["", "+", "+0331234567", "+2101234567", "33639981234", "+33 639981234", "+٣٣٦٣٩٩٨١"])
def test_phone_that_is_not_canonical_shows_nothing(maisons, number):
    with pytest.raises(TransformUnavailable):
        apply(maisons.catalogue.field("phone"), Level.MASKED, "", number, TODAY)


WORDS = {"FR", "EUR", "other", "home"}  # of closed vocabularies: what a generalisation may repeat
words = st.text(alphabet="abcdefghijklmnopqrstuvwxyzéèàçñ", min_size=3, max_size=20).filter(
    lambda word: word not in "other home"
)


@settings(deadline=None)
@given(words, words, words)
def test_masked_name_shows_initials_at_most(maisons, family, given_name, native):
    value = {"family": family, "given": given_name, "native": {"family": native, "script": "Latn"}}
    shown = apply(maisons.catalogue.field("name"), Level.MASKED, "", value, TODAY)
    assert len(shown.replace(DOTS, "").replace(" ", "")) <= 2
    assert all(len(part) in {len(DOTS), len(DOTS) + 1} for part in shown.split(" "))


@settings(deadline=None)
@given(words, words, st.from_regex(r"[0-9]{5}", fullmatch=True), st.dates(dt.date(1900, 1, 1), dt.date(2026, 1, 1)))
def test_generalised_never_contains_the_raw(maisons, street, town, code, day):
    catalogue = maisons.catalogue
    assume(town not in _METROPOLES)
    raw = {
        "postal_address": {"lines": [f"9 rue {street}"], "locality": town, "postal_code": code, "country": "FR"},
        "birth_date": day.isoformat(),
        "important_dates": {"occasion": "other", "date": day.isoformat(), "about": f"{street}-{town}"},
        "advisor_notes": {"date": day.isoformat(), "topic": "other", "text": f"{street} {town}"},
        "visits": {"date": day.isoformat(), "boutique": f"B{code}", "advisor": f"a-{code}"},
        "allergies": {"family": "other", "substance": f"{street}-{code}"},
        "purchases": {
            "date": day.isoformat(), "family": "home", "product": f"{street}-{code}", "serial": f"S{code}",
            "price": {"amount": f"{code}.37", "currency": "EUR"}, "for": f"{town}-{code}",
        },
        "lifetime_spend": {"amount": f"{code}.37", "currency": "EUR"},
    }  # fmt: skip
    for name, value in raw.items():
        shown = leaves(apply(catalogue.field(name), Level.GENERALISED, "", value, TODAY))
        for leaf in leaves(value):
            if leaf not in WORDS:
                assert not [each for each in shown if leaf in each], name


def leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in leaves(each)]
    return [str(value)]


def test_samples_above_are_canonical(maisons):
    for name, value, *_ in [*SHOWN, *ANSWERED]:
        if name != "lifetime_spend":
            validate(maisons.catalogue.field(name), value)


@pytest.mark.parametrize(
    ("born", "today", "years"),
    [
        ((2008, 2, 29), (2026, 2, 28), 17),
        ((2008, 2, 29), (2026, 3, 1), 18),
        ((2008, 2, 29), (2028, 2, 29), 20),
        ((2000, 1, 1), (2000, 1, 1), 0),
    ],
)
def test_years_between(born, today, years):
    assert years_between(dt.date(*born), dt.date(*today)) == years
