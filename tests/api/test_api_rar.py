import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import rar
from policies.model import Level, Wanted

REFERENCE = "ref_" + "0123456789abcdefghjkmnpqrs"
ENTRY = {
    "type": rar.TYPE,
    "subject": REFERENCE,
    "purpose": "clienteling.in_store",
    "fields": [
        {"name": "phone", "level": "masked"},
        {"name": "birth_date", "level": "predicate", "predicate": "over_18"},
    ],
}


def read(**changes):
    entry = {name: value for name, value in (ENTRY | changes).items() if value is not ...}
    return rar.parse(json.dumps([entry]))


def others(count):
    return [f"ref_{number:026}" for number in range(count)]


@pytest.mark.parametrize("text", ["", "x", "{}", "[]", "[1]", "[{},{}]", "[[]]", "null", "[" * 9999, "\ud800", "[NaN]"])
def test_what_is_no_list_of_one_entry_is_refused(text):
    assert isinstance(rar.parse(text), rar.Malformed)


def test_an_entry_longer_than_the_limit_is_refused():
    assert rar.parse(json.dumps([ENTRY]) + " " * rar.MAX_LENGTH) == rar.Malformed("malformed")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": "other"}, "invalid_type"),
        ({"type": ...}, "invalid_type"),
        ({"max_use": 1}, "unknown_member"),
        ({"subject": ...}, "invalid_subject"),
        ({"subjects": others(1)}, "invalid_subject"),
        ({"subject": ..., "subjects": []}, "invalid_subject"),
        ({"subject": ..., "subjects": others(501)}, "invalid_subject"),
        ({"subject": ..., "subjects": [REFERENCE, REFERENCE]}, "invalid_subject"),
        ({"subject": ..., "subjects": REFERENCE}, "invalid_subject"),
        ({"subject": "apolline@example.com"}, "invalid_subject"),
        ({"subject": REFERENCE + "x"}, "invalid_subject"),
        ({"subject": REFERENCE + "\n"}, "invalid_subject"),
        ({"subject": None}, "invalid_subject"),
        ({"purpose": ...}, "invalid_purpose"),
        ({"purpose": "Marketing"}, "invalid_purpose"),
        ({"purpose": "a." * 40 + "a"}, "invalid_purpose"),
        ({"purpose": ["marketing"]}, "invalid_purpose"),
        ({"fields": ...}, "invalid_fields"),
        ({"fields": []}, "invalid_fields"),
        ({"fields": ["phone"]}, "invalid_fields"),
        ({"fields": [{"name": "phone"}]}, "invalid_fields"),
        ({"fields": [{"name": "phone", "level": "all"}]}, "invalid_fields"),
        ({"fields": [{"name": "Phone!", "level": "raw"}]}, "invalid_fields"),
        ({"fields": [{"name": "phone", "level": "raw", "level_": "raw"}]}, "invalid_fields"),
        ({"fields": [{"name": "phone", "level": "raw"}, {"name": "phone", "level": "masked"}]}, "invalid_fields"),
        ({"fields": [{"name": "birth_date", "level": "predicate"}]}, "invalid_fields"),
        ({"fields": [{"name": "birth_date", "level": "raw", "predicate": "over_18"}]}, "invalid_fields"),
        ({"fields": [{"name": "birth_date", "level": "raw", "predicate": 5}]}, "invalid_fields"),
        ({"fields": [{"name": f"f{n}", "level": "raw"} for n in range(65)]}, "invalid_fields"),
        ({"max_uses": 0}, "invalid_max_uses"),
        ({"max_uses": 1001}, "invalid_max_uses"),
        ({"max_uses": True}, "invalid_max_uses"),
        ({"max_uses": 1.0}, "invalid_max_uses"),
        ({"max_uses": "1"}, "invalid_max_uses"),
        ({"reason": 5}, "invalid_reason"),
        ({"reason": "x" * 201}, "invalid_reason"),
        ({"staff": "Apolline Rousselin"}, "invalid_staff"),
        ({"staff": 5}, "invalid_staff"),
        ({"staff": None}, "invalid_staff"),
        ({"as_known_on": None}, "invalid_as_known_on"),
        ({"as_known_on": ""}, "invalid_as_known_on"),
        ({"as_known_on": "2026-02-30"}, "invalid_as_known_on"),
        ({"as_known_on": "20260228"}, "invalid_as_known_on"),
        ({"as_known_on": "2026-W09-6"}, "invalid_as_known_on"),
        ({"as_known_on": 20260228}, "invalid_as_known_on"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_member_at_fault(changes, code):
    assert read(**changes) == rar.Malformed(code)


def test_one_subject():
    asked = read(reason="appointment", staff="adv-7", max_uses=3)
    assert (asked.subjects, asked.single, asked.max_uses) == ((REFERENCE,), True, 3)
    assert asked.wanted == (Wanted("phone", Level.MASKED), Wanted("birth_date", Level.PREDICATE, "over_18"))
    assert REFERENCE not in repr(asked)
    assert "appointment" not in repr(asked)


def test_a_list_of_subjects():
    asked = read(subject=..., subjects=others(500))
    assert (len(asked.subjects), asked.single, asked.max_uses) == (500, False, 1)


@pytest.mark.parametrize(
    ("levels", "seconds"),
    [
        ({Level.RAW, Level.PRESENCE}, 300),
        ({Level.MASKED, Level.GENERALISED}, 900),
        ({Level.GENERALISED, Level.PREDICATE, Level.PRESENCE}, 3600),
        (set(), 3600),
    ],
)
def test_life_follows_the_highest_level(levels, seconds):
    assert rar.life(frozenset(levels)) == seconds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ENTRY, "subjects", "x"]), inner),
)


@given(st.dictionaries(st.sampled_from([*ENTRY, "subjects", "max_uses", "staff", "x"]), JSON))
def test_no_entry_raises(changes):
    assert isinstance(rar.parse(json.dumps([ENTRY | changes])), rar.Disclosure | rar.Malformed)
