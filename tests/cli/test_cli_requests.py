"""Requests at the command line: an erasure by two officers, a refusal, a package, the figures; signed, and on record."""

import io
import json
import subprocess
import zipfile
from contextlib import closing

import pytest

from api import bootstrap
from api.settings import load
from audit.entry import Actor, ActorKind
from policies.rights import Assurance, Right
from vault import officers
from vault.governance import officerkeys
from vault.officers import Role
from vault.requests.content import Content
from vault.requests.intake import Ask, of_system, received
from vault.requests.records import Source
from vault.subjects import Holding, NewSubject, ingest
from vault.unit import execute

BY = Actor(ActorKind.VAULT, "operator")
WORDS = "Mon adresse est 12 rue des Lilas."


@pytest.fixture
def desk(home, tmp_path):
    """Two officers with keys, and requests of a person known to a house, by right."""
    by = {}
    with closing(bootstrap.open_from(load())) as vault:
        for officer, role in (("m.lefevre", Role.COMPLIANCE), ("a.moreau", Role.APPROVER)):
            key = tmp_path / f"{officer}.key"
            subprocess.run(
                ["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True
            )
            public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True, capture_output=True).stdout
            with vault.unit() as uow:
                officers.add(uow, officer, role, "seven lamps by the quay", BY)
                officerkeys.register(uow, officer, officerkeys.read_public(public), BY)
                uow.commit()
            by[officer] = ("--officer", officer, "--key", key)
        holding = Holding(
            "aurelle", {"phone": ["+33639981234"], "email": ["apolline@example.com"], "client_number": "AU-7"}
        )
        (known,) = execute(vault, ingest, [NewSubject("crm", "fr", (holding,))])
        made = {}
        for right in (Right.ACCESS, Right.ERASURE, Right.COMPLAINT):
            ask = Ask(
                known.references["aurelle"], "aurelle", right, of_system("crm"), Source.BRAND, Assurance.SIGNED_IN,
                content=Content(words=WORDS),
            )  # fmt: skip
            (taken,) = execute(vault, received, [ask])
            made[right] = taken.name
    return by, made


@pytest.fixture
def step(ecrin, desk):
    by, _ = desk

    def take(request, move, *more, officer="m.lefevre", code=0):
        done = ecrin("request", "advance", request, move, *more, *by[officer], "--json")
        assert done.code == code, done.err
        return done.json if code == 0 else done.err

    return take


def test_an_erasure_takes_two_officers(ecrin, desk, step):
    by, made = desk
    request = made[Right.ERASURE]
    for move in ("collect", "review", "check_holds"):
        step(request, move)
    plan = step(request, "rehearse")["plan"]
    assert plan["destroyed"] == ["identity", "contact"]
    step(request, "approve", code=1)
    step(request, "approve", officer="a.moreau")
    assert "letter_waiting" in step(request, "execute", code=1)  # nobody carries the post here
    assert step(request, "execute", "--without-letter")["state"] == "executed"
    shown = ecrin("request", "show", request, *by["m.lefevre"][:2], "--json").json
    assert [each["by"] for each in shown["steps"] if each["move"] in {"rehearse", "approve"}] == [
        "m.lefevre",
        "a.moreau",
    ]
    assert shown["moves"] == ["note_notified"]


def test_a_refusal_takes_a_ground_and_two_officers(desk, step):
    request = desk[1][Right.ACCESS]
    for move in ("collect", "review"):
        step(request, move)
    step(request, "propose_refusal", code=2)
    step(request, "propose_refusal", "--ground", "unfounded")
    step(request, "confirm_refusal", code=1)
    refused = step(request, "confirm_refusal", officer="a.moreau")
    assert (refused["state"], refused["outcome"], refused["ground"]) == ("refused", "refused", "unfounded")
    step(request, "collect", code=1)


def test_a_package_is_written_once_and_for_nobody_else(ecrin, desk, step, tmp_path):
    by, made = desk
    request, to = made[Right.ACCESS], tmp_path / "package.zip"
    assert ecrin("request", "package", request, "--to", to, *by["m.lefevre"]).code == 1
    for move in ("collect", "review", "prepare"):
        step(request, move)
    assert ecrin("request", "package", request, "--to", to, *by["m.lefevre"]).code == 0
    assert to.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(io.BytesIO(to.read_bytes())) as archive:
        assert "+33639981234" in json.dumps(json.loads(archive.read("data.json")))
    assert ecrin("request", "package", request, "--to", to, *by["m.lefevre"]).code == 2  # it is not written over
    assert step(request, "close")["outcome"] == "granted"


def test_the_register_names_nobody_and_content_takes_a_key(ecrin, desk):
    by, made = desk
    listed = ecrin("request", "list", "--officer", "m.lefevre", "--json")
    assert {each["request"] for each in listed.json["requests"]} == set(made.values())
    assert all(each["days_left"] > 25 for each in listed.json["requests"])
    shown = ("request", "show", made[Right.COMPLAINT], "--officer", "m.lefevre")
    assert WORDS not in listed.out + ecrin(*shown).out
    assert ecrin(*shown, "--content").code == 2
    assert WORDS in ecrin(*shown, "--content", *by["m.lefevre"][2:]).out
    wrong = ecrin(*shown, "--content", *by["a.moreau"][2:])
    assert wrong.code == 1
    assert WORDS not in wrong.out + wrong.err
    assert ecrin("request", "show", "00" * 16, "--officer", "m.lefevre").code == 1


def test_a_step_can_be_signed_elsewhere(ecrin, desk, tmp_path):
    by, made = desk
    request, text, signed = made[Right.COMPLAINT], tmp_path / "text", tmp_path / "signed"
    text.write_text(ecrin("request", "message", request, "collect", "--officer", "m.lefevre").out)
    assert f"act: request.collect\non: {request}." in text.read_text()
    sign = ["openssl", "pkeyutl", "-sign", "-inkey", by["m.lefevre"][3], "-rawin", "-in", text, "-out", signed]
    subprocess.run(sign, check=True, capture_output=True)
    how = ("--officer", "m.lefevre", "--signature", signed)
    assert ecrin("request", "advance", request, "collect", *how).code == 0
    assert ecrin("request", "advance", request, "review", *how).code == 1


def test_the_figures_of_a_year(ecrin, desk, step):
    step(desk[1][Right.COMPLAINT], "withdraw")
    import datetime as dt

    year = dt.datetime.now(dt.UTC).year
    rows = {each["right"]: each for each in ecrin("request", "figures", "--year", str(year), "--json").json["figures"]}
    assert (rows["complaint"]["received"], rows["complaint"]["open"]) == (1, 0)
    assert rows["complaint"]["outcomes"] == {"withdrawn": 1}
    assert (rows["access"]["open"], rows["access"]["late"]) == (1, 0)
    assert ecrin("request", "figures", "--year", "2019", "--json").json["figures"] == []
