"""The rules: the trap that an erring forbid is skipped, and that we deny where Cedar alone would allow."""

import json
from dataclasses import replace

import cedarpy
import pytest

from policies.bundle import parse_bundle
from policies.errors import InvalidBundle
from policies.levels import Level
from policies.rules import RULES_ERROR, Question, Rules

QUESTION = Question(
    system_id="till",
    brand="aurelle",
    level=Level.RAW,
    category="preferences",
    purpose="clienteling.in_store",
    basis="consent",
    consented=True,
    staffed=True,
    jurisdiction="eu",
    special=False,
)

TRAP = """
permit (principal, action, resource);
@id("no_export") forbid (principal, action, resource) when { context.exported };
"""


def rules_of(bundle, text: str) -> Rules:
    """Put rules that no bundle would be allowed to hold into the engine."""
    return Rules({}, cedarpy.PolicySet.from_str(text), bundle.catalogue, bundle.purposes)


def test_cedar_alone_skips_an_erring_forbid_and_allows():
    """The trap itself, as Cedar has it: if this ever fails, Cedar has changed, and `policies.rules` can be looked at anew."""
    result = cedarpy.is_authorized(QUESTION.request(), TRAP, "[]")
    assert result.allowed
    assert result.diagnostics.errors


def test_we_deny_where_a_forbid_errs(maisons):
    answer = rules_of(maisons, TRAP).ask(QUESTION)
    assert not answer.allowed
    assert answer.ids == (RULES_ERROR,)


def test_we_deny_where_a_permit_errs_beside_one_that_allows(maisons):
    text = """
    @id("good") permit (principal, action, resource);
    @id("bad") permit (principal, action, resource) when { context.exported };
    """
    assert not rules_of(maisons, text).ask(QUESTION).allowed


def test_we_deny_on_overflow_in_a_condition(maisons):
    text = TRAP.replace("context.exported", "9223372036854775807 + 1 > 0")
    assert rules_of(maisons, text).ask(QUESTION) == (rules_of(maisons, TRAP).ask(QUESTION))


@pytest.mark.parametrize(
    "broken",
    [
        {"consented": "yes"},
        {"special": None},
        {"jurisdiction": 7},
        {"purpose": {"type": "Purpose"}},
        {"category": ["identity"]},
    ],
)
def test_request_that_cannot_be_built_is_denied(maisons, broken):
    """With the schema, a wrongly typed question is NoDecision; without it, forbids that look at it would be skipped."""
    everything = rules_of(maisons, "permit (principal, action, resource);")
    question = replace(QUESTION, **broken)
    assert everything.ask(QUESTION).allowed
    try:
        answer = everything.ask(question)
    except (TypeError, ValueError):
        return  # cedarpy refused even to form it: nothing was allowed
    assert not answer.allowed
    assert answer.ids == (RULES_ERROR,)


def test_a_bundle_with_an_erring_forbid_is_not_loaded(shipped_files):
    text = '\n@id("refuse.export") @title("No export") @basis("GDPR 44")\nforbid (principal, action, resource) when { context.exported };\n'
    files = {**shipped_files, "access.cedar": shipped_files["access.cedar"] + text.encode()}
    with pytest.raises(InvalidBundle, match=r"refuse\.export"):
        parse_bundle("candidate", files)


def test_nothing_is_parsed_when_a_question_is_asked(maisons, monkeypatch):
    """Text instead of handles costs 18 times as much, and a caller added per question twice as much."""
    asked, real = [], cedarpy.is_authorized

    def seen(request, policies, entities, schema):
        asked.append((policies, entities, schema))
        return real(request, policies, entities, schema)

    monkeypatch.setattr(cedarpy, "is_authorized", seen)
    for level in (Level.MASKED, Level.RAW):
        maisons.rules.ask(replace(QUESTION, level=level))
    handles = (cedarpy.PolicySet, cedarpy.Entities, cedarpy.Schema)
    assert all(isinstance(each, kind) for parts in asked for each, kind in zip(parts, handles, strict=True))
    assert all(one is other for one, other in zip(*asked, strict=True))


def test_levels_nest_up_to_the_one_named(maisons):
    for top in Level:
        rules = rules_of(maisons, f'@id("it") permit (principal, action in Action::"up_to_{top}", resource);')
        for level in Level:
            assert rules.ask(replace(QUESTION, level=level)).allowed == (level.rank <= top.rank)


def test_a_single_level_does_not_nest(maisons):
    rules = rules_of(maisons, '@id("it") permit (principal, action == Action::"masked", resource);')
    assert [level for level in Level if rules.ask(replace(QUESTION, level=level)).allowed] == [Level.MASKED]


def test_purposes_nest_downwards_only(maisons):
    rules = rules_of(
        maisons, 'permit (principal, action, resource) when { context.purpose in Purpose::"clienteling" };'
    )
    allowed = {each.key for each in maisons.purposes.every if rules.ask(replace(QUESTION, purpose=each.key)).allowed}
    assert allowed == {each.key for each in maisons.purposes.subtree("clienteling")}


def test_systems_lie_in_their_own_brand_only(maisons):
    rules = rules_of(maisons, 'permit (principal in Brand::"vantier", action, resource);')
    assert not rules.ask(QUESTION).allowed
    assert rules.ask(replace(QUESTION, brand="vantier")).allowed
    assert not rules.ask(QUESTION).allowed  # the same system id under another brand is another caller


@pytest.mark.parametrize("name", ['till"; permit', "système\n", "a" * 64, 'Action::"raw"'])
def test_odd_identifiers_are_data(maisons, name):
    rules = rules_of(maisons, '@id("it") permit (principal in Brand::"aurelle", action, resource);')
    assert rules.ask(replace(QUESTION, system_id=name)).allowed
    assert not rules.ask(replace(QUESTION, system_id=name, brand=name)).allowed


def test_shipped_rules_never_err_whatever_the_circumstances(maisons):
    """Every category, purpose, level and flag: an error anywhere would silently close what an officer opened."""
    flags = [(consented, staffed, special) for consented in (0, 1) for staffed in (0, 1) for special in (0, 1)]
    for purpose in maisons.purposes.every:
        for category in maisons.catalogue.categories:
            for consented, staffed, special in flags[:: 3 if category.special else 5]:
                question = replace(
                    QUESTION, purpose=purpose.key, category=category.name, consented=bool(consented),
                    staffed=bool(staffed), special=bool(special),
                )  # fmt: skip
                assert RULES_ERROR not in maisons.rules.ask(question).ids


def test_rules_have_the_words_of_their_officer(maisons):
    rule = maisons.rules.rules["refuse.spend_in_full"]
    assert rule.effect == "forbid"
    assert rule.title.startswith("What somebody spent")
    assert all(rule.title and rule.basis for rule in maisons.rules.rules.values())


def test_shipped_rules_are_in_cedar_s_own_order_of_parts(shipped_files):
    """Policies survive a round trip through Cedar's JSON form: nothing in the file is decoration the engine ignores."""
    text = shipped_files["access.cedar"].decode()
    document = json.loads(cedarpy.policies_to_json_str(text))
    again = cedarpy.PolicySet.from_json_str(json.dumps(document))
    assert len(again) == len(cedarpy.PolicySet.from_str(text))
