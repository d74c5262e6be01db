"""What changed from one bundle to another, told in words, always in the same order."""

import pytest

from policies.bundle import parse_bundle
from policies.difference import Kind, Part, differences


def changed(files, path, old, new):
    text = files[path].decode()
    assert old in text
    return parse_bundle("changed", files | {path: text.replace(old, new, 1).encode()})


def test_a_bundle_does_not_differ_from_itself_nor_from_one_laid_out_anew(maisons, shipped_files):
    assert differences(maisons, maisons) == ()
    rules = shipped_files["access.cedar"].decode()
    head, *each = rules.split("@id(")
    moved = head + "".join(f"@id({rule}" for rule in reversed(each))
    relaid = parse_bundle("relaid", shipped_files | {"access.cedar": moved.replace(" &&\n", "\n&&  ").encode()})
    assert relaid.hash != maisons.hash
    assert differences(maisons, relaid) == ()


@pytest.mark.parametrize(
    ("path", "old", "new", "part", "name", "words"),
    [
        ("access.cedar", 'Purpose::"clienteling.aftercare" && context.consented }', 'Purpose::"clienteling.aftercare" }', Part.RULE,
         "clienteling.sizes_for_aftercare", ("only where, no longer: the purpose rests on consent, and consent stands",)),
        ("access.cedar", "&& !context.consented };", "};", Part.RULE, "refuse.insight_in_china_without_consent",
         ("where, no longer: no consent stands",)),
        ("access.cedar", "Aftercare may know sizes exactly", "Aftercare may know sizes", Part.RULE,
         "clienteling.sizes_for_aftercare", ("title: Aftercare may know sizes exactly → Aftercare may know sizes",)),
        ("purposes.toml", 'basis = { default = "consent", us = "legitimate_interest" }  #', 'basis = { default = "consent" }  #', Part.PURPOSE,
         "marketing.email", ("legal basis, no longer: legitimate_interest (us)",)),
        ("purposes.toml", "validity_days = 365", "validity_days = 200", Part.PURPOSE, "clienteling.hospitality",
         ("consent lasts, days: 365 → 200",)),
        ("purposes.toml", 'contact = "masked"', 'contact = "raw"', Part.PURPOSE, "clienteling.in_store",
         ("opens, no longer: contact up to masked", "opens, now: contact up to raw")),
        ("purposes.toml", 'uk = ["gb"]', 'uk = ["gb", "gg"]', Part.JURISDICTION, "uk", ("regions, now: gg",)),
        ("catalogue.toml", "retention_days = 365", "retention_days = 300", Part.CATEGORY, "health", ("kept at most, days: 365 → 300",)),
        ("catalogue.toml", 'masked = "phone_mask"\n', "", Part.FIELD, "phone", ("shown, no longer: masked as phone_mask",)),
        ("catalogue.toml", '"prospect", "client"', '"client", "prospect"', Part.FIELD, "standing",
         ("choices: prospect, client, loyal, privileged, grand_client → client, prospect, loyal, privileged, grand_client",)),
        ("catalogue.toml", "age_at_least 18", "age_at_least 21", Part.FIELD, "birth_date",
         ("may be asked, no longer: over_18 (age_at_least 18)", "may be asked, now: over_18 (age_at_least 21)")),
        ("catalogue.toml", 'type = "repair"\n', 'type = "repair"\nwritten_for_person = true\n', Part.FIELD, "repairs",
         ("written for the person to read: no → yes",)),
    ],
)  # fmt: skip
def test_a_change_is_told_in_words(maisons, shipped_files, path, old, new, part, name, words):
    (change,) = differences(maisons, changed(shipped_files, path, old, new))
    assert (change.part, change.kind, change.name, change.words) == (part, Kind.CHANGED, name, words)


def test_what_comes_goes_and_is_shown_anew(maisons, shipped_files):
    extra = (
        '\n@id("z.more") @title("More") @basis("none") permit (principal, action, resource) when { context.staffed };\n'
    )
    files = shipped_files | {
        "access.cedar": shipped_files["access.cedar"] + extra.encode(),
        "notices/clienteling.2.fr.md": b"texte",
        "notices/clienteling.2.en.md": b"text",
    }
    more = parse_bundle("more", files)
    assert [(each.part, each.kind, each.name) for each in differences(maisons, more)] == [
        (Part.RULE, Kind.ADDED, "z.more"),
        (Part.NOTICE, Kind.ADDED, "clienteling.2.en"),
        (Part.NOTICE, Kind.ADDED, "clienteling.2.fr"),
    ]
    assert next((each.kind, each.name) for each in differences(more, maisons)) == (Kind.REMOVED, "z.more")
    assert differences(maisons, more)[0].text() == (
        "rule z.more: added\n  effect: permit\n  title: More\n  basis: none\n"
        "  only where: a person of the house is behind the request"
    )
