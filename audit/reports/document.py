"""A report as a document: canonical JSON, CSV for spreadsheets, and one signed note that holds for both.

The JSON is RFC 8785 under the profile of the log's own entries: no fractions, nothing null, keys in order. The note is
a C2SP signed note under `<origin>/report`, a name of its own, so that no receipt, record or checkpoint can stand for a
report: it names the report, the digests of both forms, and the checkpoint up to which the log was read.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson

from audit.errors import VerificationError
from audit.note import VerifierKey, open_note
from audit.reports.lines import Vouched, second, told
from audit.reports.table import Body, Column, Kind
from audit.spreadsheet import csv_bytes

VERSION: Final = 1
SUFFIX: Final = "/report"

_OPENING: Final = b'{"content":'
_TEXT: Final = re.compile(
    r"(?P<signer>[^\n]+)\n(?P<report>[a-z_]+)\njson (?P<json>[0-9a-f]{64})\ncsv (?P<csv>[0-9a-f]{64})\n"
    r"[0-9TZ:-]+\n(?:log [^\n]+ [0-9]+ [^\n]+\n)*"
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report with everything that a reader needs to place it.

    `filter` says what was asked for, in words of the log. `policies` is the hash of the policy bundle in force (hex).
    `signature` is the signed note, "" until it is signed. `in_french` says whether its notes were signed in French too: those
    of documents from before were not, and their French is "".
    """

    name: str
    question: str
    filter: Mapping[str, str]
    generated_at: int
    policies: str
    upto: tuple[Vouched, ...]
    body: Body
    signature: str = field(default="", repr=False)
    in_french: bool = True

    @property
    def content(self) -> dict[str, Any]:
        """Return all that the signature covers, as plain JSON values."""
        body = self.body
        return {
            "version": VERSION,
            "report": self.name,
            "question": self.question,
            "filter": dict(self.filter),
            "generated": told(self.generated_at),
            "policies": self.policies,
            "checkpoints": [
                {"origin": each.origin, "size": each.size, "root": each.root.hex(), "note": each.note}
                for each in self.upto
            ],
            "columns": [{"name": each.name, "kind": each.kind.value} for each in body.columns],
            "rows": [list(row) for row in body.rows],
            "row_count": len(body.rows) + body.more,
            "rows_left_out": body.more,
            "totals": dict(body.totals),
            "notes": [english for english, _ in body.notes],
            # A document from before is spelt as it was, or its signature would not hold.
            **({"notes_fr": [french for _, french in body.notes]} if self.in_french else {}),
        }


def to_json(report: Report) -> bytes:
    """Write the report and its signature as one JSON document."""
    # Spelt so that the signed bytes stand in it as they were hashed: a reader without our code can cut them out.
    return _OPENING + content_bytes(report) + b',"signature":' + orjson.dumps(report.signature) + b"}\n"


def content_bytes(report: Report) -> bytes:
    """Return the canonical bytes whose digest is signed."""
    return orjson.dumps(report.content, option=orjson.OPT_SORT_KEYS)


def to_csv(report: Report) -> bytes:
    """Write the rows as CSV (RFC 4180) in UTF-8, a header line first; nothing in it runs as a spreadsheet's formula."""
    return csv_bytes([each.name for each in report.body.columns], report.body.rows)


def opened(document: bytes) -> tuple[dict[str, Any], str]:
    """Take a JSON document of ours apart: its content, and its note. Nothing is verified."""
    whole = orjson.loads(document)
    return whole["content"], whole["signature"]


def read(document: bytes) -> Report:
    """Read a JSON document of ours as the report it was written from. Nothing is verified."""
    content, note = opened(document)
    french = content.get("notes_fr")
    upto = tuple(
        Vouched(shard, each["origin"], each["size"], bytes.fromhex(each["root"]), each["note"])
        for shard, each in enumerate(content["checkpoints"])
    )
    body = Body(
        tuple(Column(each["name"], Kind(each["kind"])) for each in content["columns"]),
        tuple(tuple(tuple(cell) if isinstance(cell, list) else cell for cell in row) for row in content["rows"]),
        content["rows_left_out"],
        tuple(content["totals"].items()),
        tuple(zip(content["notes"], [""] * len(content["notes"]) if french is None else french, strict=True)),
    )
    name, question, asked, policies = (content[each] for each in ("report", "question", "filter", "policies"))
    at = second(content["generated"])
    return Report(name, question, asked, at, policies, upto, body, note, in_french=french is not None)


def csv_of(content: Mapping[str, Any]) -> bytes:
    """Write the rows of a document's content as `to_csv` wrote those of the report."""
    rows = [[tuple(cell) if isinstance(cell, list) else cell for cell in row] for row in content["rows"]]
    return csv_bytes([each["name"] for each in content["columns"]], rows)


def signed_text(report: Report, origin: str) -> str:
    """Return what is signed: name of the log, report, digests of JSON and CSV, time, and each log's size and root."""
    logs = "".join(f"log {each.origin} {each.size} {b64encode(each.root).decode() or '-'}\n" for each in report.upto)
    return (
        f"{origin}{SUFFIX}\n{report.name}\n"
        f"json {sha256(content_bytes(report)).hexdigest()}\n"
        f"csv {sha256(to_csv(report)).hexdigest()}\n"
        f"{told(report.generated_at)}\n{logs}"
    )


def named(text: str) -> tuple[str, str] | None:
    """Return whose name a text of `signed_text` bears and which report it is of; None for any other text."""
    match = _TEXT.fullmatch(text)
    return None if match is None else (match["signer"], match["report"])


def verify(note: str, document: bytes, keys: Iterable[str | VerifierKey], origin: str) -> str:
    """Check a report as JSON or CSV against its signed note, and return the report's name.

    `document` is the whole JSON file or the CSV file. Raises `VerificationError`.
    """
    opened = open_note(note, keys)
    match = _TEXT.fullmatch(opened.text)
    if match is None:
        raise VerificationError("not the note of a report")
    if match["signer"] != origin + SUFFIX or all(each.name != origin + SUFFIX for each in opened.verified):
        raise VerificationError("the report is signed under another name")
    if document.startswith(_OPENING):
        digest, content = match["json"], _content_of(document, note)
    else:
        digest, content = match["csv"], document
    if sha256(content).hexdigest() != digest:
        raise VerificationError("the report is not what was signed")
    return match["report"]


def _content_of(document: bytes, note: str) -> bytes:
    tail = b',"signature":' + orjson.dumps(note) + b"}\n"
    if not document.endswith(tail):
        raise VerificationError("the document does not carry this note")
    return document[len(_OPENING) : -len(tail)]
