"""Budgets, networks, honey and events at the command line: lowered by one officer, raised by two and never by one."""

import subprocess

import pytest

PASSWORD = "seven lamps by the quay"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def officers(home, ecrin, jwks, tmp_path):
    """A system with limits, and two officers: by name, what they give to sign with."""
    path = tmp_path / "password"
    path.write_text(PASSWORD)
    made = {}
    arguments = ("--brand", "aurelle", "--jwks", jwks, "--scope", "lookup", "--budget", "system:people:10/hour")
    assert ecrin("system", "add", "aurelle-crm", *arguments).code == 0
    for name in ("ines", "paul"):
        key, public = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        openssl("genpkey", "-algorithm", "ed25519", "-out", key)
        openssl("pkey", "-in", key, "-pubout", "-out", public)
        added = ("officer", "add", name, "--role", "approver", "--password-file", path, "--public-key", public)
        assert ecrin(*added).code == 0
        made[name] = ("--officer", name, "--key", key)
    return made


def test_a_raise_takes_two(officers, ecrin, tmp_path):
    wanted = ("aurelle-crm", "--limit", "system:people:50/hour", "--hours", "2", "--json")
    ines, paul = officers.values()
    made = ecrin("budget", "propose", *wanted, *ines).json
    assert (made["state"], made["proposed_by"], made["hours"]) == ("proposed", "ines", 2)
    own = ecrin("budget", "approve", made["id"], *ines)
    assert (own.code, "nobody approves their own" in own.err) == (1, True)
    assert ecrin("budget", "approve", made["id"], *paul, "--json").json["state"] == "approved"
    shown = ecrin("budget", "show", "aurelle-crm", "--json").json
    assert shown["limits"] == ["system:people:10/hour"]
    assert [each["limits"] for each in shown["raises"]] == [["system:people:50/hour"]]
    # Taken back with a signature made at another desk, with openssl.
    told = ecrin("officer", "message", "raise.withdraw", made["id"], "--officer", "paul")
    assert told.out.splitlines()[0] == "ecrin-officer-act v1"
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_text(told.out)
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", paul[-1], "-in", message, "-out", signature)
    taken = ("budget", "withdraw", made["id"], "--officer", "paul", "--signature", signature)
    assert ecrin(*taken).code == 0
    assert ecrin(*taken).code == 1
    assert ecrin("budget", "show", "aurelle-crm", "--json").json["raises"] == []
    assert [each["state"] for each in ecrin("budget", "list", "--json").json["raises"]] == ["withdrawn"]


def test_a_join_takes_two_and_is_told_once(officers, ecrin, tmp_path):
    named = tmp_path / "named"
    named.write_text("ref_00000000000000000000000000\n")
    asked = ("join", "propose", "aurelle", "vantier", named, "--reason", "fraud_inquiry")
    assert ecrin(*asked, *officers["ines"][:3], tmp_path / "none").code == 2
    made = ecrin(*asked, *officers["ines"], "--json").json
    assert (made["state"], made["count"]) == ("proposed", 1)
    assert ecrin("join", "approve", made["id"], *officers["ines"]).code == 1
    assert ecrin("join", "approve", made["id"], *officers["paul"], "--json").json == {"references": []}
    assert ecrin("join", "withdraw", made["id"], *officers["paul"]).code == 1
    second = ecrin(*asked, *officers["paul"], "--json").json["id"]
    assert ecrin("join", "withdraw", second, *officers["paul"]).code == 0
    assert {each["state"] for each in ecrin("join", "list", "--json").json["joins"]} == {"approved", "withdrawn"}


def test_a_wrong_key_proposes_nothing_and_no_key_neither(officers, ecrin, tmp_path):
    wanted = ("budget", "propose", "aurelle-crm", "--limit", "system:people:50/hour", "--hours", "2")
    for key, code in ((officers["paul"][-1], 1), (tmp_path / "none", 2)):
        refused = ecrin(*wanted, "--officer", "ines", "--key", key)
        assert refused.code == code
        assert refused.err
    assert ecrin(*wanted, "--officer", "ines").code == 2
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
    assert ecrin("system", "enable", "aurelle-crm", "--officer", "ines").code == 2
    enabled = ecrin("system", "enable", "aurelle-crm", *officers["ines"], "--json")
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
