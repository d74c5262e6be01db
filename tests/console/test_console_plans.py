"""Reports in every form from one query, filters that are kept, plans that make one by themselves."""

import io
import json
import re
import zipfile
from base64 import b64decode

import pytest
from console_browser import recorded, vouch
from print_reading import letters, opened
from sqlalchemy import text as text_of

from audit.note import vkey
from audit.reports import document
from vault.keys.service import SigningKey
from vault.reports import runs, saved
from vault.reports.running import report_key_name

FORMATS = {"html": "text/html", "pdf": "application/pdf", "json": "application/json", "zip": "application/zip"}


def key_of(maison):
    return vkey(report_key_name(maison.vault), maison.vault.keys.public_key(SigningKey.RECEIPT))


def taken(officer, path, kind):
    return officer.submit(path, "format", format=kind).answer


def carries(answer, kind, maison, life):
    """What every form says of itself: time, filter, rows, policies, checkpoint and signature."""
    content = answer.content
    assert answer.headers["content-type"].startswith(FORMATS[kind])
    assert answer.headers["content-disposition"].endswith(f'.{kind}"')
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            table, content, note = (archive.read(f"ecrin-access.{each}") for each in ("csv", "json", "note"))
        assert table.startswith(b"index,time,")
        assert document.verify(note.decode(), table, [key_of(maison)], maison.vault.origin) == "access"
        kind = "json"
    text = letters(opened(content)) if kind == "pdf" else content.decode()
    assert not [each for each in ("Rousselin", "+33639981234", life) if each in text]
    plain = re.sub(r"\s", "", text)
    assert maison.vault.bundle.hash.hex() in plain
    assert "aurelle-pos" in plain
    assert "2026-09-2" in plain
    if kind in {"html", "pdf"}:
        assert re.search(r"2\dSep2026,\d\d:\d\d:\d\dUTC", plain)  # as people read it
    with maison.vault.reading() as conn:  # the newest signed one when it was made
        notes = conn.execute(text_of("SELECT note FROM log_checkpoint")).scalars()
        roots = [b64decode(each.split("\n")[2]).hex() for each in notes]
    assert [each for each in roots if each in plain]
    assert report_key_name(maison.vault) in plain  # the signed note, by its signer's name
    if kind == "html":
        assert "<script" not in text
        assert not re.search(r"(?:src|href)=", text)  # nothing is fetched when the file is opened
    if kind == "json":
        assert (
            document.verify(json.loads(content)["signature"], content, [key_of(maison)], maison.vault.origin)
            == "access"
        )


def test_each_form_is_of_one_query_and_carries_what_it_rests_on(maison, life, signed_in):
    officer = signed_in("auditor")
    vouch(maison)
    for kind in FORMATS:
        answer = taken(officer, "/console/reports/access/files?system=aurelle-pos", kind)
        assert answer.status_code == 200, kind
        carries(answer, kind, maison, life)
    assert len(recorded(maison, "audit.exported")) == len(FORMATS)
    assert officer.submit("/console/reports/access/files", "format", format="exe").status == 400


@pytest.fixture
def kept(maison, life, signed_in):
    """A filter that an officer kept through the page, with a plan of every week."""
    claire = signed_in("compliance", officer_id="claire")
    done = claire.submit(
        "/console/reports/access?system=aurelle-pos", "title", title="Aurelle <b>weekly</b>", days="7", every="7"
    )
    assert done.answer.headers["location"] == "/console/reports"
    (found,) = saved.listed(maison.vault)
    return claire, found


def test_a_filter_is_kept_shared_and_dropped_on_record(maison, life, kept, signed_in):
    claire, found = kept
    assert (found.new.name, found.new.days, dict(found.new.words), found.new.every_days, found.by) == (
        "access", 7, {"system": "aurelle-pos"}, 7, "claire",
    )  # fmt: skip
    auditor = signed_in("auditor")
    page = auditor.get("/console/reports")
    assert "Aurelle <b>weekly</b>" in page.text
    assert "<b>weekly" not in page.answer.text
    where = auditor.get(f"/console/kept/{found.id.hex()}").answer.headers["location"]
    assert where == "/console/reports/access?system=aurelle-pos&since=2026-09-14"
    assert auditor.get(where).status == 200
    token = auditor.get("/console").forms[0]["fields"]["form"]
    for path, more in (
        (f"/console/kept/{found.id.hex()}/step", {"step": "forget"}),
        ("/console/reports/access/keep", {"title": "x", "days": "7", "every": "0"}),
    ):
        assert auditor.post(path, {"form": token} | more).status == 403  # who reads keeps nothing
    step = {"form": claire.get("/console").forms[0]["fields"]["form"], "step": "forget"}
    assert claire.post(f"/console/kept/{found.id.hex()}/step", step).status == 303
    assert saved.listed(maison.vault) == []
    assert claire.post(f"/console/kept/{found.id.hex()}/step", step).status == 404
    assert [each["actor"]["id"] for each in recorded(maison, "report.saved") + recorded(maison, "report.dropped")] == [
        "claire"
    ] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": "x" * 81},
        {"days": "0"},
        {"days": "99999"},
        {"days": "x"},
        {"every": "2"},
        {"system": "<b>"},
    ],
)
def test_what_is_no_filter_is_not_kept(maison, life, signed_in, wrong):
    claire = signed_in()
    answer = claire.submit("/console/reports/access", "title", **({"title": "A", "days": "7", "every": "0"} | wrong))
    assert answer.status == 400
    assert saved.listed(maison.vault) == []


def test_a_plan_makes_its_report_by_itself_and_the_console_hands_it_out_in_every_form(maison, life, kept, signed_in):
    _, found = kept
    vouch(maison)
    saved.queue_due(maison.vault)  # as the serving processes do
    while runs.turn(maison.vault):
        pass
    (run,) = [each for each in runs.listed(maison.vault) if each.saved == found.id]
    assert run.state is runs.RunState.DONE
    auditor = signed_in("auditor")
    path = f"/console/made/{run.id.hex()}"
    assert f'href="{path}"' in auditor.get("/console/reports").answer.text
    assert "made" in auditor.get(path).text
    for kind in FORMATS:
        carries(taken(auditor, path, kind), kind, maison, life)
    exported = recorded(maison, "audit.exported")
    assert {(each["actor"]["id"], *each["pol"]) for each in exported} == {
        ("auditor-1", "report:access", f"run:{run.id.hex()}")
    }
    maison.clock.advance(301)
    form = auditor.get(path).form("format")["fields"]
    assert auditor.post(path, form).answer.headers["location"] == f"/console/confirm?next={path}"
    maison.clock.advance(7 * 86_400)
    assert saved.queue_due(maison.vault) == 1


def test_a_report_is_asked_for_now_and_followed(maison, life, kept):
    claire, found = kept
    step = {"form": claire.get("/console").forms[0]["fields"]["form"], "step": "make"}
    where = claire.post(f"/console/kept/{found.id.hex()}/step", step).answer.headers["location"]
    assert re.fullmatch(r"/console/made/[0-9a-f]{32}", where)
    assert claire.get(where).status == 200
    for wrong in ("/console/made/00", "/console/made/zz", f"/console/made/{'0' * 32}", "/console/kept/zz"):
        assert claire.get(wrong).status == 404
