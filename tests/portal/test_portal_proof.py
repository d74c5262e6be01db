"""Receipts and proofs that a person takes along: theirs alone, verified offline by the one-file verifier, and bounded."""

import io
import json
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import pytest
from console_browser import Browser
from maison_callers import CONSENT, PERSON
from portal_visitor import sent, signed_in, take

from api.portal import proof
from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.merkle import leaf_hash
from audit.standalone import standalone
from vault import evidence, pruning, scrubbing
from vault.pruningbounds import Plan
from vault.requests import ownlines


@pytest.fixture
def verifier(tmp_path):
    """The verifier as an outsider has it: one file, run by itself."""
    path = tmp_path / "verify.py"
    path.write_text(standalone())

    def verify(*arguments):
        command = [sys.executable, path, *map(str, arguments)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
        return ended.returncode, ended.stdout + ended.stderr

    return verify


def unpacked(answer, folder):
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["cache-control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
        assert files.testzip() is None
        files.extractall(folder)
    return folder


def signed(maison):
    evidence.sign_checkpoints(maison.vault, maison.http.app.state.services.settings.checkpoint_file)


def test_each_act_has_a_receipt_that_anybody_verifies_offline(maison, pos, browser, verifier, tmp_path):
    signed_in(maison, browser)
    browser.submit("/me/held", category="identity")
    sent(browser, "complaint")
    fields = next(
        each["fields"] for each in browser.get("/me/consents").forms if each["fields"].get("purpose") == "clienteling"
    )
    browser.post("/me/consents", fields)
    page = browser.get("/me/receipts")
    for word in ("Own data opened", "Request received", "Consent withdrawn"):
        assert word in page.text
    signed(maison)
    folder = unpacked(take(browser, "/me/receipts"), tmp_path / "taken")
    receipts = sorted(folder.glob("*.receipt"))
    kinds = set()
    for path in receipts:
        entry, leaf = path.with_suffix(".json"), path.with_suffix(".leaf").read_text().strip()
        kinds.add(json.loads(entry.read_bytes())["act"])
        assert leaf == leaf_hash(entry.read_bytes()).hex()
        assert verifier("receipt", path, "--key", folder / "receipts.vkey", "--entry", entry)[0] == 0
        proven = path.with_suffix(".tlog-proof")
        if proven.exists():
            assert verifier("proof", proven, "--key", folder / "log.vkey", "--entry", entry)[0] == 0
    assert kinds >= {"subject.exported", "request.received", "consent.withdrawn", "audit.viewed"}
    assert len([each for each in receipts if each.with_suffix(".tlog-proof").exists()]) >= 3
    # What was changed, and what another receipt is of, does not verify.
    first, second = receipts[:2]
    assert verifier("receipt", first, "--key", folder / "receipts.vkey", "--entry", second.with_suffix(".json"))[0] == 1
    spoilt = tmp_path / "spoilt.json"
    spoilt.write_bytes(first.with_suffix(".json").read_bytes().replace(b'"out":"allow"', b'"out":"deny"'))
    assert verifier("receipt", first, "--key", folder / "receipts.vkey", "--entry", spoilt)[0] == 1
    assert not [path for path in folder.iterdir() if b"Rousselin" in path.read_bytes()]


def test_one_receipt_is_given_of_ones_own_act_and_of_nothing_else(maison, pos, reference, browser):
    pos.disclose(pos.granted(reference, ("phone", "masked"), max_uses=2))
    signed_in(maison, browser)
    browser.submit("/me/held", category="identity")
    entries = list(maison.entries())
    mine = max(place for place, each in enumerate(entries) if each.act == "subject.exported")
    looked = max(place for place, each in enumerate(entries) if each.act == "field.disclosed")
    with zipfile.ZipFile(io.BytesIO(take(browser, "/me/receipts", entry=str(mine)).content)) as files:
        assert {f"{mine}.receipt", f"{mine}.json"} <= set(files.namelist())
    for place in (str(looked), "0", str(10**17)):
        assert take(browser, "/me/receipts", entry=place).status_code == 404, place
    for place in ("-1", "x", "\u0661", "9" * 30):
        assert take(browser, "/me/receipts", entry=place).status_code == 400, place
    pos.created(PERSON | {"client_number": "AU-7", "email": ["other@example.com"], "phone": []}, CONSENT)
    other = signed_in(maison, Browser(maison.http.app), "other@example.com")
    assert take(other, "/me/receipts", entry=str(mine)).status_code == 404


def test_the_proof_has_the_last_scrub_and_what_others_did_as_hashes_alone(
    maison, pos, reference, browser, verifier, tmp_path
):
    pos.disclose(pos.granted(reference, ("phone", "masked"), max_uses=2))
    signed_in(maison, browser)
    page = browser.get("/me/proof").text
    assert "not been checked yet" in page
    signed(maison)
    scrubbing.run(maison.vault, "full")
    signed(maison)
    page = browser.get("/me/proof").text
    assert "It was whole when it was last checked" in page
    folder = unpacked(take(browser, "/me/proof"), tmp_path / "proof")
    scrub = json.loads((folder / "scrub.json").read_bytes())
    assert (scrub["act"], scrub["out"], scrub["pol"]) == ("log.scrubbed", "allow", ["scrub.full"])
    assert (
        verifier("proof", folder / "scrub.tlog-proof", "--key", folder / "log.vkey", "--entry", folder / "scrub.json")[
            0
        ]
        == 0
    )
    looked = max(place for place, each in enumerate(maison.entries()) if each.act == "field.disclosed")
    assert not (folder / f"{looked}.json").exists()
    leaf = (folder / f"{looked}.leaf").read_text().strip()
    assert verifier("proof", folder / f"{looked}.tlog-proof", "--key", folder / "log.vkey", "--leaf", leaf)[0] == 0
    assert verifier("proof", folder / f"{looked}.tlog-proof", "--key", folder / "log.vkey", "--leaf", "0" * 64)[0] == 1
    for code in ("aurelle-pos", "phone"):
        assert not [path for path in folder.glob("*.json") if code.encode() in path.read_bytes()]


def test_a_log_that_was_found_changed_is_told_as_that(maison, browser, monkeypatch):
    signed_in(maison, browser)
    signed(maison)
    scrubbing.run(maison.vault, "full")
    good = scrubbing.integrity(maison.vault)
    assert good.sound
    spoilt = type(good.full_scrub)(good.full_scrub.at, good.full_scrub.size, 1)
    monkeypatch.setattr(
        scrubbing,
        "integrity",
        lambda vault: type(good)(
            *[spoilt if each is good.full_scrub else each for each in (getattr(good, name) for name in good.__slots__)]
        ),
    )
    page = browser.get("/me/proof").text
    assert "It is not whole, or cannot be decided" in page
    assert "It was whole" not in page


def test_what_a_press_costs_is_bounded(maison, pos, reference, browser, monkeypatch):
    read = []

    def counted(conn, shard, start, count):
        read.append(count)
        return ledger.read(conn, shard, start, count)

    # Of this module alone: what signs checkpoints beside it reads as well.
    monkeypatch.setattr(ownlines, "ledger", SimpleNamespace(head=ledger.head, read=counted))
    monkeypatch.setattr(ownlines, "MOST_READ", 5)
    monkeypatch.setattr(proof, "MOST_PROOFS", 2)
    signed_in(maison, browser)
    for _ in range(4):
        browser.submit("/me/held", category="identity")
    read.clear()
    page = browser.get("/me/looks")
    assert sum(read) <= 5
    (further,) = [each for each in page.links if each.startswith("/me/looks?before=")]
    read.clear()
    assert browser.get(further).status == 200
    assert sum(read) <= 5
    for place in ("x", "-1", "9" * 40):
        assert browser.get(f"/me/looks?before={place}").status == 400, place
    read.clear()
    assert [take(browser, "/me/proof").status_code for _ in range(3)] == [200, 200, 429]
    assert sum(read) <= 20  # for the lines and for the last scrub
    assert take(browser, "/me/receipts").status_code == 200  # counted by themselves


def test_of_a_log_that_was_pruned_the_pages_say_from_when_on_they_can_tell(maison, pos, browser):
    signed_in(maison, browser)
    with maison.vault.unit() as uow:
        for _ in range(300):
            uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")))
        uow.commit()
    signed(maison)
    outside = maison.http.app.state.services.settings.checkpoint_file
    plan = Plan(0, 0, 256, 12, "ab" * 32, ())
    pruning.prune(maison.vault, plan, ["cd" * 32], outside, Actor(ActorKind.VAULT, "operator"))
    for page in ("/me/looks", "/me/receipts"):
        assert "The log is read from entry 256 on" in browser.get(page).text
    assert browser.post("/me/receipts", browser.get("/me/receipts").forms[0]["fields"] | {"entry": "3"}).status == 410
