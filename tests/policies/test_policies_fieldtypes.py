"""Field types: what is taken, in which canonical form, and that a refusal never carries the value."""

import math
import traceback

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.catalogue import Field, FieldKind
from policies.errors import InvalidValue
from policies.fieldtypes import LARGEST_VALUE, TYPES, validate

CANARY = "kanarienvogel-7f3a"
CHOICES = ("eu", "us", "home", "family_day", "watches", "ready", "event", "taste", "child", "food")


def field(kind: str, choices: tuple[str, ...] = CHOICES) -> Field:
    return Field(999, "the_field", "any", 9, FieldKind.SINGLE, kind, 1, False, None, {}, {}, choices, {})


ACCEPTED = [
    ("line", "  Madame de Sévigné ", "Madame de Sévigné"),
    ("line", "e\u0301cru", "écru"),
    ("text", "deux\nlignes", "deux\nlignes"),
    ("code", "AUR-000001", "AUR-000001"),
    ("boolean", True, True),
    ("integer", 3, 3),
    ("date", "1980-02-29", "1980-02-29"),
    ("choice", "eu", "eu"),
    ("country", "fr", "FR"),
    ("currency", "eur", "EUR"),
    ("language", "FR", "fr"),
    ("language", "zh_hant-tw", "zh-Hant-TW"),
    ("language", "gsw", "gsw"),
    ("phone", "+33 6 39 98 12 34", "+33639981234"),
    ("phone", {"number": "06 39 98 12 34", "region": "fr"}, "+33639981234"),
    ("phone", "+81 3-1234-5678", "+81312345678"),
    ("phone", "+971 50 123 4567", "+971501234567"),
    ("email", "Jeanne.Martin@EXAMPLE.org", "Jeanne.Martin@example.org"),
    ("email", "o'hara+boutique@Example.com", "o'hara+boutique@example.com"),
    ("email", "jösé@example.com", "jösé@example.com"),
    ("email", "jeanne@xn--exmple-cua.com", "jeanne@exämple.com"),
    ("money", {"amount": "12.5", "currency": "eur"}, {"amount": "12.50", "currency": "EUR"}),
    ("money", {"amount": 12, "currency": "JPY"}, {"amount": "12", "currency": "JPY"}),
    ("money", {"amount": "1.250", "currency": "KWD"}, {"amount": "1.250", "currency": "KWD"}),
    ("measurement", {"value": "52.50", "system": "eu"}, {"value": "52.5", "system": "eu"}),
    ("measurement", {"value": 50, "system": "eu"}, {"value": "50", "system": "eu"}),
    ("measurement", {"value": "L1/2", "system": "us"}, {"value": "L½", "system": "us"}),
    ("handle", "@maison.lyon", "maison.lyon"),
    ("person_name", {"family": "Dupont", "given": "Anne", "middle": None}, {"family": "Dupont", "given": "Anne"}),
    (
        "person_name",
        {"given": "Ai", "family": "Sato", "salutation": "様", "native": {"family": "佐藤", "given": "愛", "script": "jpan"}},
        {"family": "Sato", "given": "Ai", "salutation": "様", "native": {"family": "佐藤", "given": "愛", "script": "Jpan"}},
    ),
    (
        "address",
        {"country": "ae", "locality": "Dubai", "lines": ["Villa 7"], "use": "home"},
        {"lines": ["Villa 7"], "locality": "Dubai", "country": "AE", "use": "home"},
    ),
    ("important_date", {"occasion": "family_day", "date": "2001-01-01"}, {"occasion": "family_day", "date": "2001-01-01"}),
    (
        "purchase",
        {"date": "2026-01-02", "family": "watches", "product": "39", "price": {"amount": "1", "currency": "CHF"}},
        {"date": "2026-01-02", "family": "watches", "product": "39", "price": {"amount": "1.00", "currency": "CHF"}},
    ),
    (
        "repair",
        {"opened": "2026-01-02", "status": "ready", "product": "39", "serial": "V1"},
        {"opened": "2026-01-02", "status": "ready", "product": "39", "serial": "V1"},
    ),
    ("visit", {"date": "2026-01-02", "boutique": "PAR1"}, {"date": "2026-01-02", "boutique": "PAR1"}),
    (
        "note",
        {"date": "2026-01-02", "topic": "taste", "text": "Aime\nle jade"},
        {"date": "2026-01-02", "topic": "taste", "text": "Aime\nle jade"},
    ),
    ("household_link", {"relation": "child"}, {"relation": "child"}),
    ("household_link", {"relation": "child", "reference": "ref_" + "0" * 26}, {"relation": "child", "reference": "ref_" + "0" * 26}),
    ("allergy", {"family": "food", "substance": "sesame"}, {"family": "food", "substance": "sesame"}),
]  # fmt: skip

REFUSED = [
    ("line", "", "blank"),
    ("line", "   ", "blank"),
    ("line", CANARY * 50, "too_long"),
    ("line", f"{CANARY}\nx", "control_character"),
    ("line", f"{CANARY}\u202e", "control_character"),
    ("line", f"{CANARY}\ud800", "control_character"),
    ("line", 7, "not_text"),
    ("line", None, "not_text"),
    ("text", f"{CANARY}\x00", "control_character"),
    ("text", CANARY * 1000, "too_long"),
    ("code", f"{CANARY} x", "not_a_code"),
    ("boolean", 1, "not_a_boolean"),
    ("boolean", CANARY, "not_a_boolean"),
    ("integer", True, "not_an_integer"),
    ("integer", 1.0, "not_an_integer"),
    ("integer", 2**60, "not_an_integer"),
    ("date", CANARY, "not_a_date"),
    ("date", "1981-02-29", "not_a_date"),
    ("date", "0980-01-01", "not_a_date"),
    ("date", "19810101", "not_a_date"),
    ("choice", CANARY, "not_a_choice"),
    ("choice", ["eu"], "not_a_choice"),
    ("country", "ZZ", "not_a_country"),
    ("country", CANARY, "not_a_country"),
    ("currency", "XYZ", "not_a_currency"),
    ("language", CANARY, "not_a_language"),
    ("language", "xx", "not_a_language"),
    ("language", "fr-Zzzq", "not_a_script"),
    ("phone", CANARY, "region_needed"),
    ("phone", f"+33{CANARY}", "not_a_phone"),
    ("phone", "0639981234", "region_needed"),
    ("phone", "+33123", "not_a_phone"),
    ("phone", "+33639981234 ext. 12", "not_a_phone"),
    ("phone", "+0", "not_a_phone"),
    ("phone", {"number": CANARY, "region": "FR"}, "not_a_phone"),
    ("phone", {"number": "0639981234", "region": CANARY}, "not_a_country"),
    ("phone", {"number": "0639981234"}, "missing_member"),
    ("phone", {"number": "0639981234", "region": "FR", CANARY: 1}, "unknown_member"),
    ("email", CANARY, "not_an_email"),
    ("email", f"{CANARY}@", "not_an_email"),
    ("email", f"{CANARY}@{CANARY}", "not_an_email"),
    ("email", f"{CANARY}@example.com, x@example.com", "not_an_email"),
    ("email", f"{CANARY}..x@example.com", "not_an_email"),
    ("email", f".{CANARY}@example.com", "not_an_email"),
    ("email", f"{'c' * 65}@example.com", "not_an_email"),
    ("email", f"{CANARY}@mail.invalid", "not_an_email"),
    ("email", f"{CANARY}@127.0.0.1", "not_an_email"),
    ("money", CANARY, "not_an_object"),
    ("money", {"amount": 12.5, "currency": "EUR"}, "not_an_amount"),
    ("money", {"amount": "12.505", "currency": "EUR"}, "not_an_amount"),
    ("money", {"amount": "12.5", "currency": "JPY"}, "not_an_amount"),
    ("money", {"amount": "-1", "currency": "EUR"}, "not_an_amount"),
    ("money", {"amount": "1e9", "currency": "EUR"}, "not_an_amount"),
    ("money", {"amount": CANARY, "currency": "EUR"}, "not_an_amount"),
    ("money", {"amount": "1"}, "not_a_currency"),
    ("measurement", {"value": CANARY, "system": "eu"}, "not_a_size"),
    ("measurement", {"value": "52", "system": CANARY}, "not_a_choice"),
    ("measurement", {"value": 52.5, "system": "eu"}, "not_a_size"),
    ("handle", f"{CANARY}!", "not_a_handle"),
    ("person_name", {"salutation": CANARY}, "missing_member"),
    ("person_name", {"family": "D", CANARY: "x"}, "unknown_member"),
    ("person_name", {"family": "D", "native": {"family": CANARY, "script": CANARY}}, "not_a_script"),
    ("person_name", {"family": "D", "native": {"script": "Jpan"}}, "missing_member"),
    ("person_name", CANARY, "not_an_object"),
    ("address", {"lines": CANARY, "locality": "x", "country": "FR"}, "not_address_lines"),
    ("address", {"lines": [], "locality": "x", "country": "FR"}, "not_address_lines"),
    ("address", {"lines": [CANARY] * 6, "locality": "x", "country": "FR"}, "not_address_lines"),
    ("address", {"lines": [CANARY], "locality": "x", "country": "FR", "use": CANARY}, "not_a_choice"),
    ("important_date", {"occasion": CANARY, "date": "2001-01-01"}, "not_a_choice"),
    ("purchase", {"date": "2026-01-02", "family": "watches", "product": CANARY}, "missing_member"),
    ("repair", {"opened": "2026-01-02", "status": CANARY, "product": "x"}, "not_a_choice"),
    ("visit", {"date": "2026-01-02", "boutique": f"{CANARY} "}, "not_a_code"),
    ("note", {"date": "2026-01-02", "topic": "taste", "text": CANARY * 300}, "too_long"),
    ("household_link", {"relation": "child", "reference": CANARY}, "not_a_reference"),
    ("allergy", {"family": CANARY}, "not_a_choice"),
]


@pytest.mark.parametrize(("kind", "value", "canonical"), ACCEPTED)
def test_accepted_in_canonical_form(kind, value, canonical):
    made = validate(field(kind), value)
    assert made == canonical
    assert validate(field(kind), made) == made


@pytest.mark.parametrize(("kind", "value", "reason"), REFUSED)
def test_refusal_names_field_and_reason_and_never_the_value(kind, value, reason):
    with pytest.raises(InvalidValue) as caught:
        validate(field(kind), value)

    error = caught.value
    assert (error.field, error.reason) == ("the_field", reason)
    assert error.__cause__ is None
    assert error.__context__ is None
    told = [str(error), repr(error), repr(error.args), "".join(traceback.format_exception_only(error))]
    assert not [each for each in told if CANARY in each]


def test_every_type_is_tried_both_ways():
    assert {kind for kind, *_ in ACCEPTED} == set(TYPES)
    assert {kind for kind, *_ in REFUSED} == set(TYPES)


@settings(max_examples=300, deadline=None)
@given(
    st.from_regex(r"[A-Za-z0-9_+'.-]{1,70}", fullmatch=True) | st.sampled_from(["WWW", "Info", "postmaster", "Abuse"]),
    st.sampled_from(["example.com", "EXÄMPLE.fr", "a.test", "x"]),
)
def test_plain_addresses_are_judged_as_the_parser_judges_them(local, domain):
    address = f"{local}@{domain}"
    try:
        expected = validate_email(address, check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        with pytest.raises(InvalidValue):
            validate(field("email"), address)
    else:
        assert validate(field("email"), address) == expected


def test_unknown_type_is_refused_like_a_value():
    with pytest.raises(InvalidValue, match=r"^the_field: unknown_type$"):
        validate(field("genome"), CANARY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(TYPES)), json_values)
def test_any_json_is_either_canonical_or_refused(kind, value):
    try:
        made = validate(field(kind), value)
    except InvalidValue as error:
        assert error.__context__ is None
        return
    assert made is not None
    assert validate(field(kind), made) == made


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["phone", "email", "line", "text"]), st.text(min_size=8, max_size=30))
def test_refused_text_is_not_in_the_error(kind, value):
    try:
        validate(field(kind), value)
    except InvalidValue as error:
        assert value not in str(error)
        assert value not in repr(error)


@pytest.mark.parametrize("value", [math.nan, math.inf, b"bytes", object(), {1, 2}])
def test_what_is_not_json_is_refused(value):
    for kind in TYPES:
        with pytest.raises(InvalidValue):
            validate(field(kind), value)


def test_deep_nesting_is_refused_not_followed():
    deep: object = CANARY
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidValue):
        validate(field("address"), {"lines": deep, "locality": "x", "country": "FR"})


def test_largest_note_fits_the_limit():
    note = {
        "date": "2026-01-02",
        "topic": "taste",
        "text": "\N{MATHEMATICAL FRAKTUR CAPITAL U}" * 3500,
        "advisor": "a" * 64,
    }
    made = validate(field("note"), note)
    assert len(str(made).encode()) <= LARGEST_VALUE
