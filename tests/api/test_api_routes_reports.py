"""Reports over HTTP: of the calling brand alone, followed and taken by whoever asked, signed."""

import pytest
from maison_callers import CONSENT, PERSON, problem_of
from sqlalchemy import update

from api.jobs import make_reports
from audit.entry import Actor, ActorKind
from audit.note import vkey
from audit.reports import document
from audit.reports.asked import Asked
from vault import evidence
from vault.keys.service import SigningKey
from vault.reports import running, runs
from vault.staff import staff_told
from vault.store.tables import metadata


@pytest.fixture
def auditor(maison):
    return maison.system("auditor-tool", "aurelle", scopes={"audit.read"}, purposes=())


def ask(caller, report="access", **more):
    now = caller.clock.now()
    body = {"report": report, "since": now - 3600, "until": now + 60} | more
    return caller.send("POST", "/v1/reports", caller.service("audit.read"), body)


def get(caller, path):
    return caller.send("GET", path, caller.service("audit.read"))


def made(maison, tmp_path):
    evidence.sign_checkpoints(maison.vault, tmp_path / "outside")
    make_reports(maison.vault, lambda: False)


def test_a_report_is_asked_for_followed_and_taken_signed(maison, auditor, pos, sister, tmp_path):
    reference = pos.created(PERSON, CONSENT)
    assert pos.disclose(pos.granted(reference, ("phone", "masked"), staff="advisor-1")).status_code == 200
    theirs = sister.created(PERSON, CONSENT)
    assert sister.disclose(sister.granted(theirs, ("phone", "masked"))).status_code == 200
    answer = ask(auditor, staff="advisor-1")
    assert answer.status_code == 202
    place = answer.headers["location"]
    assert place == f"/v1/reports/{answer.json()['id']}"
    made(maison, tmp_path)
    standing = get(auditor, place).json()
    assert (standing["state"], standing["problem"], standing["filter"]["brand"]) == ("done", "", "aurelle")
    taken = get(auditor, f"{place}/document")
    assert taken.status_code == 200
    content, note = document.opened(taken.content)
    name = running.report_key_name(maison.vault)
    keys = [vkey(name, maison.vault.keys.public_key(SigningKey.RECEIPT))]
    assert document.verify(note, taken.content, keys, name.removesuffix(document.SUFFIX)) == "access"
    columns = [each["name"] for each in content["columns"]]
    found = [dict(zip(columns, row, strict=True)) for row in content["rows"]]
    assert {(row["brand"], row["staff"]) for row in found} == {
        ("aurelle", staff_told(maison.vault.keys, "aurelle", "advisor-1"))
    }
    assert [row["act"] for row in found] == ["field.disclosed"]
    assert [each.read["actor"]["id"] for each in maison.entries() if each.act == "audit.viewed"] == ["auditor-tool"] * 2
    for secret in (b"advisor-1", reference.encode()):
        assert secret not in taken.content


def test_it_is_nobody_elses(maison, auditor, pos, tmp_path):
    place = ask(auditor).headers["location"]
    made(maison, tmp_path)
    for path in (place, f"{place}/document"):
        problem_of(get(pos, path), 404, "unknown_report")
    problem_of(get(auditor, f"/v1/reports/{'0' * 32}"), 404, "unknown_report")


@pytest.mark.parametrize(
    ("report", "more", "code"),
    [
        ("nothing", {}, "unknown_report"),
        ("retention", {}, "invalid_report"),  # knows no brand: it is about all of them
        ("blast_radius", {}, "invalid_report"),
        ("access", {"until": 0}, "invalid_report"),
    ],
)
def test_what_cannot_be_made_is_refused(auditor, report, more, code):
    problem_of(ask(auditor, report, **more), 404 if code == "unknown_report" else 422, code)


def test_before_it_is_made_there_is_no_document(maison, auditor):
    now = maison.vault.clock.now()
    with maison.vault.unit() as uow:
        run_id = runs.enqueue(uow, "access", Asked(0, now), Actor(ActorKind.SYSTEM, "auditor-tool"))
        # Another process is at it, so that no job of this one makes it in between.
        leased = {"state": "running", "lease_until": now + 10_000, "holder": b"x" * 16}
        uow.conn.execute(update(metadata.tables["report_run"]).values(**leased))
        uow.commit()
    place = f"/v1/reports/{run_id.hex()}"
    assert get(auditor, place).json()["state"] == "running"
    problem_of(get(auditor, f"{place}/document"), 409, "report_not_ready")


@pytest.mark.parametrize("name", ["Apolline Rousselin", "+33639981234", "apolline@example.com", "\x00", "x" * 65])
def test_what_is_no_systems_name_is_refused_unread(auditor, name):
    """A filter is kept with the report and signed: a person's name typed into it would be too."""
    answer = ask(auditor, system=name)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert name not in answer.text
