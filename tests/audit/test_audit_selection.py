"""One filter over entries, for the console's search and for what an outsider runs again; everything in it narrows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.selection import Filter, Selection

ENTRY = {
    "act": "consent.given",
    "actor": {"id": "aurelle-pos", "k": "system"},
    "out": "allow",
    "pur": "clienteling",
    "fld": ["phone:masked"],
    "pol": ["store.contact"],
    "t": "2026-11-01T00:00:00Z",
    "id": "00" * 16,
}
FITTING = {
    "acts": [("consent",), ("consent.given",), ("auth", "consent")],
    "actors": [("aurelle-pos",), ("x", "aurelle-pos")],
    "outcome": ["allow"],
    "purpose": ["clienteling"],
    "field": ["phone"],
    "rule": ["store.contact"],
    "since": ["2026-11-01T00:00:00Z", "2026-10-31T23:59:59Z"],
    "until": ["2026-11-01T00:00:01Z"],
}
MISSING = {
    "acts": [("cons",), ("consent.givens",), ("consent.given.x",)],
    "actors": [(), ("aurelle",)],
    "outcome": ["deny"],
    "purpose": ["clien"],
    "field": ["phone:masked", "pho"],
    "rule": ["store"],
    "since": ["2026-11-01T00:00:01Z"],
    "until": ["2026-11-01T00:00:00Z"],
}


@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FITTING.items()}))
def test_each_part_that_fits_lets_it_pass_and_all_together(parts):
    assert Filter(**parts).fits(ENTRY)


@pytest.mark.parametrize(("name", "value"), [(name, each) for name, values in MISSING.items() for each in values])
def test_one_part_that_does_not_fit_is_enough(name, value):
    whole = {key: values[0] for key, values in FITTING.items()}
    assert Filter(**whole).fits(ENTRY)
    assert not Filter(**whole | {name: value}).fits(ENTRY)


def test_a_selection_is_its_filter_and_its_period():
    def chosen(**more):
        period = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00Z"}
        return Selection(**{"origin": "x", "first": 0, "end": 1} | period | more).selects(ENTRY)

    assert chosen()
    assert chosen(
        acts=("consent.given",), actors=("aurelle-pos",), brand="aurelle", purpose="clienteling", outcome="allow"
    )
    for more in (
        {"until": ""},
        {"since": "2026-11-01T00:00:01Z"},
        {"acts": ("field.denied",)},
        {"brand": "aurelle"},  # whose name stood for no system
        {"actors": ("other",)},
        {"outcome": "deny"},
        {"subject": True},  # and no key
    ):
        assert not chosen(**more), more
