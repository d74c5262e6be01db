"""Floor probes and succession: what a bundle may not do, whatever its officers signed."""

from dataclasses import replace

import pytest
from every_floor import EVERY

from policies import decision, probes
from policies.bundle import parse_bundle
from policies.errors import InvalidBundle
from policies.probes import floor_findings
from policies.purposes import Purposes
from policies.succession import succession_findings


def changed(files, path, old, new):
    text = files[path].decode()
    assert not old or old in text
    return files | {path: (text.replace(old, new, 1) if old else text + new).encode()}


def test_the_shipped_bundle_refuses_every_probe(maisons):
    assert floor_findings(maisons) == ()


@pytest.mark.parametrize("gone", [each for each in EVERY if each.id != "floor.too_few"], ids=lambda floor: floor.id)
def test_a_floor_missing_from_the_code_is_noticed_before_any_bundle_is_taken(maisons, shipped_files, monkeypatch, gone):
    """Code changes too: the probes say a second time, and apart, what the floors say."""
    standing, special = decision.standing_floors, decision.special_floor
    monkeypatch.setattr(
        decision, "standing_floors", lambda facts: tuple(each for each in standing(facts) if each.id != gone.id)
    )
    monkeypatch.setattr(
        decision, "special_floor", lambda facts: None if gone.id == "floor.special_category" else special(facts)
    )
    everything = parse_open(
        maisons
        if gone.id != "floor.region"
        else parse_bundle("bold", changed(shipped_files, "purposes.toml", *INTEREST_IN_CHINA))
    )
    assert floor_findings(everything), gone.id


def parse_open(bundle):
    """The same bundle with rules and ceilings that open everything, so that nothing but floors can refuse."""
    import cedarpy

    from policies.levels import Level
    from policies.rules import Rules

    top = {each.name: Level.RAW for each in bundle.catalogue.categories}
    every = tuple(replace(each, max_level=top) for each in bundle.purposes.every)
    purposes = Purposes(every, bundle.purposes.jurisdictions)
    open_rules = cedarpy.PolicySet.from_str('@id("all") permit (principal, action, resource);')
    rules = Rules({}, open_rules, bundle.catalogue, purposes)
    return replace(bundle, hash=b"open" * 8, purposes=purposes, rules=rules)


def test_nothing_but_floors_is_needed_to_refuse_them(maisons):
    assert floor_findings(parse_open(maisons)) == ()


def test_findings_name_purpose_person_and_field(maisons, monkeypatch):
    monkeypatch.setattr(probes, "_NOT_OF_MINORS", probes._UNSTOPPABLE)
    assert "[legal.claims]: a minor must be refused `" in floor_findings(maisons)[0]


INTEREST_IN_CHINA = ('default = "legitimate_interest", cn = "consent", kr', 'default = "legitimate_interest", kr')


def test_no_file_brings_an_interest_to_where_the_law_knows_none(shipped_files, question):
    files = changed(shipped_files, "purposes.toml", *INTEREST_IN_CHINA)
    bold = parse_bundle("bold", files)
    asked = ("analytics.segments", ("postal_address", "presence"))
    assert decision.decide(question(*asked), bold).answers[0].granted
    refused = decision.decide(question(*asked, region="CN"), bold).answers[0]
    assert (refused.granted, refused.policies, refused.told) == (None, ("floor.region",), ())
    with pytest.raises(InvalidBundle, match="stands alone"):
        parse_bundle("grouped", changed(files, "purposes.toml", 'uk = ["gb"]', 'uk = ["gb", "cn"]'))
    grouped = replace(bold, hash=b"grouped!" * 4, purposes=Purposes(bold.purposes.every, {"cn": "eu"}))
    assert decision.decide(question(*asked, region="cn"), grouped).answers[0].granted is None


@pytest.mark.parametrize(
    ("path", "old", "new", "finding"),
    [
        ("access.cedar", "", "\npermit (", "access.cedar"),
        ("access.cedar", '@id("clienteling.dates")', '@id("clienteling.tastes")', "two rules have the @id"),
        ("access.cedar", '@title("Clienteling may know tastes and preferences")\n', "", "lacks @title"),
        ("access.cedar", '@basis("GDPR 9(2)(a)")\n', "", "lacks @basis"),
        ("access.cedar", 'Category::"health"', 'Category::"healht"', "unknown category"),
        ("access.cedar", 'Purpose::"service"', 'Purpose::"servise"', "unknown purpose"),
        ("access.cedar", "&& context.staffed", "&& context.staff", "staff"),
        ("purposes.toml", '[purpose."service.repair"]\nversion = 1', '[purpose."service.repair"]\nversion = 1\nnotice = "none"', "no notice"),
        ("purposes.toml", 'basis = { default = "legitimate_interest", cn', 'basis = { default = "legal_claims", cn', "withstands objection"),
        ("purposes.toml", 'basis = { default = "contract" }', 'basis = { default = "vital_interest" }', "withstands objection"),
    ],
)  # fmt: skip
def test_a_bundle_that_does_not_stand_is_refused(shipped_files, path, old, new, finding):
    with pytest.raises(InvalidBundle) as caught:
        parse_bundle("changed", changed(shipped_files, path, old, new))
    assert finding in str(caught.value)


@pytest.mark.parametrize(
    ("path", "old", "new", "finding"),
    [
        ("catalogue.toml", "id = 302\n", "id = 399\n", "has the id 302"),
        ("catalogue.toml", 'type = "country"\n\n[address.field.delivery', 'type = "line"\n\n[address.field.delivery', "field id 302"),
        ("catalogue.toml", "[address.field.residence_country]", "[address.field.country_of_residence]", ""),
        ("catalogue.toml", 'type = "handle"\nkind = "list"\n', 'type = "handle"\nkind = "list"\nsearch = "client_number/1"\n', "not searched by"),
        ("catalogue.toml", 'search = "email/1"\n', 'search = "client_number/1"\n', "not searched by"),
        ("catalogue.toml", 'search = "client_number/1"\n', "", ""),
        ("catalogue.toml", 'sensitivity = "special"', 'sensitivity = "high"', "no file can make it ordinary"),
        ("notices/clienteling.1.en.md", "", "\nAnd another thing.\n", "another version"),
        ("purposes.toml", "validity_days = 365", "validity_days = 200", ""),
    ],
)  # fmt: skip
def test_numbers_types_special_kinds_and_shown_texts_do_not_change(maisons, shipped_files, path, old, new, finding):
    findings = succession_findings(maisons, parse_bundle("changed", changed(shipped_files, path, old, new)))
    if finding:
        assert finding in " ".join(findings)
    else:  # what may change
        assert list(findings) == []
    assert bool(findings) == bool(finding)
