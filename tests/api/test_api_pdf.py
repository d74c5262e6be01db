"""Prints: the same rows give the same bytes, nothing in a cell is markup, a reader of tags reads them, and no letter is a box."""

import re
import subprocess

import pikepdf
import pytest
from print_reading import elements, letters, opened, tags

from api import pdf
from api.pages.language import language
from audit.reports.document import Report
from audit.reports.lines import Vouched
from audit.reports.table import Column, Kind, Table

NAMES = ["王小明", "瞿騫", "山田 さくら", "김철수", "محمد بن سلمان", "Ελένη Παπαδοπούλου", "Анна Каренина", "Nguyễn Đỗ"]


def sheet(rows, **more):
    part = pdf.Part("Lines", ["A paragraph."], ["who", "what"], rows)
    given = {"title": "Access", "facts": [("From", "2026-11-01")], "notes": ["A note."], "parts": [part]}
    return pdf.Sheet(**(given | {"footer": "vault.example/audit at 7, root ab"} | more))


# --------------------------------------------------------------------------------------------------------------- bytes


def test_the_same_sheet_gives_the_same_bytes():
    rows = [["aurelle-crm", ("phone:masked",)], ["vantier-pos", 7], ["x", True]]
    assert pdf.draw(sheet(rows)) == pdf.draw(sheet(rows))


def test_a_table_beyond_what_paper_holds_says_how_much_is_left(monkeypatch):
    monkeypatch.setattr(pdf, "MOST_ROWS", 3)
    drawn = letters(opened(pdf.draw(sheet([[f"row-{at}", at] for at in range(5)]))))
    assert "2 rows more are in the CSV." in drawn
    assert "row-2" in drawn
    assert "row-3" not in drawn


# ---------------------------------------------------------------------------------------------------------------- tags


def test_it_says_that_it_is_accessible_and_is_tagged():
    document = opened(pdf.draw(sheet([["a", "b"], ["c", "d"]], language="fr")))
    root = document.Root
    assert root.MarkInfo.Marked
    assert str(root.Lang) == "fr"
    assert root.ViewerPreferences.DisplayDocTitle
    assert all(page.Tabs == "/S" for page in document.pages)
    with document.open_metadata() as metadata:
        assert metadata["pdfuaid:part"] == "1"


def test_its_structure_is_headings_paragraphs_and_tables_with_headers():
    parts = [pdf.Part("One", ["Text."], ["who", "what"], [["a", "b"], ["c", "d"]]), pdf.Part("Two", ["Text."], level=3)]
    found = tags(opened(pdf.draw(sheet([], parts=parts))))
    assert [each for each in found if re.fullmatch("/H[1-6]?", each)] == ["/H1", "/H2", "/H3"]
    assert found.count("/Table") == 1
    assert found.count("/TH") == 2
    assert found.count("/TD") == 4
    assert found.index("/THead") < found.index("/TBody")
    assert found.count("/P") >= 3


def test_headers_of_a_table_head_their_columns():
    document = opened(pdf.draw(sheet([["a", "b"]])))
    heads = [each for each in elements(document) if each.S == "/TH"]
    scopes = [
        str(of.Scope)
        for each in heads
        for of in ([each.A] if isinstance(each.A, pikepdf.Dictionary) else each.A)
        if "/Scope" in of
    ]
    assert scopes == ["/Column", "/Column"]


def test_a_name_is_told_in_its_language():
    document = opened(pdf.draw(sheet([[name, "x"] for name in NAMES])))
    found = {str(each.Lang) for each in elements(document) if "/Lang" in each}
    assert {"zh", "ja", "ko", "ar"} <= found


def test_metadata_is_the_title_and_nothing_of_a_clock():
    document = opened(pdf.draw(sheet([["Apolline Rousselin", "x"]])))
    info = {str(name): str(value) for name, value in document.docinfo.items()}
    assert info.keys() <= {"/Title", "/Author", "/Creator"}
    assert (info["/Title"], info["/Author"]) == ("Access", "Ecrin")
    metadata = document.Root.Metadata.read_bytes()
    assert b"Apolline" not in metadata
    assert b"CreateDate" not in metadata
    assert b"ModifyDate" not in metadata


# ------------------------------------------------------------------------------------------------------------- letters


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_in_their_own_letters(name):
    drawn = letters(opened(pdf.draw(sheet([[name, "x"]]))))
    for each in name.replace(" ", ""):
        if "\u0600" <= each <= "\u06ff":  # joined letters are other shapes: their order on the page is from the right
            continue
        assert each in drawn
    assert "[U+" not in drawn


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("ไทย", "[U+0E44][U+0E17][U+0E22]"),
        ("ok \U0001f600", "ok [U+1F600]"),
        ("a\u202eb", "a[U+202E]b"),  # turns the direction of what follows
        ("\x00\x07", "[U+0000][U+0007]"),
        ("\ue000", "[U+E000]"),
        ("\ud7ff\u0378", "[U+D7FF][U+0378]"),
    ],
)
def test_what_has_no_shape_is_spelled_and_said(value, told):
    drawn = letters(opened(pdf.draw(sheet([[value, "x"]]))))
    assert told in drawn
    assert "stands for a character that this print has no shape for" in drawn


def test_a_print_with_all_its_letters_says_nothing_of_others():
    assert "U+" not in letters(opened(pdf.draw(sheet([[name, "x"] for name in NAMES]))))


# -------------------------------------------------------------------------------------------------------------- safety


@pytest.mark.parametrize(
    "hostile",
    [
        "#panic()", '#read("/etc/passwd")', '#image("/etc/passwd")', "*b* _i_ $x$ @y <z> = h", "#{", "]", "\\", "//", "/*", "<b>x</b>",
        "&lt;", '"', "https://evil.example/x", "- a", "```x```",
    ],
)  # fmt: skip
def test_nothing_in_it_is_markup(hostile):
    part = pdf.Part(hostile, [hostile], [hostile, "x"], [[hostile, "x"]])
    document = opened(
        pdf.draw(
            sheet(
                [],
                title=hostile,
                facts=[(hostile, hostile)],
                notes=[hostile],
                parts=[part],
                footer=hostile,
                house=hostile,
                under=[hostile],
            )
        )
    )
    drawn = letters(document)
    assert drawn.replace(" ", "").count(hostile.replace(" ", "")) == 11
    assert str(document.docinfo["/Title"]) == hostile
    assert "/Link" not in tags(document)


@pytest.mark.parametrize("accent", ["red", "#fff", '#000000"); panic(', ""])
def test_a_colour_that_is_none_is_the_houses_own(accent):
    assert pdf.draw(sheet([["a", "b"]], accent=accent)) == pdf.draw(sheet([["a", "b"]]))


def test_a_failure_says_nothing_of_what_was_to_be_printed(monkeypatch, capfd):
    monkeypatch.setattr(pdf.sys, "executable", "/no/such/program")
    with pytest.raises(pdf.PrintFailed) as caught:
        pdf.draw(sheet([["Apolline", "b"]]))
    assert "Apolline" not in repr(caught.value)
    assert caught.value.__suppress_context__


def test_the_press_says_nothing_of_a_print_that_it_cannot_make():
    done = subprocess.run(
        [pdf.sys.executable, "-m", "api.typesetting.press"],
        input=b'{"title": "Apolline"}',
        capture_output=True,
        cwd=pdf._ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")


# -------------------------------------------------------------------------------------------------------------- pages


def test_every_page_says_which_log_it_is_of():
    document = opened(pdf.draw(sheet([[f"system-{place}", "x" * 300] for place in range(120)])))
    assert len(document.pages) > 2
    drawn = letters(document).replace(" ", "")
    assert drawn.count("vault.example/auditat7,rootab") == len(document.pages)
    assert f"page{len(document.pages)}/{len(document.pages)}" in drawn


def test_a_report_is_printed_with_its_question_filter_and_totals():
    table = Table((Column("rule"), Column("refusals", Kind.COUNT), Column("fields", Kind.LIST)), 10)
    table.add("floor.minor", 3, ("a", "b"))
    upto = (Vouched(0, "vault.example/audit", 7, b"\x05" * 32, "n"),)
    body = table.body([("refusals", "<5")], [("Read this first.", "À lire d’abord.")])
    document = pdf.of_report(
        Report("refusals", "Where?", {"since": "x"}, 1_790_000_000, "ab", upto, body), language("en")
    )
    drawn = letters(opened(document))
    for each in ("Where do the rules bite?", "floor.minor", "Read this first."):
        assert each in drawn, each
