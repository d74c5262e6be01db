"""Prints of reports are in the language of the officer who takes them: nothing of ours is left in English in a French one."""

import re
from dataclasses import replace

import pytest
from babel.messages.pofile import read_po
from console_browser import vouch
from maison_callers import CONSENT, PERSON
from print_reading import letters, opened

from api import pdf
from api.pages import render
from api.pages.language import FOLDER, language
from api.pages.reported import reported
from audit.entry import Actor, ActorKind
from audit.reports import document
from audit.reports.asked import Asked
from audit.reports.table import Column
from vault.reports import catalog, running

OFFICER = Actor(ActorKind.OFFICER, "claire")
ENGLISH, FRENCH = language("en"), language("fr")
ALL = 10_000  # rows


@pytest.fixture(scope="module")
def catalogue():
    with (FOLDER / "fr.po").open("rb") as file:
        return {str(each.id): str(each.string) for each in read_po(file, locale="fr") if each.id}


@pytest.fixture
def reports(maison, pos, life):
    """Each of the reports, of a vault where something happened."""
    pos.created(PERSON | {"client_number": "AU-7"}, CONSENT)
    vouch(maison)
    period = (0, maison.clock.now() + 1)
    about = {name: {"system": "aurelle-pos"} if name == "blast_radius" else {} for name in catalog.DEFINITIONS}
    return {name: running.run(maison.vault, name, Asked(*period, **more), OFFICER) for name, more in about.items()}


def squeezed(text):
    return re.sub(r"[\s\u00a0\u202f]", "", text)


def french_of(words, catalogue):
    """The French of what English says by the catalogue, also where an act stands in it; None without one."""
    if words in catalogue:
        return catalogue[words]
    act, colon, more = words.partition(": ")
    return catalogue[f"%(act)s: {more}"] % {"act": catalogue[act]} if colon and act in catalogue else None


def left_in_english(report, drawn, catalogue):
    """What of a print is not the French of what the English says: by name, column and note."""
    here, there = (reported(report, each, ALL) for each in (FRENCH, ENGLISH))
    said = [(there.title, here.title), (there.question, here.question)]
    for one, other in ((there.facts, here.facts), (there.totals, here.totals)):
        said += [(english, french) for (english, _), (french, _) in zip(one, other, strict=True)]
    if here.rows:
        said += [(english, french) for (english, _), (french, _) in zip(there.columns, here.columns, strict=True)]
    found = [english for english, french in said if french != french_of(english, catalogue)]
    found += [english for english, french in report.body.notes if french == english or english in here.notes]
    # And that is what stands on the paper.
    plain = squeezed(drawn)
    found += [french for _, french in said if squeezed(french) not in plain]
    return found + [french for _, french in report.body.notes if squeezed(french) not in plain]


def test_a_french_print_of_any_report_has_no_english_of_ours_left(reports, catalogue):
    assert len(reports) == 12
    for name, report in reports.items():
        document_ = opened(pdf.of_report(report, FRENCH))
        assert str(document_.Root.Lang) == "fr"
        assert left_in_english(report, letters(document_), catalogue) == [], name
    assert sum(bool(report.body.rows) for report in reports.values()) > 6
    assert sum(bool(report.body.notes) for report in reports.values()) > 6


def test_what_is_left_in_english_is_found(reports, catalogue):
    """The check above finds an English print, a column without a word, and a note that nobody said in French."""
    report = reports["refusals"]
    assert report.body.rows
    drawn = letters(opened(pdf.of_report(report, ENGLISH)))
    assert {"Règle", "Motif"} & set(left_in_english(report, drawn, catalogue))
    column = replace(report.body, columns=(Column("surprise_of_tomorrow"), *report.body.columns[1:]))
    note = replace(report.body, notes=(("Read this first.", "Read this first."),))
    total = replace(report.body, totals=(("surprises", 3),))
    for body, english in ((column, "surprise of tomorrow"), (note, "Read this first."), (total, "surprises")):
        made = replace(report, body=body)
        assert english in left_in_english(made, letters(opened(pdf.of_report(made, FRENCH))), catalogue)
    before = replace(report, body=replace(report.body, notes=(("Read this first.", ""),)), in_french=False)
    assert "Read this first." in left_in_english(before, letters(opened(pdf.of_report(before, FRENCH))), catalogue)


def test_an_officer_takes_page_file_and_print_in_their_own_language(maison, life, signed_in):
    vouch(maison)
    for tag, another in (("fr", "en"), ("en", "fr")):
        officer = signed_in("auditor", tag, officer_id=f"claire-{tag}")
        path = "/console/reports/retention/files"
        answers = {kind: officer.submit(path, "format", format=kind).answer for kind in ("html", "pdf", "json")}
        report = document.read(answers["json"].content)
        here, there = (reported(report, language(each), ALL) for each in (tag, another))
        page = officer.get("/console/reports/retention").answer.text
        (note,), (foreign,) = here.notes, there.notes
        for text in (page, answers["html"].text):
            assert f'<html lang="{tag}">' in text
            assert f'<p class="quiet">{note}</p>' in text  # in the page's own language, which needs no mark
            assert foreign not in text
        drawn = squeezed(letters(opened(answers["pdf"].content)))
        assert squeezed(note) in drawn and squeezed(here.title) in drawn
        assert squeezed(foreign) not in drawn
        assert str(opened(answers["pdf"].content).Root.Lang) == tag
        assert report.content["notes"] == [report.body.notes[0][0]]  # the signed form is in codes, and the same for all


def test_notes_from_before_are_marked_as_english_on_a_french_page(reports):
    body = replace(reports["retention"].body, notes=(("Told <b>before</b>.", ""),))
    report = replace(reports["retention"], body=body, in_french=False)
    frame = {"report": report, "title": reported(report, FRENCH, 1), "deployment": "x", "shown": 9}
    for tag, mark in (("fr", ' lang="en"'), ("en", "")):
        page = render.alone("report_file.html", tag, frame).decode()
        assert f'<p class="quiet"{mark}>Told &lt;b&gt;before&lt;/b&gt;.</p>' in page
