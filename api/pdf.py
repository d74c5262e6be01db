"""Reports and evidence as PDF: title, facts, a table, and on every page the line by which it can be placed.

Drawn with ReportLab from our own rows: no HTML is parsed and nothing is fetched. The same input gives the same bytes.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from audit.reports.document import Report
from audit.reports.lines import told
from audit.spreadsheet import Written

MOST_ROWS: Final = 2_000  # on paper; the CSV has all
_MARGIN: Final = 14 * mm
_TITLE: Final = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=15, leading=19, spaceAfter=4)
_TEXT: Final = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=12)
_CELL: Final = ParagraphStyle("cell", fontName="Helvetica", fontSize=6.5, leading=8, splitLongWords=1)
_HEAD: Final = ParagraphStyle("head", parent=_CELL, fontName="Helvetica-Bold")


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is printed. `facts` are names and values, `footer` stands on every page beside the page's number."""

    title: str
    facts: Sequence[tuple[str, str]]
    columns: Sequence[str]
    rows: Sequence[Sequence[Written]]
    notes: Sequence[str]
    footer: str
    to_sign: bool = True  # a line for whoever vouches for the paper with their hand


def draw(sheet: Sheet) -> bytes:
    """Return the PDF."""
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=landscape(A4),
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN + 6 * mm,
        title=sheet.title,
        author="Ecrin",
        invariant=1,  # no clock and no random id in the file
    )
    story: list[Any] = [Paragraph(_safe(sheet.title), _TITLE)]
    story += [Paragraph(f"<b>{_safe(name)}</b> {_safe(value)}", _TEXT) for name, value in sheet.facts]
    story += [Spacer(1, 3 * mm), *[Paragraph(_safe(each), _TEXT) for each in sheet.notes], Spacer(1, 4 * mm)]
    if sheet.rows:
        story.append(_table(sheet, document.width))
    if len(sheet.rows) > MOST_ROWS:
        story.append(Paragraph(f"{len(sheet.rows) - MOST_ROWS} rows more are in the CSV.", _TEXT))
    if sheet.to_sign:
        story += [Spacer(1, 10 * mm), Paragraph("Date, name and signature: ______________________________", _TEXT)]

    def footer(canvas: Any, _: Any) -> None:
        canvas.saveState()
        canvas.setFont("Helvetica", 6.5)
        canvas.drawString(_MARGIN, 9 * mm, _plain(sheet.footer))
        canvas.drawRightString(landscape(A4)[0] - _MARGIN, 9 * mm, f"page {canvas.getPageNumber()}")
        canvas.restoreState()

    document.build(story, onFirstPage=footer, onLaterPages=footer)
    return out.getvalue()


def of_report(report: Report) -> bytes:
    """Return a report as PDF; what counts is its signed form, of which the paper names the digest's note."""
    body = report.body
    facts = [
        ("Question", report.question),
        *[(name, value) for name, value in report.filter.items()],
        ("Generated", told(report.generated_at)),
        ("Policies", report.policies),
        *[(name.replace("_", " "), str(value)) for name, value in body.totals],
    ]
    if body.more:
        facts.append(("Rows left out", str(body.more)))
    footer = "  ".join(f"{each.origin} at {each.size}, root {each.root.hex()}" for each in report.upto)
    columns = [each.name.replace("_", " ") for each in body.columns]
    return draw(Sheet(report.name.replace("_", " ").capitalize(), facts, columns, body.rows, body.notes, footer))


def _table(sheet: Sheet, width: float) -> Table:
    head = [Paragraph(_safe(each), _HEAD) for each in sheet.columns]
    rows = [[Paragraph(_safe(_told(cell)), _CELL) for cell in row] for row in sheet.rows[:MOST_ROWS]]
    table = Table([head, *rows], colWidths=[width / len(head)] * len(head), repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, 0), 0.6, colors.black),
                ("LINEBELOW", (0, 1), (-1, -1), 0.2, colors.lightgrey),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 2),
                ("RIGHTPADDING", (0, 0), (-1, -1), 2),
            ]
        )
    )
    return table


def _told(cell: Written) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return cell if isinstance(cell, str) else str(cell) if isinstance(cell, int) else " ".join(cell)


def _safe(text: str) -> str:
    """Return text as a paragraph may hold it: nothing in it is markup."""
    return escape(_plain(text))


def _plain(text: str) -> str:
    # The built-in fonts know Latin-1; what they do not is told as a question mark, not left out.
    return text.encode("latin-1", "replace").decode("latin-1")
