"""Reports, evidence and packages as PDF: one maker, tagged for whoever has it read aloud, in any script we have letters of.

Set by Typst from our own template (`api.typesetting`), in a process of its own: what it read and remembered goes with it.
Nothing that is printed is markup, nothing is fetched, nothing touches a disk, and the same sheet gives the same bytes.
The file says PDF/UA-1 (ISO 14289-1) and Typst refuses to write one that is not. Of metadata it has title and language.
"""

import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from api.pages.language import Language
from api.pages.reported import reported
from audit.reports.document import Report
from audit.spreadsheet import Written

MOST_ROWS: Final = 5_000  # of one table on paper; the CSV has all
INK: Final = "#1f2a37"
_ACCENT: Final = re.compile(r"#[0-9a-f]{6}")
_ROOT: Final = Path(__file__).resolve().parent.parent
_SECONDS: Final = 180.0
_AT_ONCE: Final = threading.BoundedSemaphore(2)  # a long table takes half a gigabyte while it is set
_PORTRAIT: Final = 8.0  # points of a table's letters
_LANDSCAPE: Final = 6.5

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "page": "page",
        "more": "{count} rows more are in the CSV.",
        "sign": "Date, name and signature:",
        "spelled": "[U+…] stands for a character that this print has no shape for: it is that of this number in Unicode.",
    },
    "fr": {
        "page": "page",
        "more": "{count} lignes de plus sont dans le CSV.",
        "sign": "Date, nom et signature :",
        "spelled": "[U+…] remplace un caractère que cette impression ne sait pas dessiner : celui de ce numéro dans Unicode.",
    },
}


class PrintFailed(Exception):
    """The print could not be made. Says nothing of what was to be printed."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a sheet: a heading of level 2 or 3 if it has one, paragraphs, and a table if it has rows.

    `widths` are the columns' shares of the page; left out, all are alike. `beyond` rows more are in the CSV.
    """

    heading: str = ""
    text: Sequence[str] = field(default=(), repr=False)
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Written]] = field(default=(), repr=False)
    widths: Sequence[int] = ()
    level: int = 2
    beyond: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is printed. `facts` are names and values, `footer` stands on every page beside the page's number.

    `house` and the lines `under` it are the letterhead, in the colour `accent` (`#rrggbb`).
    """

    title: str
    facts: Sequence[tuple[str, str]] = field(repr=False)
    notes: Sequence[str]
    parts: Sequence[Part]
    footer: str
    to_sign: bool = True  # a line for whoever vouches for the paper with their hand
    language: str = "en"
    spoken: str = ""  # the language of the notes, if it is another
    landscape: bool = True
    house: str = ""
    under: Sequence[str] = ()
    accent: str = INK


def draw(sheet: Sheet) -> bytes:
    """Return the PDF. Raises `PrintFailed`."""
    given = orjson.dumps(_document(sheet))
    command = [sys.executable, "-E", "-s", "-m", "api.typesetting.press"]
    with _AT_ONCE:
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module; what is printed goes by the pipe
                command,
                input=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a message of it would quote what was to be printed
                cwd=_ROOT,
                env={},  # nothing of our environment is its business
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            raise PrintFailed("the print could not be made") from None
    if done.returncode:
        raise PrintFailed("the print could not be made")
    return done.stdout


def of_report(report: Report, language: Language) -> bytes:
    """Return a report as PDF, in a reader's words; what counts is its signed form, of which the paper names the digest's note."""
    told = reported(report, language, MOST_ROWS)
    facts = [*told.facts, *told.totals]
    if report.signature:
        facts.append((language.say("Signature"), " ".join(report.signature.split())))
    part = Part(columns=[name for name, _ in told.columns], rows=told.rows, beyond=told.beyond)
    return draw(Sheet(told.title, facts, told.notes, [part], told.footer, language=language.tag, spoken=told.spoken))


def _document(sheet: Sheet) -> dict[str, Any]:
    words = _WORDS[sheet.language if sheet.language in _WORDS else "en"]
    accent = sheet.accent if _ACCENT.fullmatch(sheet.accent) else INK
    return {
        "title": sheet.title,
        "house": sheet.house,
        "under": list(sheet.under),
        "facts": [list(each) for each in sheet.facts],
        "notes": list(sheet.notes),
        "parts": [_part(each, words) for each in sheet.parts],
        "footer": sheet.footer,
        "words": {name: words[name] for name in ("page", "sign", "spelled")},
        "style": {
            "language": sheet.language,
            "notes": sheet.spoken or sheet.language,
            "accent": accent,
            "landscape": sheet.landscape,
            "small": _LANDSCAPE if sheet.landscape else _PORTRAIT,
            "sign": sheet.to_sign,
        },
    }


def _part(part: Part, words: Mapping[str, str]) -> dict[str, Any]:
    left = max(0, len(part.rows) - MOST_ROWS) + part.beyond
    return {
        "heading": part.heading,
        "level": part.level,
        "text": list(part.text),
        "columns": list(part.columns),
        "widths": list(part.widths or [1] * len(part.columns)),
        "rows": [[_told(cell) for cell in row] for row in part.rows[:MOST_ROWS]],
        "more": words["more"].format(count=left) if left > 0 else "",
    }


def _told(cell: Written) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return cell if isinstance(cell, str) else str(cell) if isinstance(cell, int) else " ".join(cell)
