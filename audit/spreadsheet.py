"""Rows as CSV (RFC 4180) that no spreadsheet runs: one spelling for reports and for evidence.

Standard library only: the verifier takes this file along when it is copied out.
"""

import csv
import io
from collections.abc import Iterable

Written = str | int | bool | tuple[str, ...]

RUNS = ("=", "+", "-", "@", "\t", "\r", "\n")  # beginnings that a spreadsheet takes for a formula


def csv_bytes(header: Iterable[str], rows: Iterable[Iterable[Written]]) -> bytes:
    """Write a header line and rows, UTF-8, lines ending with CR LF."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([shown_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def shown_cell(cell: Written) -> str | int:
    """Return a cell as a spreadsheet may read it.

    Why safe: text that begins as a formula would is put behind an apostrophe, which spreadsheets take for "this is
    text" (OWASP, CSV injection). Numbers are ours and are whole.
    """
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return cell
    text = cell if isinstance(cell, str) else " ".join(cell)
    return f"'{text}" if text.startswith(RUNS) else text
