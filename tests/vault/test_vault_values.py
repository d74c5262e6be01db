"""Values with their provenance, as they lie inside an envelope."""

import datetime as dt
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import IntegrityFailure
from vault.values import FieldValue, decode, encode

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), children, max_size=4)
    ),
    max_leaves=12,
)
values = st.builds(
    FieldValue,
    json_values,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=16).filter(lambda text: len(text.encode()) <= 64),
    st.integers(0, 2**40 - 1),
    st.none() | st.dates(),
    st.none() | st.dates(),
)


@given(values)
def test_what_is_encoded_decodes(value):
    assert decode(encode(value)) == value


def test_the_layout_is_frozen():
    value = FieldValue({"b": 1, "a": "é"}, "pos-paris", 1_790_000_000, dt.date(1, 1, 1), dt.date(9999, 12, 31))
    assert encode(value).hex() == (
        "0103006ab13b8009" + b"pos-paris".hex() + "00000137b9db" + '{"a":"é","b":1}'.encode().hex()
    )
    assert encode(FieldValue("54", "", 0)).hex() == "0100000000000000" + b'"54"'.hex()


def test_equal_values_give_equal_bytes():
    assert encode(FieldValue({"a": 1, "b": 2}, "s", 0)) == encode(FieldValue({"b": 2, "a": 1}, "s", 0))


def test_a_short_value_stays_in_the_smallest_bucket():
    assert len(encode(FieldValue("54", "pos-paris", 1_790_000_000))) <= 28


@dataclass
class Thing:
    name: str


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        {"a": [math.inf]},
        b"bytes",
        {1: "a"},
        dt.date(2026, 1, 1),
        Thing("secret"),
        2**70,
        "\ud800",
        object(),
    ],
)
def test_what_is_not_json_is_refused_without_being_quoted(value):
    with pytest.raises(ValueError, match=r"\Anot a JSON value\Z") as raised:
        encode(FieldValue(value, "s", 0))
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize("bad", [{"source": "s" * 65}, {"recorded_at": -1}, {"recorded_at": 2**40}])
def test_parts_out_of_range_are_refused(bad):
    parts = {"source": "s", "recorded_at": 0} | bad
    with pytest.raises(ValueError):
        encode(FieldValue("x", **parts))


@given(st.binary(max_size=40))
def test_stray_bytes_decode_to_themselves_or_not_at_all(content):
    try:
        value = decode(content)
    except IntegrityFailure as failure:
        assert str(failure) == "integrity_failure"
        assert failure.__suppress_context__ or failure.__context__ is None
    else:
        assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\1\0\0\0\0\0\0\0",
        b"\2\0\0\0\0\0\0\0null",
        b"\1\4\0\0\0\0\0\0null",
        b"\1\0\0\0\0\0\0\x50null",
        b"\1\1\0\0\0\0\0\0\0\0\0null",
        b"\1\1\0\0\0\0\0\0\xff\xff\xffnull",
        b"\1\0\0\0\0\0\0\1\xffnull",
        b"\1\0\0\0\0\0\0\0nul",
    ],
)
def test_malformed_bytes_are_refused(content):
    with pytest.raises(IntegrityFailure):
        decode(content)


def test_a_value_never_shows_in_a_repr():
    assert "54" not in repr(FieldValue("54", "pos-paris", 0))
