"""Cuts a streamed import body into rows: NDJSON lines, or CSV records. Holds one record at a time.

A row that cannot be read is answered by its number, or its reference where that much could be read, and never by what
it held. The records before and after it are not affected.
"""

import csv
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import ValidationError

from api.bodies.imports import ImportRow
from policies.catalogue import Catalogue, FieldKind

NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
LONGEST_RECORD: Final = 1 << 18  # bytes of one line or record

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_ROW_COLUMNS: Final = frozenset({"ref", "region"})
_LINES: Final = ("address", "lines")  # the one member that is an array: a line feed in its cell parts the lines


@dataclass(frozen=True, slots=True)
class Read:
    """One record: its bytes, and the row in it or the code of what is wrong. `ref` is `#<number>` if unreadable."""

    ref: str = field(repr=False)
    content: bytes = field(repr=False)
    row: ImportRow | None = field(repr=False)
    code: str = ""


class TooLong(Exception):
    """A record exceeds `LONGEST_RECORD`: where the next one begins can then not be known."""


async def records(chunks: AsyncIterator[bytes], *, quoted: bool) -> AsyncIterator[bytes]:
    """Yield records without their line ends. In CSV (`quoted`) a line feed inside quotes belongs to the record.

    Raises `TooLong`. Whether a line feed is quoted is known by parity: a record holds an even number of quotes.
    """
    pending = b""
    start = 0  # pending[:start] holds no end of a record
    async for chunk in chunks:
        pending += chunk
        begin = 0
        while (end := pending.find(b"\n", start)) >= 0:
            start = end + 1
            if quoted and pending.count(b'"', begin, end) % 2:
                continue
            if end - begin > LONGEST_RECORD:
                raise TooLong
            yield pending[begin:end].removesuffix(b"\r")
            begin = start
        pending = pending[begin:]
        start = max(start - begin, 0) if quoted else len(pending)
        if len(pending) > LONGEST_RECORD:
            raise TooLong
    if pending.strip():
        yield pending.removesuffix(b"\r")


def read_line(content: bytes, number: int) -> Read:
    """Read an NDJSON line."""
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return Read(f"#{number}", content, None, "malformed_row")
    return _checked(parsed, content, number)


class CsvReader:
    """Reads CSV records under a header.

    Columns are `ref`, optionally `region`, and field names; `field.member` fills a member of a structured value (of a
    list field: of its only one), and a list field's column may repeat. An empty cell is no value. Raises `ValueError`
    for a header it does not understand.
    """

    def __init__(self, header: bytes, catalogue: Catalogue) -> None:
        try:
            columns = next(_parsed(header.removeprefix(_BYTE_ORDER_MARK)), [])
        except csv.Error:  # not a `ValueError`
            raise ValueError from None
        self._columns = [column.strip() for column in columns]
        self._catalogue = catalogue
        if "ref" not in self._columns or not all(map(self._is_known, self._columns)):
            raise ValueError
        # A second column of the same place would silently replace the first; one field in both forms is neither.
        once = [column for column in self._columns if not self._repeats(column)]
        by_member = {name for name, dot, _ in (column.partition(".") for column in self._columns) if dot}
        if len(set(once)) < len(once) or by_member & set(self._columns):
            raise ValueError

    def _is_known(self, column: str) -> bool:
        return column in _ROW_COLUMNS or column.partition(".")[0] in self._catalogue.fields

    def _repeats(self, column: str) -> bool:
        declared = self._catalogue.fields.get(column)
        return declared is not None and declared.kind is not FieldKind.SINGLE

    def read(self, content: bytes, number: int) -> Read:
        """Read one record."""
        try:
            cells = next(_parsed(content), [])
        except (UnicodeDecodeError, csv.Error):
            return Read(f"#{number}", content, None, "malformed_row")
        if len(cells) != len(self._columns):
            return Read(f"#{number}", content, None, "malformed_row")
        row: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        for column, cell in zip(self._columns, cells, strict=True):
            if not cell:
                continue
            cell = cell.replace("\r\n", "\n")  # noqa: PLW2901 - a line end within quotes, as spreadsheets write it
            if column in _ROW_COLUMNS:
                row[column] = cell
            else:
                self._put(fields, column, cell)
        return _checked({**row, "fields": fields}, content, number)

    def _put(self, fields: dict[str, Any], column: str, cell: str) -> None:
        name, _, member = column.partition(".")
        declared = self._catalogue.fields[name]
        single = declared.kind is FieldKind.SINGLE
        if member:
            structured = fields.setdefault(name, {}) if single else fields.setdefault(name, [{}])[0]
            structured[member] = cell.splitlines() if (declared.type, member) == _LINES else cell
        elif single:
            fields[name] = _typed(declared.type, cell)
        else:
            fields.setdefault(name, []).append(_typed(declared.type, cell))


def _typed(kind: str, cell: str) -> object:
    """Give a cell the JSON type of its field; what does not fit stays text, and the field's type refuses it by name."""
    if kind == "integer" and cell.lstrip("-").isdecimal():
        return int(cell)
    if kind == "boolean":
        return {"true": True, "false": False}.get(cell.lower(), cell)
    return cell


def _checked(parsed: object, content: bytes, number: int) -> Read:
    ref = parsed.get("ref") if isinstance(parsed, Mapping) else None
    named = ref if isinstance(ref, str) and 0 < len(ref) <= 128 else f"#{number}"  # noqa: PLR2004 - as in ImportRow
    try:
        return Read(named, content, ImportRow.model_validate(parsed))
    except ValidationError:
        return Read(named, content, None, "invalid_row")


def _parsed(content: bytes) -> Iterator[list[str]]:
    return csv.reader([content.decode()], strict=True)
