"""Explanations: they agree with the decision, name the deciding rule, or say what the nearest rules lacked."""

import pytest

from policies.decision import CEILING, decide
from policies.errors import UnknownField, UnknownPurpose
from policies.explain import explain
from policies.model import ConsentStatus, Level

CLIENTELING = {"clienteling": ConsentStatus.GIVEN}


def only(request, bundle):
    (field,) = explain(request, bundle).fields
    return field


def test_deciding_rule_is_named_with_title_and_basis(maisons, question):
    field = only(question("clienteling", ("name", "masked"), consents=CLIENTELING), maisons)
    (step,) = field.steps
    (ground,) = step.grounds
    assert (ground.id, ground.basis) == ("clienteling.recognise", "GDPR 6(1)(a)")
    assert ground.title == maisons.rules.rules["clienteling.recognise"].title
    assert "masked permitted by clienteling.recognise" in field.text()


def test_ceiling_is_named_with_its_reach(maisons, question):
    field = only(question("clienteling.aftercare", ("birth_date", "raw"), consents=CLIENTELING), maisons)
    assert [(step.level, step.allowed) for step in field.steps] == [(Level.RAW, False), (Level.GENERALISED, True)]
    assert field.steps[0].grounds[0].id == CEILING
    assert "opens dates up to generalised" in field.steps[0].grounds[0].title


def test_default_deny_names_the_nearest_permits_and_what_each_lacked(maisons, question):
    field = only(question("clienteling.in_store", ("ring_size", "raw"), consents=CLIENTELING), maisons)
    raw = field.steps[0]
    assert (raw.level, raw.allowed, raw.grounds) == (Level.RAW, False, ())
    assert [(miss.rule.id, miss.lacked) for miss in raw.nearest][:2] == [
        ("clienteling.sizes_in_store", ("a person of the house is behind the request",)),
        ("clienteling.sizes_for_aftercare", ("the purpose is clienteling.aftercare, or lies below",)),
    ]
    assert "raw: no rule permits this" in field.text()


def test_level_that_is_too_high_is_what_was_lacked(maisons, question):
    field = only(question("clienteling.in_store", ("name", "raw"), consents=CLIENTELING), maisons)
    lacked = {miss.rule.id: miss.lacked for miss in field.steps[0].nearest}
    assert lacked["clienteling.recognise"] == ("the level is at most masked",)


def test_near_misses_are_about_the_asked_category(maisons, question):
    field = only(question("clienteling.in_store", ("household_links", "raw"), consents=CLIENTELING), maisons)
    rules = {miss.rule.id for step in field.steps for miss in step.nearest}
    assert "clienteling.household_and_events" in rules
    assert "clienteling.tastes" not in rules


def test_forbid_is_named(maisons, question):
    request = question("service.order", ("name", "raw"), brand="ecrin-group")
    (step, *_) = only(request, maisons).steps
    assert [ground.id for ground in step.grounds] == ["refuse.group_systems_read_nothing"]


def test_floors_are_all_named_the_silent_ones_too(maisons, question):
    field = only(question("clienteling", ("allergies", "raw"), restricted=True, minor=True), maisons)
    assert [ground.id for ground in field.floors] == [
        "floor.consent_missing", "floor.restricted", "floor.minor", "floor.special_category",
    ]  # fmt: skip
    assert not field.steps
    assert "GDPR Art. 18(2)" in field.text()


def test_level_not_offered_is_said(maisons, question):
    field = only(question("clienteling", ("name", "predicate:over_18"), consents=CLIENTELING), maisons)
    assert "does not offer this level or predicate" in field.text()


def test_explanation_agrees_with_the_decision_everywhere(maisons, question):
    wanted = [(name, "raw") for name in maisons.catalogue.fields]
    for purpose in maisons.purposes.every:
        consents = {each.key: ConsentStatus.GIVEN for each in maisons.purposes.path(purpose.key)}
        request = question(purpose.key, *wanted, consents=consents, brand="solenne")
        decision, explanation = decide(request, maisons), explain(request, maisons)
        assert explanation.policy_hash == decision.policy_hash
        assert explanation.basis == decision.basis
        for answer, field in zip(decision.answers, explanation.fields, strict=True):
            assert field.granted == answer.granted
            assert bool(field.floors) == any(name.startswith("floor.") for name in answer.policies)
            grounds = {ground.id for ground in field.floors} | {g.id for step in field.steps for g in step.grounds}
            assert grounds == set(answer.policies)
            assert all(ground.title and ground.basis for step in field.steps for ground in step.grounds)
            assert all(miss.lacked for step in field.steps for miss in step.nearest)


def test_every_condition_of_the_shipped_rules_has_words(maisons):
    from policies.conditions import Probes

    said = [condition.words for condition in Probes(maisons.rules)._conditions]
    assert said
    assert not [words for words in said if "context" in words or "::" in words]


def test_text_is_whole_and_names_the_bundle(maisons, question):
    text = explain(question("clienteling", ("name", "raw"), ("phone", "raw"), consents=CLIENTELING), maisons).text()
    assert text.startswith(f"clienteling on the basis of consent, bundle {maisons.hash.hex()[:12]}")
    assert "name (raw): granted, masked" in text
    assert "phone (raw): granted, generalised" in text


def test_unknown_names_raise(maisons, question):
    with pytest.raises(UnknownField):
        explain(question("clienteling", ("shoe_colour", "raw"), consents=CLIENTELING), maisons)
    with pytest.raises(UnknownPurpose):
        explain(question("gossip", ("name", "raw")), maisons)


def test_a_threshold_is_told(maisons, question):
    crowd = explain(question("analytics.segments", ("birth_date", "generalised")), maisons)
    assert crowd.fields[0].least_group == 20
    assert "floor.too_few: released only where at least 20 subjects share the value" in crowd.text()
    agreed = {"clienteling": ConsentStatus.GIVEN}
    assert (
        "too_few" not in explain(question("clienteling.in_store", ("phone", "masked"), consents=agreed), maisons).text()
    )
