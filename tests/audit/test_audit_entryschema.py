"""The published schema says what the verifier's grammar says, as far as a schema can."""

import json

import jsonschema_rs
import pytest
from tamperable_log import body

from audit.entryschema import entry_schema


@pytest.fixture(scope="module")
def validator():
    jsonschema_rs.meta.validate(entry_schema())
    return jsonschema_rs.Draft202012Validator(entry_schema())


@pytest.mark.parametrize("number", range(14))
def test_every_kind_of_entry_fits(validator, number):
    validator.validate(json.loads(body(number)))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Apolline"},
        {"act": "field.stolen"},
        {"out": "maybe"},
        {"v": 2},
        {"n": -1},
        {"n": 1.5},
        {"sref": "ab"},
        {"id": "AB" * 16},
        {"fld": []},
        {"pol": ["two words"]},
        {"pol": ["twice", "twice"]},
        {"actor": {"id": "x", "k": "person"}},
        {"actor": {"id": "x", "k": "vault", "name": "y"}},
        {"req": "ab" * 17},
        {"bas": ""},
        {"v": 3},
        {"dc": "ab" * 32},  # and still version 1
        {"stf": "ab" * 16},
        {"tok": "ab" * 16},
        {"tok": "ab" * 32, "v": 2},
    ],
)
def test_what_the_grammar_refuses_does_not_fit(validator, change):
    assert not validator.is_valid(json.loads(body(0)) | change)


@pytest.mark.parametrize("more", [{"dc": "ab" * 32}, {"stf": "ab" * 16}, {"tok": "ab" * 16}])
def test_what_version_2_added_fits_there(validator, more):
    validator.validate(json.loads(body(0)) | more | {"v": 2})


@pytest.mark.parametrize("missing", ["act", "actor", "id", "out", "t", "v"])
def test_nothing_that_is_needed_may_be_missing(validator, missing):
    content = json.loads(body(5))
    del content[missing]
    assert not validator.is_valid(content)
