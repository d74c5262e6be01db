"""Budgets, networks, honey and events at the command line: lowered by one officer, raised by two and never by one."""

import pytest

PASSWORD = "correct horse battery staple"


@pytest.fixture
def officers(home, ecrin, jwks, tmp_path):
    """A system with limits, two officers, and the file with both their passwords."""
    path = tmp_path / "password"
    path.write_text(PASSWORD)
    arguments = ("--brand", "aurelle", "--jwks", jwks, "--scope", "lookup", "--budget", "system:people:10/hour")
    assert ecrin("system", "add", "aurelle-crm", *arguments).code == 0
    for name in ("ines", "paul"):
        assert ecrin("officer", "add", name, "--role", "approver", "--password-file", path).code == 0
    return path


def test_a_raise_takes_two(officers, ecrin):
    wanted = ("aurelle-crm", "--limit", "system:people:50/hour", "--hours", "2", "--json")
    ines, paul = (("--officer", name, "--password-file", officers) for name in ("ines", "paul"))
    made = ecrin("budget", "propose", *wanted, *ines).json
    assert (made["state"], made["proposed_by"], made["hours"]) == ("proposed", "ines", 2)
    own = ecrin("budget", "approve", made["id"], *ines)
    assert (own.code, "officer_not_allowed" in own.err) == (1, True)
    assert ecrin("budget", "approve", made["id"], *paul, "--json").json["state"] == "approved"
    shown = ecrin("budget", "show", "aurelle-crm", "--json").json
    assert shown["limits"] == ["system:people:10/hour"]
    assert [each["limits"] for each in shown["raises"]] == [["system:people:50/hour"]]
    assert ecrin("budget", "withdraw", made["id"], *paul).code == 0
    assert ecrin("budget", "show", "aurelle-crm", "--json").json["raises"] == []
    assert [each["state"] for each in ecrin("budget", "list", "--json").json["raises"]] == ["withdrawn"]


def test_a_wrong_password_proposes_nothing(officers, ecrin, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("something else entirely")
    wanted = ("aurelle-crm", "--limit", "system:people:50/hour", "--hours", "2", "--officer", "ines")
    refused = ecrin("budget", "propose", *wanted, "--password-file", wrong)
    assert (refused.code, "officer_not_allowed" in refused.err) == (1, True)
    assert ecrin("budget", "propose", *wanted, "--password-file", tmp_path / "none").code == 2
    assert ecrin("budget", "list", "--json").json["raises"] == []


def test_an_operator_lowers_and_cannot_raise(officers, ecrin):
    lowered = ecrin("budget", "lower", "aurelle-crm", "--limit", "system:people:5/hour", "--json")
    assert lowered.json["limits"] == ["system:people:5/hour"]
    assert ecrin("budget", "lower", "aurelle-crm", "--limit", "system:people:6/hour").code == 1
    assert ecrin("budget", "lower", "aurelle-crm", "--limit", "everything").code == 1
    assert ecrin("budget", "lower", "nobody", "--limit", "system:people:6/hour").code == 1
    assert ecrin("budget", "show", "nobody").code == 1


def test_networks_and_enabling_are_commands_too(officers, ecrin):
    assert (
        ecrin("system", "allow", "aurelle-crm", "--network", "192.0.2.0/24", "--json").json["networks"]
        == "192.0.2.0/24"
    )
    assert ecrin("system", "allow", "aurelle-crm", "--network", "192.0.2.1/24").code == 1
    assert ecrin("system", "disable", "aurelle-crm").code == 0
    enabled = ecrin("system", "enable", "aurelle-crm", "--officer", "ines", "--password-file", officers, "--json")
    assert enabled.json["status"] == "active"


def test_honey_is_added_by_an_import(home, importer, ecrin, tmp_path):
    people = tmp_path / "people.ndjson"
    people.write_text('{"ref": "1", "region": "fr", "fields": {"client_number": "AU-0666"}}\n')
    added = ecrin("honey", "add", people, "--system", importer, "--key", "h1", "--json")
    assert added.json["counts"] == {"created": 1}
    assert ecrin("honey", "add", people, "--system", "nobody", "--key", "h1").code == 2


def test_events_are_listened_to_at_admissible_addresses_only(officers, ecrin):
    assert ecrin("events", "listen", "aurelle-crm", "--url", "http://crm.example/").code == 2
    assert ecrin("events", "listen", "nobody", "--url", "https://crm.example/").code == 1
    assert ecrin("events", "listen", "aurelle-crm", "--url", "https://crm.example/").code == 0
    told = ecrin("events", "endpoints", "--json").json["endpoints"]
    assert told == [{"system": "aurelle-crm", "url": "https://crm.example/"}]
    assert ecrin("events", "pending", "--json").json == {"events": []}
    assert ecrin("events", "listen", "aurelle-crm").code == 0
    assert ecrin("events", "endpoints", "--json").json["endpoints"] == []


def test_a_systems_keys_are_replaced_by_public_ones_alone(ecrin, jwks, importer, tmp_path):
    changed = ecrin("system", "keys", importer, "--jwks", jwks, "--compromised")
    assert (changed.code, "k1" in changed.out) == (0, True)
    assert ecrin("system", "keys", "nobody", "--jwks", jwks).code == 1
    assert ecrin("system", "keys", importer, "--jwks", tmp_path / "none").code == 2
    wrong = tmp_path / "private.jwks"
    wrong.write_text('{"keys": [{"kty": "oct", "k": "secret", "kid": "k1"}]}')
    refused = ecrin("system", "keys", importer, "--jwks", wrong)
    assert (refused.code, "secret" in refused.out + refused.err) == (1, False)
