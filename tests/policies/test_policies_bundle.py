"""Reading bundles: what is refused, that everything wrong is said at once, and what the hash covers."""

import hashlib
from pathlib import Path

import pytest

from policies.bundle import bundle_hash, parse_bundle
from policies.errors import InvalidBundle

FROZEN_NOTICES = Path(__file__).with_name("notices.sha256")
RULES, CATALOGUE, PURPOSES, SCHEMA = "access.cedar", "catalogue.toml", "purposes.toml", "schema.cedarschema"


def changed(files: dict[str, bytes], path: str, old: str, new: str, count: int = 1) -> dict[str, bytes]:
    text = files[path].decode()
    assert old in text, f"{old!r} is not in {path}"
    return {**files, path: text.replace(old, new, count).encode()}


def findings(files: dict[str, bytes]) -> tuple[str, ...]:
    with pytest.raises(InvalidBundle) as caught:
        parse_bundle("candidate", files)
    assert caught.value.findings
    return caught.value.findings


def test_shipped_bundle_is_valid(maisons):
    assert maisons.name == "maisons"
    assert len(maisons.hash) == 32


def test_hash_names_the_files_and_nothing_else(shipped_files, maisons):
    again = parse_bundle("another name", dict(reversed(shipped_files.items())))
    assert again.hash == maisons.hash
    assert again == maisons
    assert hash(again) == hash(maisons)
    edited = parse_bundle("maisons", {**shipped_files, RULES: shipped_files[RULES] + b"\n"})
    assert edited != maisons


def test_hash_cannot_be_shifted_between_path_and_content():
    assert bundle_hash({"ab": b"c"}) != bundle_hash({"a": b"bc"})
    assert bundle_hash({"a": b"b", "c": b"d"}) != bundle_hash({"a": b"d", "c": b"b"})
    assert bundle_hash({"a": b""}) != bundle_hash({})


@pytest.mark.parametrize(
    ("path", "old", "new", "finding"),
    [
        # catalogue
        (CATALOGUE, "id = 202", "id = 201", "field id 201 is used twice"),
        (CATALOGUE, "id = 202", "id = 302", "[contact] email: `id` must lie between 200 and 299"),
        (CATALOGUE, "\nid = 2\n", "\nid = 1\n", "category id 1 is used twice"),
        (CATALOGUE, "contact.field.email", "contact.field.name", "field name is used twice"),
        (CATALOGUE, "contact.field.email", "contact.field.E-Mail", "a field is named in snake_case"),
        (CATALOGUE, 'type = "email"', 'type = "genome"', "[contact] email: unknown type `genome`"),
        (CATALOGUE, 'type = "email"', "type = 7", "[contact] email: `type` must be given as str"),
        (CATALOGUE, 'kind = "journal"', 'kind = "diary"', "`kind` must be one of single, list, journal"),
        (CATALOGUE, 'search = "phone/1"', 'search = "phone"', "`search` names a normaliser and its version"),
        (CATALOGUE, 'masked = "phone_mask"', 'masked = "area"', "`masked` names no known transform of that level"),
        (CATALOGUE, 'masked = "phone_mask"', 'masked = "email_mask"', "`email_mask` cannot be used on the type `phone`"),
        (CATALOGUE, 'masked = "phone_mask"', 'maked = "phone_mask"', "unknown key `maked`"),
        (CATALOGUE, "age_at_least 18", "age_at_least", "predicate `over_18` does not fit its rule"),
        (CATALOGUE, "age_at_least 18", "age_at_least x", "predicate `over_18` does not fit its rule"),
        (CATALOGUE, "age_at_least 18", "older_than 18", "predicate `over_18` has no rule that fits the type `date`"),
        (CATALOGUE, "choice_at_least loyal", "choice_at_least rich", "predicate `at_least_loyal` does not fit"),
        (CATALOGUE, 'sensitivity = "special"', 'sensitivity = "secret"', "`sensitivity` must be one of"),
        (CATALOGUE, "retention_days = 365", "retention_days = 0", "`retention_days` must be at least 1"),
        (CATALOGUE, "retention_days = 365", "retention_days = true", "`retention_days` must be given as int"),
        (CATALOGUE, 'fr = "Identité", ', "", "[identity]: `title` needs fr and en"),
        (CATALOGUE, 'choices = ["signature", "plain", "none"]', "", "the type `choice` needs `choices`"),
        (CATALOGUE, '["signature", "plain", "none"]', '["plain", "plain"]', "`choices` names a word twice"),
        (CATALOGUE, "[identity]", "[identity", "catalogue.toml:"),
        (CATALOGUE, "\nid = 2\n", "\nid = 400\n", "`id` must be between 1 and 327"),
        (CATALOGUE, 'kind = "journal"', 'kind = "journal"\nversion = 0', "`version` must be between 1 and 32767"),
        (CATALOGUE, 'kind = "journal"', 'kind = "journal"\nspecial = "yes"', "`special` must be true or false"),
        (CATALOGUE, '["signature", "plain", "none"]', "[1, 2]", "`choices` is a list of words in snake_case"),
        (CATALOGUE, 'predicates = { is_verified = "is_true" }', "predicates = 7", "`predicates` maps names to rules"),
        # purposes
        (PURPOSES, "validity_days = 365", "validity_days = 0", "`validity_days` must be at least 1"),
        (PURPOSES, 'uk = ["gb"]', 'uk = "gb"', "`uk` is a list of regions"),
        (PURPOSES, '[purpose."marketing.email"]', '[purpose."marketing.E-Mail"]', "a dotted key of snake_case words"),
        (PURPOSES, 'max_level = { identity = "raw", address = "raw", purchases', "max_level = 7 # {", "`max_level` maps"),
        (PURPOSES, 'identity = "masked", contact', 'identity = "masked", genome', "the unknown category `genome`"),
        (PURPOSES, 'identity = "masked", contact = "generalised"', 'identity = "all"', "`max_level` of `identity`"),
        (PURPOSES, "[purpose.marketing]", "[purpose.publicity]", "its parent `marketing` does not exist"),
        (PURPOSES, 'notice = "hospitality"', 'notice = "hotel"', "there is no notice `hotel`"),
        (PURPOSES, 'notice = "hospitality"\n', "", "[clienteling.hospitality]: consent needs a `notice`"),
        (PURPOSES, "validity_days = 365\n", "", "[clienteling.hospitality]: consent needs `validity_days`"),
        (PURPOSES, 'basis = { default = "contract" }', 'basis = { default = "wish" }', "`basis` for `default`"),
        (PURPOSES, 'basis = { default = "contract" }', 'basis = { eu = "contract" }', "`basis` needs at least `default`"),
        (PURPOSES, 'default = "heading"', 'default = "heading", us = "contract"', "a heading is a heading in every"),
        (PURPOSES, "dpv/2.3#Marketing", "dpv#Marketing", "`dpv` must be pinned"),
        (PURPOSES, 'default = "contract" }', 'default = "contract" }\nseparate_consent = true', "means nothing where"),
        (PURPOSES, 'uk = ["gb"]', 'uk = ["gb", "fr"]', "the region `fr` is in two jurisdictions"),
        (PURPOSES, '[purpose."group.profile_sharing"]', '[purpose."group.sharing"]', "`group.profile_sharing` must exist"),
        (PURPOSES, "separate_consent = true\nvalidity_days = 730", "validity_days = 730", "needs a separate consent everywhere"),
        # rules
        (RULES, '@id("clienteling.dates")', '@id("clienteling.tastes")', "two rules have the @id `clienteling.tastes`"),
        (RULES, '@id("clienteling.dates")\n', "", "lacks @id"),
        (RULES, '@title("Counsel may see everything needed for a legal claim")\n', "", "`legal.claims` lacks @title"),
        (RULES, '@basis("GDPR 9(1)")', '@basis("")', "`refuse.health_elsewhere` lacks @basis"),
        (RULES, '@id("legal.claims")', '@id("floor.minor")', "`floor.minor` is reserved"),
        (RULES, 'Category::"health"', 'Category::"helth"', "names the unknown category `helth`"),
        (RULES, 'Purpose::"clienteling.remote"', 'Purpose::"clienteling.remot"', "unknown purpose `clienteling.remot`"),
        (RULES, "  context.staffed\n", "  context.stafed\n", "stafed"),
        (RULES, 'Action::"up_to_masked"', 'Action::"up_to_maskd"', "up_to_maskd"),
        (RULES, 'context.basis == "contract"', "context.basis == 7", "rule `service."),
        (RULES, "permit (principal,", "permit (principal", "access.cedar:"),
        (RULES, "permit (principal,", "permit (principal == ?principal,", "is a template"),
        # the schema is the engine's
        (SCHEMA, "consented: Bool,", "consented: Bool,\n  vip: Bool,", "differs from the schema"),
        (SCHEMA, "consented: Bool,", "consented?: Bool,", "differs from the schema"),
        (SCHEMA, "action up_to_masked in [up_to_raw];", "action up_to_masked;", "differs from the schema"),
        (SCHEMA, "entity Brand;", "entity Brand", "schema.cedarschema:"),
    ],
)  # fmt: skip
def test_faulty_bundle_is_refused_with_the_place(shipped_files, path, old, new, finding):
    found = findings(changed(shipped_files, path, old, new))
    assert any(finding in each for each in found), found


@pytest.mark.parametrize("path", [CATALOGUE, PURPOSES, RULES, SCHEMA])
def test_missing_file_is_refused(shipped_files, path):
    files = {name: content for name, content in shipped_files.items() if name != path}
    assert findings(files) == (f"{path}: missing",)


@pytest.mark.parametrize("path", [CATALOGUE, PURPOSES, RULES, SCHEMA, "notices/hospitality.1.fr.md"])
def test_file_that_is_not_utf8_is_refused(shipped_files, path):
    assert any(path in each for each in findings({**shipped_files, path: b"\xff\xfe"}))


@pytest.mark.parametrize("path", [CATALOGUE, PURPOSES])
@pytest.mark.parametrize("content", [b"", b"x = 1", b"[a]\nfield = 7", b"[purpose]\na = 7", b"[purpose.a]\nbasis = 7"])
def test_nonsense_is_refused_and_never_crashes(shipped_files, path, content):
    assert findings({**shipped_files, path: content})


def test_notices_in_one_language_or_empty_are_refused(shipped_files):
    one = {path: content for path, content in shipped_files.items() if path != "notices/hospitality.1.en.md"}
    assert "notices/hospitality.1.en.md: missing" in findings(one)
    assert "notices/hospitality.1.en.md: empty" in findings({**shipped_files, "notices/hospitality.1.en.md": b" \n"})


@pytest.mark.parametrize("path", ["notices/hospitality.md", "notices/hospitality.0.fr.md", "readme.md", "../x"])
def test_stray_file_is_refused(shipped_files, path):
    assert findings({**shipped_files, path: b"text"}) == (f"{path}: not a file of a bundle",)


def test_everything_wrong_is_said_at_once(shipped_files):
    files = changed(shipped_files, CATALOGUE, "id = 202", "id = 201")
    files = changed(files, PURPOSES, 'notice = "hospitality"', 'notice = "hotel"')
    files["stray.md"] = b"x"
    assert len(findings(files)) == 3


def test_notices_are_evidence_with_versions(maisons, shipped_files):
    notice = maisons.notices["clienteling", 1, "fr"]
    assert notice.hash == hashlib.sha256(shipped_files["notices/clienteling.1.fr.md"]).digest()
    assert notice.text.startswith("# ")
    assert maisons.current_notice("clienteling") == 1
    assert maisons.current_notice("nothing") is None
    newer = parse_bundle(
        "m", {**shipped_files, **{f"notices/clienteling.2.{each}.md": b"# Two" for each in ("fr", "en")}}
    )
    assert newer.current_notice("clienteling") == 2
    for purpose in maisons.purposes.every:
        if purpose.may_need_consent:
            assert {(purpose.notice, 1, "fr"), (purpose.notice, 1, "en")} <= set(maisons.notices)


def test_published_notices_never_change(shipped_files):
    """A notice people have agreed to is evidence: a new wording is a new version, with a new line here."""
    lines = FROZEN_NOTICES.read_text(encoding="utf-8").splitlines()
    frozen = {path: digest for digest, path in (line.split() for line in lines)}
    found = {
        path: hashlib.sha256(content).hexdigest() for path, content in shipped_files.items() if path.endswith(".md")
    }
    assert found == frozen
