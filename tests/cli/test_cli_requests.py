"""Requests at the command line: an erasure by two officers, a refusal, a package, the figures; signed, and on record."""

import io
import json
import subprocess
import zipfile
from contextlib import closing

import pytest

from api import bootstrap
from api.settings import load
from audit import ledger
from audit.entry import Actor, ActorKind, decode
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


DOOR, NOTE = "her brother opens the door [bold]", "her brother is ill"


@pytest.fixture
def texts(ecrin, desk, step):
    """An access request of somebody about whom staff wrote, under review."""
    notes = [{"date": "2026-01-05", "topic": "family", "text": NOTE}]
    with closing(bootstrap.open_from(load())) as vault:
        held = Holding("aurelle", {"client_number": "AU-8", "delivery_instructions": DOOR, "advisor_notes": notes})
        (known,) = execute(vault, ingest, [NewSubject("crm", "fr", (held,))])
        ask = Ask(
            known.references["aurelle"], "aurelle", Right.ACCESS, of_system("crm"), Source.BRAND, Assurance.SIGNED_IN
        )
        (taken,) = execute(vault, received, [ask])
    step(taken.name, "collect")
    step(taken.name, "review")
    return taken.name


def entries(act):
    with closing(bootstrap.open_from(load())) as vault, vault.reading() as conn:
        found = [decode(each.body) for each in ledger.read(conn, 0, 0, 10_000)]
    return [each for each in found if each["act"] == act]


def test_texts_are_read_by_whom_their_signature_says_and_by_nobody_else(ecrin, desk, texts):
    by, made = desk
    reading = ("request", "texts", texts)
    for wrong in (
        by["m.lefevre"][:2],  # no signature
        (*by["m.lefevre"][:2], *by["a.moreau"][2:]),  # another's
        ("--officer", "nobody", *by["m.lefevre"][2:]),
    ):
        done = ecrin(*reading, *wrong, "--json")
        assert done.code in {1, 2}, done.out
        assert "brother" not in done.out + done.err
    assert entries("request.viewed") == []
    assert len(entries("request.denied")) == 2
    found = ecrin(*reading, *by["m.lefevre"], "--json").json["texts"]
    assert {each["text"]: (each["field"], each["ground"], each["stands"]) for each in found} == {
        DOOR: ("delivery_instructions", "", True),
        NOTE: ("advisor_notes", "", True),
    }
    viewed = entries("request.viewed")
    assert {each["actor"]["id"] for each in viewed} == {"m.lefevre"}
    assert all(any(pol.startswith("key:") for pol in each["pol"]) for each in viewed)  # and the signature is kept
    assert DOOR in ecrin(*reading, *by["m.lefevre"]).out  # as it was written, and no markup
    assert ecrin("request", "texts", made[Right.COMPLAINT], *by["m.lefevre"]).code == 1


def test_one_text_is_kept_back_and_given_again_and_what_is_unread_is_counted(ecrin, desk, step, texts):
    by, made = desk

    def shown():
        return ecrin("request", "show", texts, *by["m.lefevre"][:2], "--json").json

    assert shown()["unread_texts"] == 2
    assert "unread_texts" not in ecrin("request", "show", made[Right.ERASURE], *by["m.lefevre"][:2], "--json").json
    (note,) = [
        each
        for each in ecrin("request", "texts", texts, *by["m.lefevre"], "--json").json["texts"]
        if each["text"] == NOTE
    ]
    assert shown()["unread_texts"] == 0
    of = (texts, note["field"], note["item"])
    keep = ("request", "withhold", *of, "--ground", "rights_of_others")
    assert ecrin(*keep, *by["m.lefevre"][:2]).code == 2  # no signature
    assert ecrin(*keep, *by["m.lefevre"][:2], *by["a.moreau"][2:]).code == 1
    assert ecrin("request", "withhold", *of, *by["m.lefevre"]).code == 2  # no ground
    assert ecrin("request", "withhold", *of, "--ground", "unfounded", *by["m.lefevre"]).code == 1
    assert ecrin("request", "withhold", texts, "email", 0, "--ground", "legal_claims", *by["m.lefevre"]).code == 1
    assert not [each for each in entries("request.advanced") if "change:withheld" in each["pol"]]
    done = ecrin(*keep, *by["m.lefevre"], "--json")
    assert done.json == {"request": texts, "field": "advisor_notes", "item": note["item"], "ground": "rights_of_others"}
    give = ("request", "give", *of)
    assert ecrin(*give, *by["m.lefevre"][:2]).code == 2
    assert ecrin(*give, *by["a.moreau"]).code == 0
    assert ecrin(*give, *by["a.moreau"]).code == 1  # it is given already
    kept, given = [each for each in entries("request.advanced") if f"item:{note['item']}" in each["pol"]]
    assert (kept["actor"]["id"], given["actor"]["id"]) == ("m.lefevre", "a.moreau")
    assert {"change:withheld", "ground:rights_of_others"} <= set(kept["pol"])
    assert "brother" not in str([kept, given])
    step(texts, "prepare")
    assert ecrin(*keep, *by["m.lefevre"]).code == 1  # the review is over


def test_what_is_signed_elsewhere_names_the_text_and_the_ground(ecrin, desk, texts, tmp_path):
    by, _ = desk
    (note,) = [
        each
        for each in ecrin("request", "texts", texts, *by["m.lefevre"], "--json").json["texts"]
        if each["text"] == NOTE
    ]
    text, signed = tmp_path / "text", tmp_path / "signed"
    said = f"change:withheld ground:rights_of_others field:advisor_notes item:{note['item']}"
    asked = ("request", "message", texts, "review", "--officer", "m.lefevre", "--said", said)
    text.write_text(ecrin(*asked).out)
    sign = ["openssl", "pkeyutl", "-sign", "-inkey", by["m.lefevre"][3], "-rawin", "-in", text, "-out", signed]
    subprocess.run(sign, check=True, capture_output=True)
    how = ("--officer", "m.lefevre", "--signature", signed)
    of = ("request", "withhold", texts)
    for other in (
        ("delivery_instructions", 0, "--ground", "rights_of_others"),
        ("advisor_notes", note["item"], "--ground", "legal_claims"),
    ):
        assert ecrin(*of, *other, *how).code == 1
    assert ecrin(*of, "advisor_notes", note["item"], "--ground", "rights_of_others", *how).code == 0
