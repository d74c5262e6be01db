"""An emergency at the command line, from the question to the overdue review that the doctor tells of."""

import io
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from api import bootstrap
from api.settings import load
from audit.entry import Actor, ActorKind
from vault import officers
from vault.governance import officerkeys
from vault.officers import Role
from vault.store.tables import BreakGlassCase
from vault.subjects import Holding, NewSubject, ingest
from vault.unit import execute

BY = Actor(ActorKind.VAULT, "operator")


@pytest.fixture
def desks(home, tmp_path):
    """Two officers with keys, an auditor, and a person known to a house."""
    made = {}
    with closing(bootstrap.open_from(load())) as vault:
        for officer, role in (("o.desk", Role.OPERATOR), ("a.moreau", Role.APPROVER), ("c.auditor", Role.AUDITOR)):
            key = tmp_path / f"{officer}.key"
            subprocess.run(
                ["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True
            )
            public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True, capture_output=True).stdout
            with vault.unit() as uow:
                officers.add(uow, officer, role, "seven lamps by the quay", BY)
                officerkeys.register(uow, officer, officerkeys.read_public(public), BY)
                uow.commit()
            made[officer] = ("--officer", officer, "--key", key)
        (known,) = execute(vault, ingest, [NewSubject("crm", "fr", (Holding("aurelle", {"phone": ["+33639981234"]}),))])
    return made, known.references["aurelle"]


def test_an_emergency_at_the_command_line(ecrin, desks, tmp_path, monkeypatch):
    by, reference = desks
    reason = tmp_path / "reason"
    reason.write_text("Found unconscious in the boutique; whom do we call?\n")
    whom = tmp_path / "whom"
    whom.write_text(reference)
    asked = (
        "break-glass", "ask", "phone:raw", "--brand", "aurelle", "--reference-file", whom, "--reason-file", reason,
    )  # fmt: skip
    made = ecrin(*asked, *by["o.desk"], "--json")
    assert made.code == 0, made.err
    case = made.json["case"]
    assert ecrin("break-glass", "show", case, "--json").code == 2  # reading it is an act like any other
    assert ecrin("break-glass", "show", case, *by["o.desk"]).code == 1  # and not the asker's
    shown = ecrin("break-glass", "show", case, *by["a.moreau"], "--json").json
    assert (shown["reason"], shown["reference"], shown["minutes"]) == (reason.read_text().strip(), reference, 15)
    assert "whom do we call" in ecrin("break-glass", "show", case, *by["c.auditor"]).out
    assert ecrin("break-glass", "disclose", case, *by["o.desk"]).code == 1
    assert ecrin("break-glass", "approve", case, *by["o.desk"]).code == 1
    assert ecrin("break-glass", "approve", case, *by["a.moreau"]).code == 0
    seen = ecrin("break-glass", "disclose", case, *by["o.desk"], "--json")
    assert seen.json["fields"][0]["value"][0]["value"] == "+33639981234"
    (listed,) = ecrin("break-glass", "list", "--json").json["cases"]
    assert (listed["state"], listed["looks"], listed["approved_by"]) == ("approved", 1, "a.moreau")
    running = ecrin("break-glass", "review", case, "--finding", "justified", *by["c.auditor"])
    assert (running.code, running.err) == (1, "ecrin: case_running: it is reviewed when its minutes are over\n")

    with closing(bootstrap.open_from(load())) as vault, vault.unit() as uow:
        uow.conn.execute(BreakGlassCase.__table__.update().values(expires_at=1_000_000))
        uow.commit()
    told = ecrin("doctor", "--json")
    assert told.code == 1
    assert [each["result"] for each in told.json["checks"] if each["check"] == "reviews"] == ["overdue"]
    assert case in ecrin("doctor").out
    assert ecrin("break-glass", "list", "--json").json["cases"][0]["state"] == "over"
    assert ecrin("break-glass", "review", case, "--finding", "justified", *by["c.auditor"]).code == 0
    again = ecrin("break-glass", "review", case, "--finding", "justified", *by["c.auditor"])
    assert (again.code, again.err) == (1, "ecrin: case_closed\n")
    assert ecrin("doctor").code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{reference}\n"))
    piped = tuple(Path("-") if each == whom else each for each in asked)
    second = ecrin(*piped, *by["o.desk"], "--json").json["case"]
    assert ecrin("break-glass", "show", second, *by["a.moreau"], "--json").json["reference"] == reference
    assert ecrin("break-glass", "refuse", second, *by["a.moreau"]).code == 0
    told = ecrin("officer", "message", "case.justified", second, "--officer", "c.auditor").out
    assert "act: case.justified\n" in told


def test_wrong_calls_tell_why_and_nothing_of_the_person(ecrin, desks, tmp_path):
    by, reference = desks
    (tmp_path / "reason").write_text("short")
    (tmp_path / "whom").write_text(reference)
    files = ("--reference-file", tmp_path / "whom", "--reason-file", tmp_path / "reason")
    asked = ("break-glass", "ask", "--brand", "aurelle", *files, *by["o.desk"])
    for arguments, code in (
        ((*asked, "phone:raw"), 1),
        ((*asked, "phone:naked"), 2),
        ((*asked[:7], tmp_path / "none", *by["o.desk"], "phone:raw"), 2),
        ((*asked[:5], tmp_path / "none", *asked[6:], "phone:raw"), 2),
        (("break-glass", "show", "zz", *by["a.moreau"]), 2),
        (("break-glass", "show", "00" * 16, *by["a.moreau"]), 1),
    ):
        ended = ecrin(*arguments)
        assert ended.code == code, arguments
        assert ended.err
        assert reference not in ended.err
        assert "Traceback" not in ended.err
