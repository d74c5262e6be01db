"""What changed from one bundle to another, told in words, always in the same order."""

from dataclasses import fields, replace
from hashlib import sha256

import pytest

from policies.bundle import parse_bundle
from policies.catalogue import FieldKind, LegalRetention, Sensitivity
from policies.difference import Kind, Part, _category, _field, _purpose, differences
from policies.phrases import ENGLISH
from policies.purposes import Basis


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


RULE = '@id("it") @title("A rule under test") @basis("none")\npermit (principal, action, resource)'
ALIKE = [
    # What decides differently must read differently, or who approves it sees nothing.
    (' when { !(context.region == "eu" || context.staffed) };', ' when { !(context.region == "eu") || context.staffed };'),
    (" unless { context.staffed && (context.special || context.consented) };",
     " unless { (context.staffed && context.special) || context.consented };"),
    (" when { context.staffed || (context.special && context.consented) };",
     " when { (context.staffed || context.special) && context.consented };"),
]  # fmt: skip
SCOPES = [
    ('principal == System::"x", action, resource', 'principal in Brand::"x", action, resource'),
    ('principal, action in Action::"up_to_raw", resource', 'principal, action == Action::"raw", resource'),
]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(
    ("before", "after"),
    [*((RULE + old, RULE + new) for old, new in ALIKE),
     *((RULE.replace("principal, action, resource", old) + ";", RULE.replace("principal, action, resource", new) + ";") for old, new in SCOPES)],
)  # fmt: skip
def test_a_rule_that_decides_otherwise_never_reads_the_same(shipped_files, before, after, language):
    old, new = (parse_bundle("it", {**shipped_files, "access.cedar": text.encode()}) for text in (before, after))
    (change,) = differences(old, new, language)
    assert (change.part, change.name) == (Part.RULE, "it")


def test_a_title_that_changes_in_one_language_alone_is_told_in_both(maisons, shipped_files):
    other = changed(shipped_files, "catalogue.toml", '"Coordonnées"', '"Contacts"')
    (change,) = differences(maisons, other)
    assert change.words == ("title in French: Coordonnées → Contacts",)


@pytest.mark.parametrize("path", ["law.toml", "parties.toml", "rights.toml"])
def test_a_file_whose_rules_have_no_words_here_is_named_when_it_changes(maisons, shipped_files, path):
    other = parse_bundle("maisons", {**shipped_files, path: shipped_files[path] + b"\n# another word\n"})
    (change,) = differences(maisons, other)
    before, after = (
        sha256(text).hexdigest()[:16] for text in (shipped_files[path], shipped_files[path] + b"\n# another word\n")
    )
    assert change.text() == f"file {path}: changed\n  text: {before} → {after}"
    (gone,) = differences(maisons, parse_bundle("maisons", {k: v for k, v in shipped_files.items() if k != path}))
    assert (gone.part, gone.kind, gone.name) == (Part.FILE, Kind.REMOVED, path)


TOLD = [
    (Part.PURPOSE, {"key", "parent"}, {  # a purpose of another key is another; its parent stands in its key
        "version": 9, "title": {"en": "x", "fr": "x"}, "basis": {"default": Basis.CONTRACT, "eu": Basis.CONSENT}, "separate_consent": None,
        "dpv": "x", "validity_days": 9, "max_level": {}, "notice": "x", "least_group": 99, "notice_from": 9,
        "recipients": ("x",), "channel": "x", "gpc": None,
    }),
    (Part.CATEGORY, {"name", "special", "fields"}, {  # `special` is its sensitivity
        "id": 99, "title": {"en": "x", "fr": "x"}, "sensitivity": Sensitivity.LOW, "retention_days": 9, "legal_retention": LegalRetention(9, "x"),
    }),
    (Part.FIELD, {"name", "category_id"}, {
        "id": 9999, "category": "x", "kind": FieldKind.JOURNAL, "type": "x", "schema_version": 9, "special": None, "search": "x/1",
        "levels": {}, "predicates": {"x": "is_true"}, "choices": ("x",), "title": {"en": "x", "fr": "x"}, "least_group": 99,
        "written_for_person": None,
    }),
]  # fmt: skip


@pytest.mark.parametrize(("part", "settled", "others"), TOLD, ids=[each[0].value for each in TOLD])
def test_everything_that_a_bundle_says_of_it_is_told_when_it_changes(maisons, part, settled, others):
    of, facets = {
        Part.PURPOSE: (maisons.purposes.get("clienteling.in_store"), _purpose),
        Part.CATEGORY: (maisons.catalogue.category("contact"), _category),
        Part.FIELD: (maisons.catalogue.fields["phone"], _field),
    }[part]
    assert {each.name for each in fields(of)} == settled | set(others)
    for name, value in others.items():
        other = replace(of, **{name: not getattr(of, name) if value is None else value})
        assert facets(other, ENGLISH) != facets(of, ENGLISH), name
