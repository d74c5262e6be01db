"""`policy check` and `policy explain`: an officer reads what is wrong, and why something would be decided."""

import shutil
from pathlib import Path

import pytest

BUILT_IN = Path(__file__).parents[2] / "policies" / "bundles" / "maisons"


@pytest.fixture
def folder(tmp_path):
    """A copy of the built-in bundle, to be broken."""
    return Path(shutil.copytree(BUILT_IN, tmp_path / "bundle"))


def test_the_built_in_bundle_is_valid(ecrin, folder):
    told = ecrin("policy", "check", "--json")
    assert told.code == 0
    assert told.json["valid"] is True
    assert (told.json["fields"], len(told.json["hash"])) == (66, 64)
    assert told.json["hash"] in ecrin("policy", "check").out
    copied = ecrin("policy", "check", "--bundle", folder, "--json")
    assert (copied.code, copied.json["hash"]) == (0, told.json["hash"])


BREAKAGES = {
    "access.cedar": ("", "\npermit (principal, action, resource) when { context.nonsense };\n"),
    "purposes.toml": ('identity = "masked"', 'no_such_category = "masked"'),
    "catalogue.toml": ('type = "code"', 'type = "no_such_type"'),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_every_finding_of_a_broken_bundle_is_told(ecrin, folder, name):
    old, new = BREAKAGES[name]
    path = folder / name
    path.write_text(path.read_text().replace(old, new, 2) if old else path.read_text() + new)
    told = ecrin("policy", "check", "--bundle", folder, "--json")
    assert (told.code, told.json["valid"]) == (1, False)
    assert any(name in finding or "rule" in finding for finding in told.json["findings"])
    text = ecrin("policy", "check", "--bundle", folder)
    assert text.code == 1
    assert len(text.out.splitlines()) == len(told.json["findings"])  # Cedar words one finding differently each time


@pytest.mark.parametrize("name", ["catalogue.toml", "purposes.toml", "access.cedar", "schema.cedarschema"])
def test_a_missing_or_garbled_file_is_a_finding_and_no_crash(ecrin, folder, name):
    for content in (None, "\x00 = = [", "é"):
        path = folder / name
        path.unlink() if content is None else path.write_text(content)
        ended = ecrin("policy", "check", "--bundle", folder)
        assert ended.code == 1, (name, content)
        assert ended.out.strip()
        assert "Traceback" not in ended.err
    (folder / name).write_bytes(b"\xff\xfe\x00")
    assert ecrin("policy", "check", "--bundle", folder).code == 1


def test_a_folder_that_is_none_is_refused(ecrin, tmp_path):
    assert ecrin("policy", "check", "--bundle", tmp_path / "none").code == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    assert ecrin("policy", "check", "--bundle", empty).code == 1


def test_a_deployment_is_not_founded_on_a_broken_bundle(bare, ecrin, folder, monkeypatch):
    (folder / "access.cedar").write_text("permit (")
    monkeypatch.setenv("ECRIN_BUNDLE_PATH", str(folder))
    assert ecrin("init").code == 1
    told = ecrin("doctor", "--json")
    assert told.code == 1
    assert {each["check"]: each["result"] for each in told.json["checks"]}["policies"] == "failed"
    assert "no_policy" in ecrin("system", "list").err
    monkeypatch.delenv("ECRIN_BUNDLE_PATH")
    assert ecrin("init").code == 0
    assert ecrin("system", "list").code == 0


def test_explain_names_the_rule_and_what_the_nearest_lacked(ecrin):
    asked = ("clienteling.in_store", "ring_size:raw", "phone:masked", "birth_date:predicate:over_18", "allergies:raw")
    told = ecrin("policy", "explain", *asked, "--consent", "clienteling", "--staffed", "--json")
    assert told.code == 0
    fields = {each["name"]: each for each in told.json["fields"]}
    assert {name: each["granted"] for name, each in fields.items()} == {
        "ring_size": "raw",
        "phone": "masked",
        "birth_date": "predicate",
        "allergies": None,
    }
    assert "clienteling.sizes_in_store" in fields["ring_size"]["why"]
    assert told.json["basis"] == "consent"
    without = ecrin("policy", "explain", *asked, "--json")
    assert all(each["granted"] is None for each in without.json["fields"])
    text = ecrin("policy", "explain", *asked, "--consent", "clienteling")
    assert text.code == 0
    assert "ring_size" in text.out
    for floor in ("--minor", "--restricted"):
        ended = ecrin("policy", "explain", *asked, "--consent", "clienteling", "--staffed", floor, "--json")
        assert ended.code == 0
        assert fields != {each["name"]: each for each in ended.json["fields"]}, floor


def test_explain_refuses_unknown_words(ecrin):
    for arguments in (
        ("marketing.telepathy", "phone:raw"),
        ("clienteling", "shoe_color:raw"),
        ("clienteling", "phone:naked"),
        ("clienteling", ":"),
        ("clienteling",),
    ):
        ended = ecrin("policy", "explain", *arguments)
        assert ended.code == 2, arguments
        assert "Traceback" not in ended.err
