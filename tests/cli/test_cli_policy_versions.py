"""Two officers at the command line: propose, read the difference, sign, put in force, refuse, go back."""

import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from api.bootstrap import open_from
from api.settings import load

BUILT_IN = Path(__file__).parents[2] / "policies" / "bundles" / "maisons"
PASSWORD = "seven lamps by the quay"
STRICTER = '\n@id("refuse.notes")\n@title("Nobody reads notes")\n@basis("GDPR 5(1)(c)")\nforbid (principal, action, resource == Category::"notes");\n'


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def desks(home, ecrin, tmp_path):
    """An author and an approver who made their keys with openssl, one of each kind, and registered the public halves."""
    (tmp_path / "password").write_text(PASSWORD)
    made = {}
    for officer, role, kind in (
        ("m.lefevre", "compliance", ("-algorithm", "ed25519")),
        ("a.moreau", "approver", ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")),
    ):
        key, public = tmp_path / f"{officer}.key", tmp_path / f"{officer}.pub"
        openssl("genpkey", *kind, "-out", key)
        openssl("pkey", "-in", key, "-pubout", "-out", public)
        added = ecrin(
            "officer", "add", officer, "--role", role, "--password-file", tmp_path / "password", "--public-key", public,
            "--json",
        )  # fmt: skip
        assert (added.code, len(added.json["key"])) == (0, 64)
        made[officer] = key
    return made


@pytest.fixture
def draft(tmp_path):
    folder = Path(shutil.copytree(BUILT_IN, tmp_path / "draft"))
    (folder / "access.cedar").write_text((folder / "access.cedar").read_text() + STRICTER)
    return folder


def by(desks, officer):
    return ("--officer", officer, "--key", desks[officer])


def test_a_bundle_on_its_way_through_two_officers(ecrin, desks, draft, tmp_path):
    founded = ecrin("policy", "list", "--json").json["versions"]
    assert [(each["number"], each["state"], each["author"]) for each in founded] == [(1, "active", "founder-author")]
    waiting = ecrin("doctor")  # two officers with keys, and still the founders' version: that is a failure
    assert (waiting.code, "overdue" in waiting.out, "a version of their own" in waiting.out) == (1, True, True)
    proposed = ecrin("policy", "propose", draft, *by(desks, "m.lefevre"), "--json")
    assert (proposed.code, proposed.json["number"], proposed.json["state"]) == (0, 2, "draft")
    own = ecrin("policy", "sign", "2", *by(desks, "m.lefevre"))
    assert (own.code, "nobody approves their own" in own.err) == (1, True)
    assert ecrin("policy", "activate", "2").code == 1
    # the second officer signs at another desk, with openssl
    text = ecrin("policy", "message", "2", "--part", "approver")
    (tmp_path / "message").write_text(text.out)
    signature = tmp_path / "signature"
    openssl("dgst", "-sha256", "-sign", desks["a.moreau"], "-out", signature, tmp_path / "message")
    signed = ecrin("policy", "sign", "2", "--officer", "a.moreau", "--signature", signature, "--json")
    assert (signed.code, signed.json["state"]) == (0, "approved")
    assert ecrin("policy", "activate", "2").code == 0
    assert [each["state"] for each in ecrin("policy", "list", "--json").json["versions"]] == ["retired", "active"]
    assert "signed by m.lefevre and a.moreau" in ecrin("doctor").out
    assert "no second pair of eyes" not in ecrin("doctor").out
    assert {
        each["status"] for each in ecrin("officer", "list", "--json").json["officers"] if "founder" in each["id"]
    } == {"disabled"}
    with open_from(load()).unit() as uow:  # as a release before this one left them
        uow.conn.execute(sql("UPDATE officer SET status = 'active' WHERE id = 'founder-author'"))
        uow.commit()
    left = ecrin("doctor")
    assert (left.code, "overdue" in left.out, "officer disable` for founder-author" in left.out) == (1, True, True)
    assert ecrin("officer", "disable", "founder-author").code == 0
    assert ecrin("doctor").code == 0
    assert ecrin("policy", "export", "active", tmp_path / "out").code == 0
    assert (tmp_path / "out" / "access.cedar").read_text().endswith(STRICTER)
    assert ecrin("policy", "export", "active", tmp_path / "out").code == 2
    asked = ("clienteling.in_store", "advisor_notes", "--consent", "clienteling", "--staffed")
    assert ecrin("policy", "explain", *asked, "--json").json["fields"][0]["granted"] == "raw"
    assert ecrin("policy", "explain", *asked, "--bundle", "active", "--json").json["fields"][0]["granted"] is None


def test_the_doctor_tells_who_governs_and_fails_once_the_house_could(ecrin, desks):
    def policies():
        told = ecrin("doctor", "--json")
        (check,) = [each for each in told.json["checks"] if each["check"] == "policies"]
        return told.code, check["result"], check["detail"]

    assert policies()[:2] == (1, "overdue")
    assert ecrin("officer", "disable", "a.moreau").code == 0  # half a house governs nothing
    code, result, detail = policies()
    assert (code, result, "no second pair of eyes yet" in detail) == (0, "ok", True)
    with open_from(load()).unit() as uow:
        uow.conn.execute(sql("UPDATE policy_version SET state = 'retired'"))
        uow.commit()
    code, result, detail = policies()
    assert (code, result, "no_policy" in detail) == (1, "failed", True)


def test_a_refused_draft_and_wrong_calls(ecrin, desks, draft, tmp_path):
    assert ecrin("policy", "propose", draft, *by(desks, "m.lefevre")).code == 0
    refused = ecrin("policy", "refuse", "2", *by(desks, "a.moreau"), "--json")
    assert (refused.code, refused.json["state"]) == (0, "refused")
    assert ecrin("policy", "sign", "2", *by(desks, "a.moreau")).code == 1
    (draft / "access.cedar").write_text("permit (")
    assert ecrin("policy", "propose", draft, *by(desks, "m.lefevre")).code == 1
    for wrong in (
        ("sign", "99", *by(desks, "a.moreau")),
        ("sign", "2", "--officer", "nobody", "--key", desks["a.moreau"]),
        ("sign", "2", "--officer", "a.moreau"),
        ("sign", "2", *by(desks, "a.moreau"), "--signature", tmp_path / "none"),
        ("sign", "2", "--officer", "a.moreau", "--key", tmp_path / "none"),
        ("sign", "2", "--officer", "a.moreau", "--key", BUILT_IN / "purposes.toml"),
        ("propose", tmp_path / "none", *by(desks, "m.lefevre")),
    ):
        ended = ecrin("policy", *wrong)
        assert ended.code in {1, 2}, wrong
        assert ended.err
        assert "Traceback" not in ended.err
    assert ecrin("officer", "key", "a.moreau", desks["a.moreau"]).code == 1  # a private key
    assert ecrin("officer", "disable", "a.moreau", "--json").json["status"] == "disabled"
    assert {each["id"]: each["status"] for each in ecrin("officer", "list", "--json").json["officers"]} == {
        "a.moreau": "disabled", "m.lefevre": "active", "founder-author": "active", "founder-approver": "active",
    }  # fmt: skip


def test_what_a_draft_changes_is_told_in_words_and_for_the_log(ecrin, home, draft):
    told = ecrin("policy", "diff", "active", draft, "--json")
    assert told.code == 0
    assert [(each["part"], each["kind"], each["name"]) for each in told.json["changes"]] == [
        ("rule", "added", "refuse.notes")
    ]
    assert told.json["forbidden"] == []
    assert "rule refuse.notes: added" in ecrin("policy", "diff", "1", draft).out
    assert "Nothing changes." in ecrin("policy", "diff", "built-in", "active").out
    catalogue = draft / "catalogue.toml"
    catalogue.write_text(catalogue.read_text().replace("id = 302\n", "id = 399\n"))
    assert "keeps it" in ecrin("policy", "diff", "active", draft, "--json").json["forbidden"][0]
    replayed = ecrin("policy", "replay", draft, "--json")
    assert (replayed.code, replayed.json["entries"], replayed.json["flips"]) == (0, 0, [])
    assert "0 entries of 7 days" in ecrin("policy", "replay", draft, "--days", "7").out
    for wrong in (("diff", "active", "99"), ("replay", "no-such-folder"), ("diff", "active", draft / "none")):
        assert ecrin("policy", *wrong).code == 1, wrong


def test_the_crowds_are_counted_at_the_command_line(ecrin, home):
    assert ecrin("census", "--json").json == {"number": 1, "groups": 0, "least_group": 20, "unreadable": 0}
    assert "0 groups of at least 20 people" in ecrin("census").out
