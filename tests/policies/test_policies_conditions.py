"""The conditions of permits, one by one: asked of the engine, and put in words."""

import pytest

from policies.bundle import parse_bundle
from policies.conditions import Probes
from policies.levels import Level
from policies.rules import Question

HEAD = '@id("it") @title("A rule under test") @basis("none")\n'
QUESTION = Question(
    system_id="till",
    brand="aurelle",
    level=Level.RAW,
    category="preferences",
    purpose="clienteling.in_store",
    basis="consent",
    consented=True,
    staffed=False,
    jurisdiction="eu",
    special=False,
)


def lacked(shipped_files, rule: str) -> tuple[str, ...]:
    bundle = parse_bundle("it", {**shipped_files, "access.cedar": (HEAD + rule).encode()})
    return Probes(bundle.rules).lacked(QUESTION).get("it", ())


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("permit (principal, action, resource);", ()),
        ("permit (principal, action, resource) when { context.consented };", ()),
        ("permit (principal, action, resource) when { context.staffed };", ("a person of the house is behind the request",)),
        ("permit (principal, action, resource) when { !context.consented };", ("no consent stands",)),
        ("permit (principal, action, resource) when { context.staffed && context.special };", ("a person of the house is behind the request", "the field is of a special category")),
        ("permit (principal, action, resource) when { context.staffed || context.special };", ("a person of the house is behind the request, or the field is of a special category",)),
        ("permit (principal, action, resource) when { (context.staffed && context.consented) || context.special };", ("(a person of the house is behind the request, and the purpose rests on consent, and consent stands), or the field is of a special category",)),
        ("permit (principal, action, resource) unless { context.consented };", ("not: the purpose rests on consent, and consent stands",)),
        ('permit (principal, action, resource) when { !(context.region == "eu") };', ("not: the region is eu",)),
        ('permit (principal, action, resource) when { context.basis == "contract" };', ("the basis is contract",)),
        ('permit (principal, action, resource) when { context.purpose in Purpose::"service" };', ("the purpose is service, or lies below",)),
        ('permit (principal, action, resource) when { context.purpose in [Purpose::"service", Purpose::"legal"] };', ("the purpose is service or legal, or lies below",)),
        ('permit (principal, action, resource) when { context.region like "c*" };', ('(context.region) like "c*"',)),
        ('permit (principal in Brand::"vantier", action, resource);', ("the asker is of the brand vantier",)),
        ('permit (principal == System::"desk", action, resource);', ("the asker is the system desk",)),
        ("permit (principal is System, action, resource);", ()),
        ('permit (principal, action == Action::"masked", resource);', ("the level is masked",)),
        ('permit (principal, action in [Action::"masked", Action::"presence"], resource);', ("the level is masked or presence",)),
        ('permit (principal, action in Action::"up_to_masked", resource);', ("the level is at most masked",)),
        # about another category: not near
        ('permit (principal, action == Action::"masked", resource == Category::"notes");', ()),
        ('permit (principal, action == Action::"masked", resource) when { resource in [Category::"notes", Category::"dates"] };', ()),
        # a forbid is no way in
        ("forbid (principal, action, resource) when { context.staffed };", ()),
    ],
)  # fmt: skip
def test_what_a_rule_lacks_in_words(shipped_files, rule, words):
    assert lacked(shipped_files, rule) == words
