"""Prints: the same rows give the same bytes, nothing in a cell is markup, and every page says which log it is of."""

import base64
import re
import zlib

import pytest

from api import pdf
from audit.reports.document import Report
from audit.reports.lines import Vouched
from audit.reports.table import Column, Kind, Table


def sheet(rows, **more):
    given = {"title": "Access", "facts": [("From", "2026-11-01")], "columns": ["who", "what"], "notes": ["A note."]}
    return pdf.Sheet(**(given | {"rows": rows, "footer": "vault.example/audit at 7, root ab"} | more))


def text(document):
    """All strings drawn, from the streams of the file."""
    drawn = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", document, re.DOTALL):
        content = stream
        if content.rstrip().endswith(b"~>"):
            content = base64.a85decode(b"<~" + content.strip(), adobe=True)
        try:
            drawn.append(zlib.decompress(content))
        except zlib.error:
            continue
    return b" ".join(drawn)


def test_the_same_sheet_gives_the_same_bytes():
    rows = [["aurelle-crm", ("phone:masked",)], ["vantier-pos", 7]]
    assert pdf.draw(sheet(rows)) == pdf.draw(sheet(rows))
    assert pdf.draw(sheet(rows)).startswith(b"%PDF-")


@pytest.mark.parametrize(
    "hostile", ["<b>x</b>", "<img src='file:///etc/passwd'/>", "&lt;", "</para>", "\x00\x07", "名前"]
)
def test_nothing_in_a_cell_is_markup(hostile):
    document = pdf.draw(sheet([[hostile, hostile]], title=hostile, notes=[hostile], footer=hostile))
    assert document.startswith(b"%PDF-")
    assert b"root:" not in text(document)


def test_every_page_says_which_log_it_is_of():
    document = pdf.draw(sheet([[f"system-{place}", "x" * 300] for place in range(120)]))
    pages = len(re.findall(rb"/Type /Page\b", document))
    assert pages > 2
    assert text(document).count(b"vault.example/audit at 7, root ab") == pages


def test_a_report_is_printed_with_its_question_filter_and_totals():
    table = Table((Column("rule"), Column("refusals", Kind.COUNT), Column("fields", Kind.LIST)), 10)
    table.add("floor.minor", 3, ("a", "b"))
    upto = (Vouched(0, "vault.example/audit", 7, b"\x05" * 32, "n"),)
    body = table.body([("refusals", "<5")], ["Read this first."])
    document = pdf.of_report(Report("refusals", "Where?", {"since": "x"}, 1_790_000_000, "ab", upto, body))
    assert document.startswith(b"%PDF-")
    drawn = text(document)
    for each in (b"Where?", b"floor.minor", b"Read this first."):
        assert each in drawn, each
