"""The archive: every file of a package in one ZIP, in memory, with a signed manifest of their hashes.

Names of files are ours, made of names of the catalogue and of notices, which are lower-case letters, digits and `_`:
nothing that anybody typed gets into a path. Times of files are fixed. Cells of tables never run as formulas.
"""

import io
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import orjson

from api.packages.document import Document, document_of
from api.packages.page import page_of
from api.packages.paper import paper_of
from api.packages.words import ENTRIES, README
from audit.spreadsheet import csv_bytes
from policies.rights import Right
from vault.requests import manifest
from vault.requests.collecting import Gathered
from vault.requests.records import Request
from vault.unit import Vault

_FIXED: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o600 << 16
_VALUES: Final = ("field", "value", "source", "recorded", "valid_from", "valid_until", "replaced", "withheld")
_INDENTED: Final = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS


def archive_of(vault: Vault, gathered: Gathered) -> bytes:
    """Make the archive of what was gathered, signed. Nothing is written to a disk."""
    document = document_of(gathered)
    files = files_of(document, whole=gathered.request.right is not Right.PORTABILITY)
    return _signed(vault, document.name, gathered.at, files)


def answer_of(vault: Vault, request: Request, answer: str) -> bytes:
    """Make the archive of an answer in words, signed as a package is."""
    files = {"README.txt": README.encode(), "answer.txt": f"{answer}\n".encode()}
    return _signed(vault, request.name, vault.clock.now(), files)


def _signed(vault: Vault, request: str, at: int, files: dict[str, bytes]) -> bytes:
    digests = {name: sha256(content).hexdigest() for name, content in files.items()}
    return zipped(files | {"manifest.txt": manifest.sign(vault, request, at, digests).encode()})


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Pack files whose names are ours, in one order and at one time, so that equal files make equal archives."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _FIXED)
            entry.external_attr = _MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return out.getvalue()


def files_of(document: Document, *, whole: bool) -> dict[str, bytes]:
    """Write each file of a package; of a request of portability the portable part alone."""
    files = {"README.txt": f"{README}{ENTRIES}".encode()}
    for category, fields in document.portable["data"].items():
        files[f"portable/{category}.csv"] = csv_bytes(("field", "value"), _rows(fields))
    files["portable/data.json"] = orjson.dumps(document.portable, option=_INDENTED)
    if not whole:
        return files
    data = document.data
    files["package.html"] = page_of(document)
    files["package.pdf"] = paper_of(document)
    files["data.json"] = orjson.dumps(data, option=_INDENTED)
    for each in data["categories"]:
        rows = [{"field": of["field"], **one} for of in each["fields"] for one in (*of["values"], *of["earlier"])]
        files[f"csv/{each['category']}.csv"] = _table(rows, _VALUES)
    files["csv/disclosures.csv"] = _table(
        data["disclosures"], ("at", "event", "given", "brand", "by", "staff", "fields", "purpose", "basis", "entry")
    )
    files["csv/consents.csv"] = _table(
        data["consents"],
        ("at", "purpose", "state", "basis", "notice", "notice_version", "notice_language", "channel", "valid_until"),
    )
    return files | {f"notices/{name}": text.encode() for name, text in document.notices.items()}


def plain(value: Any) -> str:
    """Write a value into a cell: text as it is, a record as `name: value` pairs, a list by semicolons."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return "; ".join(map(plain, value))
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _rows(fields: Mapping[str, list[Any]]) -> list[tuple[str, str]]:
    return [(name, plain(value)) for name, values in fields.items() for value in values]


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> bytes:
    return csv_bytes(columns, [[_cell(row[name]) for name in columns] for row in rows])


def _cell(value: Any) -> str | int | bool:
    if isinstance(value, str | int):
        return value
    return "" if value is None else plain(value)
