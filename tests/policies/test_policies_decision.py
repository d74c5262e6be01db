"""Decisions: narrowing, floors that no file can remove, what is told, caching, and minting."""

from dataclasses import fields, replace

import pytest
from every_floor import EVERY
from hypothesis import given
from hypothesis import strategies as st

from policies import decision as module
from policies.bundle import parse_bundle
from policies.decision import CEILING, NOT_OFFERED, Grant, decide, mint
from policies.errors import MismatchedGrant, UnknownField, UnknownPurpose
from policies.model import Caller, ConsentStatus, DecisionRequest, FieldAnswer, Level, Reason, SubjectFacts, Wanted

GIVEN = ConsentStatus.GIVEN
CLIENTELING = {"clienteling": GIVEN}
HOSPITALITY = {"clienteling": GIVEN, "clienteling.hospitality": GIVEN}
SUBJECT = bytes(range(16))

OPEN_TO_ALL = """
@id("anything") @title("Everything is open to everybody") @basis("none")
permit (principal, action, resource);
"""


@pytest.fixture(scope="module")
def wide_open(shipped_files):
    """A bundle an attacker with both officers' signatures might write: all purposes, ceilings and rules open."""
    catalogue = shipped_files["catalogue.toml"].decode()
    purposes = shipped_files["purposes.toml"].decode()
    names = [line[1:-1] for line in catalogue.splitlines() if line.startswith("[") and "." not in line]
    top = "{ " + ", ".join(f'{name} = "raw"' for name in names) + " }"
    opened = []
    skipping = False
    for line in purposes.splitlines():
        if line.startswith("[purpose.") and line.endswith(".max_level]"):
            skipping = True
            continue
        if line.startswith("["):
            skipping = False
        if skipping or line.startswith("max_level"):
            continue
        opened.append(line)
        if line.startswith("[purpose."):
            opened.append(f"max_level = {top}")
    return parse_bundle(
        "open",
        {**shipped_files, "purposes.toml": "\n".join(opened).encode(), "access.cedar": OPEN_TO_ALL.encode()},
    )


def one(request, bundle) -> FieldAnswer:
    (answer,) = decide(request, bundle).answers
    return answer


def test_the_story(maisons, question):
    decision = decide(
        question(
            "clienteling.aftercare",
            ("phone", "masked"),
            ("birth_date", "raw"),
            ("ring_size", "raw"),
            ("allergies", "presence"),
            ("advisor_notes", "raw"),
            consents=CLIENTELING,
        ),
        maisons,
    )

    assert [answer.granted for answer in decision.answers] == [Level.MASKED, Level.GENERALISED, Level.RAW, None, None]
    assert decision.answers[1].policies == ("clienteling.dates", CEILING)
    assert decision.answers[3].reason is Reason.CONSENT_REQUIRED
    assert decision.answers[4].reason is Reason.NOT_PERMITTED
    assert decision.basis == "consent"
    assert decision.policy_hash == maisons.hash
    assert [(each.field.name, each.level) for each in decision.granted] == [
        ("phone", Level.MASKED), ("birth_date", Level.GENERALISED), ("ring_size", Level.RAW),
    ]  # fmt: skip


# ---------------------------------------------------------------------------- floors stay when every file is open


@pytest.mark.parametrize(
    ("purpose", "field", "told", "facts", "reason"),
    [
        ("clienteling", "name", (), {"erased": True}, Reason.UNAVAILABLE),
        ("legal.claims", "name", (), {"erased": True}, Reason.UNAVAILABLE),
        ("service.repair", "name", (), {"known_to_brand": False}, Reason.UNAVAILABLE),
        ("service.repair", "name", ("floor.purpose_not_registered",), {"registered": False}, Reason.PURPOSE_NOT_REGISTERED),
        ("marketing", "name", ("floor.heading",), {}, Reason.NOT_PERMITTED),
        ("clienteling", "name", ("floor.consent_missing",), {"consents": {}}, Reason.CONSENT_REQUIRED),
        ("clienteling", "name", ("floor.consent_withdrawn",), {"consents": {"clienteling": ConsentStatus.WITHDRAWN}}, Reason.CONSENT_REQUIRED),
        ("clienteling", "name", ("floor.objected",), {"consents": {"clienteling": ConsentStatus.OBJECTED}}, Reason.NOT_PERMITTED),
        ("clienteling", "name", (), {"restricted": True}, Reason.NOT_PERMITTED),
        ("service.repair", "name", (), {"restricted": True}, Reason.NOT_PERMITTED),
        ("clienteling", "name", (), {"minor": True}, Reason.NOT_PERMITTED),
        ("analytics.segments", "name", (), {"minor": True}, Reason.NOT_PERMITTED),
        ("clienteling", "allergies", ("floor.special_category",), {}, Reason.CONSENT_REQUIRED),
        ("service.repair", "allergies", ("floor.special_category",), {}, Reason.CONSENT_REQUIRED),
        ("legal.accounting", "allergies", ("floor.special_category",), {}, Reason.CONSENT_REQUIRED),
    ],
)  # fmt: skip
def test_no_file_removes_a_floor(wide_open, question, purpose, field, told, facts, reason):
    facts = {"consents": CLIENTELING, **facts}
    answer = one(question(purpose, (field, "presence"), **facts), wide_open)
    assert answer.granted is None
    assert answer.reason is reason
    assert answer.told == told
    assert set(answer.policies) <= {floor.id for floor in EVERY}


def test_wide_open_is_wide_open_where_no_floor_stands(wide_open, question):
    assert one(question("clienteling", ("name", "raw"), consents=CLIENTELING), wide_open).granted is Level.RAW
    assert one(question("clienteling.hospitality", ("allergies", "raw"), consents=HOSPITALITY), wide_open).granted


def test_sensitive_floors_answer_as_missing_consent_does(maisons, question):
    """Who asks without consent cannot tell a restricted or minor subject from any other."""
    plain = one(question("clienteling.in_store", ("name", "raw")), maisons)
    for fact in ("restricted", "minor"):
        answer = one(question("clienteling.in_store", ("name", "raw"), **{fact: True}), maisons)
        assert (answer.reason, answer.told) == (plain.reason, plain.told)
        assert f"floor.{fact}" in answer.policies


def test_silent_floors_answer_as_a_default_deny_does(maisons, question):
    denied = one(question("clienteling.in_store", ("advisor_notes", "raw"), consents=CLIENTELING), maisons)
    assert (denied.reason, denied.told, denied.policies) == (Reason.NOT_PERMITTED, (), ())
    for fact in ("restricted", "minor"):
        answer = one(question("clienteling.in_store", ("name", "raw"), consents=CLIENTELING, **{fact: True}), maisons)
        assert (answer.reason, answer.told) == (denied.reason, denied.told)


def test_erased_and_unknown_look_alike(maisons, question):
    answers = [
        one(question("service.repair", ("name", "raw"), **facts), maisons)
        for facts in ({"erased": True}, {"known_to_brand": False}, {"erased": True, "known_to_brand": False})
    ]
    assert {(answer.reason, answer.told) for answer in answers} == {(Reason.UNAVAILABLE, ())}


def test_nothing_told_names_what_must_not_be_told():
    assert {floor.id for floor in EVERY if not floor.told} == {
        "floor.erased", "floor.brand_isolation", "floor.restricted", "floor.minor", "floor.region",
    }  # fmt: skip
    assert not [reason for reason in Reason if {"minor", "restrict", "eras", "hold"} & set(reason.value.split("_"))]


# --------------------------------------------------------------------------------------------------- narrowing


@pytest.mark.parametrize(
    ("field", "asked", "granted"),
    [
        ("birth_date", "raw", Level.GENERALISED),
        ("birth_date", "masked", Level.GENERALISED),  # no mask offered: the next lower level
        ("birth_date", "predicate:over_18", Level.PREDICATE),
        ("phone", "raw", Level.MASKED),
        ("delivery_instructions", "raw", Level.PRESENCE),  # nothing between raw and presence
    ],
)
def test_narrowing_takes_the_next_lower_level_on_offer(maisons, question, field, asked, granted):
    request = question("clienteling.in_store", (field, asked), consents=CLIENTELING, staffed=True)
    assert one(request, maisons).granted is granted


def test_narrowing_never_turns_into_a_predicate_nobody_asked(maisons, question):
    answer = one(question("clienteling", ("birth_date", "raw"), consents=CLIENTELING), maisons)
    assert answer.granted is Level.PRESENCE


def test_unknown_predicate_is_refused_and_not_narrowed(maisons, question):
    answer = one(question("clienteling", ("birth_date", "predicate:over_21"), consents=CLIENTELING), maisons)
    assert (answer.granted, answer.reason) == (None, Reason.LEVEL_NOT_OFFERED)
    assert answer.policies == (NOT_OFFERED,)


@given(st.sampled_from([level for level in Level if level is not Level.PREDICATE]), st.booleans())
def test_asking_for_more_never_yields_less(maisons, level, staffed):
    def granted(asked: Level) -> int:
        caller = Caller("till", "aurelle", frozenset({"clienteling.in_store"}), staffed)
        facts = SubjectFacts(
            known_to_brand=True, erased=False, restricted=False, minor=False, region="fr", consents=CLIENTELING
        )
        request = DecisionRequest(caller, facts, "clienteling.in_store", (Wanted("phone", asked),))
        return one(request, maisons).granted.rank

    assert granted(Level.RAW) >= granted(level)


# ------------------------------------------------------------------------------------------------------ the rest


def test_unknown_names_raise(maisons, question):
    with pytest.raises(UnknownField):
        decide(question("clienteling", ("shoe_colour", "raw"), consents=CLIENTELING), maisons)
    with pytest.raises(UnknownPurpose):
        decide(question("gossip", ("name", "raw")), maisons)


def test_group_values_need_the_sharing_consent_and_an_adult(maisons, question):
    shared = {**HOSPITALITY, "group.profile_sharing": GIVEN}

    def values(*wanted, **facts) -> bool:
        facts = {"consents": shared, **facts}
        return decide(question("clienteling.hospitality", *wanted, staffed=True, **facts), maisons).group_values

    assert values(("refreshments", "raw"))
    assert not values(("refreshments", "raw"), consents=HOSPITALITY)
    assert not values(("refreshments", "raw"), consents={**shared, "group.profile_sharing": ConsentStatus.WITHDRAWN})
    assert not values(("refreshments", "raw"), minor=True)
    assert not values(("refreshments", "raw"), restricted=True)
    assert not values(("refreshments", "raw"), ("allergies", "raw"))
    assert not values(("refreshments", "raw"), consents={**shared, "group": ConsentStatus.WITHDRAWN})


def test_equal_questions_are_decided_once_and_different_ones_are_not_confused(maisons, question):
    first = decide(question("clienteling", ("name", "raw"), consents=dict(CLIENTELING)), maisons)
    assert decide(question("clienteling", ("name", "raw"), consents=dict(CLIENTELING)), maisons) is first
    irrelevant = {**CLIENTELING, "marketing.email": ConsentStatus.WITHDRAWN}
    assert decide(question("clienteling", ("name", "raw"), consents=irrelevant), maisons) is first
    assert decide(question("clienteling", ("name", "raw"), consents={}), maisons) is not first
    assert decide(question("clienteling", ("name", "raw"), consents=CLIENTELING), maisons) is first


def test_another_bundle_is_another_decision(maisons, wide_open, question):
    request = question("clienteling", ("ring_size", "raw"), consents=CLIENTELING)
    assert one(request, maisons).granted is None
    assert one(request, wide_open).granted is Level.RAW
    assert one(request, maisons).granted is None


def test_everything_a_request_says_is_in_the_cache_key(maisons, question):
    """Each fact is flipped on its own: the reduced inputs must differ, or a cached answer would be somebody else's."""
    base = question("clienteling.in_store", ("name", "raw"), consents=CLIENTELING)
    variants = [
        replace(base, purpose="clienteling"),
        replace(base, wanted=()),
        replace(base, caller=replace(base.caller, system_id="x")),
        replace(base, caller=replace(base.caller, brand="x")),
        replace(base, caller=replace(base.caller, staffed=True)),
        replace(base, caller=replace(base.caller, purposes=frozenset())),
        replace(base, facts=replace(base.facts, known_to_brand=False)),
        replace(base, facts=replace(base.facts, erased=True)),
        replace(base, facts=replace(base.facts, restricted=True)),
        replace(base, facts=replace(base.facts, minor=True)),
        replace(base, facts=replace(base.facts, region="us")),
        replace(base, facts=replace(base.facts, consents={})),
    ]
    keys = [module.inputs_of(each, maisons) for each in (base, *variants)]
    assert len(set(keys)) == len(keys)
    touched = {each.name for each in fields(base.caller)} | {each.name for each in fields(base.facts)}
    assert len(variants) == len(touched) + 2  # a fact added to the model must be added here


def test_grant_carries_what_was_granted_and_only_that(maisons, question):
    request = question("clienteling.aftercare", ("phone", "raw"), ("allergies", "raw"), consents=CLIENTELING)
    decision = decide(request, maisons)

    grant = mint(decision, request.caller, request.purpose, SUBJECT)

    assert isinstance(grant, Grant)
    assert (grant.subject, grant.brand, grant.system_id) == (SUBJECT, "aurelle", "till")
    assert (grant.purpose, grant.basis, grant.group_values) == ("clienteling.aftercare", "consent", False)
    assert [(each.field.name, each.level, each.predicate) for each in grant.fields] == [("phone", Level.MASKED, "")]
    with pytest.raises(AttributeError):
        grant.fields = ()


def test_predicate_is_named_in_the_grant_only_at_its_level(maisons, question):
    asked = question("clienteling", ("birth_date", "predicate:over_18"), consents=CLIENTELING)
    assert mint(decide(asked, maisons), asked.caller, asked.purpose, SUBJECT).fields[0].predicate == "over_18"


@pytest.mark.parametrize("change", [{"system_id": "other"}, {"brand": "vantier"}])
def test_grant_for_another_caller_is_refused(maisons, question, change):
    request = question("clienteling", ("name", "raw"), consents=CLIENTELING)
    with pytest.raises(MismatchedGrant):
        mint(decide(request, maisons), replace(request.caller, **change), request.purpose, SUBJECT)


def test_grant_for_another_purpose_is_refused(maisons, question):
    request = question("clienteling", ("name", "raw"), consents=CLIENTELING)
    with pytest.raises(MismatchedGrant):
        mint(decide(request, maisons), request.caller, "marketing.email", SUBJECT)
