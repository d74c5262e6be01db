"""A report of one person, or by one member of staff: asked for in a form, and never in an address."""

import json

import pytest
from console_browser import confirm, recorded, vouch
from maison_callers import CONSENT, PERSON, STRANGER

from audit.reports import document
from vault.staff import staff_told

WHO = {"Ecrin-Staff": "advisor-1"}
REPORT = "/console/reports/access"


@pytest.fixture
def other(maison, pos, life):
    """A second person, looked at and searched by a member of staff who is named."""
    reference = pos.created(PERSON | {"client_number": "AU-7"}, CONSENT)
    assert pos.disclose(pos.granted(reference, ("phone", "masked")), headers=WHO).status_code == 200
    assert pos.search("client_number", "AU-none", headers=WHO).status_code == 200
    vouch(maison)
    return reference


def ask(officer, path=REPORT, **whom):
    return officer.submit(path, *(whom.keys() & {"reference", "staff"}), **{"brand": "aurelle", **whom})


def file_of(officer, page):
    """Take the report on a page away as JSON, by the form that is there: its filter, and its rows by column."""
    form = page.form("format")
    answer = officer.post(form["action"], form["fields"] | {"format": "json"}).answer
    assert answer.status_code == 200
    report = document.read(answer.content)
    names = [each.name for each in report.body.columns]
    return {"filter": report.filter, "rows": [dict(zip(names, row, strict=True)) for row in report.body.rows]}


def test_of_one_person_are_that_persons_rows_alone_and_the_look_is_under_their_pseudonym(
    maison, life, other, signed_in
):
    officer = signed_in("auditor")
    page = ask(officer, reference=other)
    assert page.status == 200
    assert other not in page.answer.headers.get("location", "") and not [each for each in page.links if other in each]
    content = file_of(officer, page)
    assert [row["act"] for row in content["rows"]] == ["field.disclosed"]
    assert content["filter"]["reference"] == other
    looks = [each for each in recorded(maison, "audit.viewed") if "report:access" in each["pol"]]
    assert ["sref" in each for each in looks] == [False, True, True]  # the page, the report, the file
    assert other not in json.dumps(looks)


def test_by_one_member_of_staff_are_their_acts_alone_by_the_brands_word_or_as_reports_tell_them(
    maison, other, signed_in
):
    officer = signed_in("compliance")
    told = staff_told(maison.vault.keys, "aurelle", "advisor-1")
    for word in ("advisor-1", told):
        content = file_of(officer, ask(officer, staff=word))
        assert {(row["act"], row["staff"]) for row in content["rows"]} == {
            ("field.disclosed", told),
            ("subject.searched", told),
        }
        assert content["filter"]["staff"] == told
    assert "No rows." in ask(officer, staff="advisor-2").text
    both = file_of(officer, ask(officer, staff="advisor-1", reference=other))
    assert [row["act"] for row in both["rows"]] == ["field.disclosed"]
    assert "Keep this filter" not in ask(officer, staff="advisor-1").text  # a kept filter is of nobody


def test_the_other_reports_of_single_entries_take_whom_they_know_and_no_others(maison, life, other, signed_in):
    officer = signed_in("compliance")
    assert ask(officer, "/console/reports/refusals", reference=life, staff="advisor-1").status == 200
    assert ask(officer, "/console/reports/consents", reference=life).status == 200
    assert ask(officer, "/console/reports/anomalies", staff="advisor-1").status == 200
    form = officer.get(REPORT).form("reference", "staff")["fields"]
    for name, word in (
        ("consents", {"staff": "advisor-1"}),
        ("anomalies", {"reference": life}),
        ("transfers", {"reference": life}),
    ):
        wrong = form | {"reference": "", "staff": "", "brand": "aurelle"} | word
        assert officer.post(f"/console/reports/{name}", wrong).status == 400, name
        assert officer.post(f"/console/reports/{name}/files", wrong | {"format": "json"}).status == 400, name
    for name in ("transfers", "dormant", "dpia"):
        assert not [
            each
            for each in officer.get(f"/console/reports/{name}").forms
            if {"reference", "staff"} & set(each["fields"])
        ]


def test_whom_nobody_knows_and_what_is_no_name_are_refused(maison, life, other, signed_in):
    officer = signed_in("auditor")
    unknown = ask(officer, reference=STRANGER)
    assert (unknown.status, "knows nobody" in unknown.text) == (404, True)
    for wrong in (
        {"staff": "Mme Aubin"},
        {"staff": "advisor-1", "brand": ""},
        {"reference": life, "brand": ""},
        {"reference": "x" * 65},
    ):
        assert ask(officer, **wrong).status == 400, wrong
    taken = officer.get(REPORT).form("reference")["fields"] | {
        "reference": STRANGER,
        "brand": "aurelle",
        "format": "json",
    }
    assert officer.post(f"{REPORT}/files", taken).status == 404


def test_an_address_names_nobody(maison, life, other, signed_in):
    officer = signed_in("auditor")
    page = officer.get(f"{REPORT}?brand=aurelle&reference={other}&staff=advisor-1")
    assert page.status == 200
    assert other not in page.answer.text and "advisor-1" not in page.answer.text
    assert "Take it as a file" in page.text


def test_whoever_asks_has_just_proved_to_be_there_and_what_was_written_is_kept_meanwhile(
    maison, life, other, signed_in
):
    officer = signed_in("auditor")
    form = officer.get(REPORT).form("reference", "staff")
    maison.clock.advance(301)
    away = officer.post(form["action"], form["fields"] | {"brand": "aurelle", "staff": "advisor-1"})
    assert "Take it as a file" not in away.text and "subject.searched" not in away.answer.text
    assert not [each for each in recorded(maison, "audit.viewed") if each.get("n") == 2]
    assert confirm(officer, officer.authenticator, maison.clock).status == 303
    assert ask(officer, staff="advisor-1").status == 200
