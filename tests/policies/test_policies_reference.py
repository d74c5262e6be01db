"""The shipped engine against the reference evaluator, on generated requests."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference_evaluator import Reference, value

from policies.bundle import parse_bundle
from policies.decision import decide
from policies.model import Caller, ConsentStatus, DecisionRequest, Level, SubjectFacts, Wanted

FOLDER = Path(__file__).resolve().parents[2] / "policies" / "bundles" / "maisons"
FILES = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
BUNDLE = parse_bundle("maisons", FILES)
REFERENCE = Reference(FILES)
PURPOSES = [each.key for each in BUNDLE.purposes.every]
PREDICATES = sorted({name for field in BUNDLE.catalogue.fields.values() for name in field.predicates})


@st.composite
def asks(draw):
    purpose = draw(st.sampled_from(PURPOSES))
    field = draw(st.sampled_from(sorted(BUNDLE.catalogue.fields)))
    own = sorted(BUNDLE.catalogue.field(field).predicates)
    path = [each.key for each in BUNDLE.purposes.path(purpose)]
    statuses = st.sampled_from(
        [*ConsentStatus, ConsentStatus.GUARDED, ConsentStatus.GIVEN, ConsentStatus.GIVEN, ConsentStatus.GIVEN]
    )
    rarely = st.integers(0, 11).map(lambda drawn: drawn == 0)
    return {
        "system": "till",
        "brand": draw(st.sampled_from(["aurelle", "vantier", "solenne", "ecrin-group"])),
        "staffed": draw(st.booleans()),
        "registered": not draw(rarely),
        "known": not draw(rarely),
        "erased": draw(rarely),
        "restricted": draw(rarely),
        "minor": draw(rarely),
        "region": draw(st.sampled_from(["fr", "gb", "us", "cn", "kr", "jp", "ae", "eu"])),
        "purpose": purpose,
        "consents": draw(st.dictionaries(st.sampled_from([*path, *path, *PURPOSES]), statuses, max_size=4)),
        "field": field,
        "level": draw(st.sampled_from(list(Level))).value,
        "predicate": draw(st.sampled_from([*own, *own, *PREDICATES, ""])),
    }


def request_of(ask: dict) -> DecisionRequest:
    level = Level(ask["level"])
    return DecisionRequest(
        Caller(ask["system"], ask["brand"], frozenset({ask["purpose"]} if ask["registered"] else ()), ask["staffed"]),
        SubjectFacts(ask["known"], ask["erased"], ask["restricted"], ask["minor"], ask["region"], ask["consents"]),
        ask["purpose"],
        (Wanted(ask["field"], level, ask["predicate"] if level is Level.PREDICATE else ""),),
    )


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asks())
def test_engine_and_reference_agree(ask):
    answer = decide(request_of(ask), BUNDLE).answers[0]

    assert answer.granted == REFERENCE.decide(ask)
    assert (answer.granted is None) == (answer.reason is not None)
    if answer.granted is not None:
        assert answer.granted.rank <= Level(ask["level"]).rank
        assert answer.policies


@pytest.mark.parametrize("staffed", [True, False])
def test_engine_and_reference_agree_on_every_purpose_and_field(staffed):
    """Exhaustive where nothing stands in the way, so that no rule escapes by being rarely drawn."""
    for purpose in PURPOSES:
        given_everywhere = {each.key: ConsentStatus.GIVEN for each in BUNDLE.purposes.path(purpose)}
        for field in BUNDLE.catalogue.fields:
            ask = {
                "system": "till", "brand": "solenne", "staffed": staffed, "registered": True, "known": True,
                "erased": False, "restricted": False, "minor": False, "region": "fr", "purpose": purpose,
                "consents": given_everywhere, "field": field, "level": "raw", "predicate": "",
            }  # fmt: skip
            assert decide(request_of(ask), BUNDLE).answers[0].granted == REFERENCE.decide(ask), (purpose, field)


def test_reference_refuses_operators_it_does_not_know():
    rule = json.loads('{"if-then-else": {"if": {}, "then": {}, "else": {}}}')
    with pytest.raises(NotImplementedError):
        value(rule, {})
