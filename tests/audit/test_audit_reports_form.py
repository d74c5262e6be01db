"""The form of a report: small counts are never told, rows are bounded, JSON is canonical, CSV runs nothing, both are signed."""

import base64
import csv
import hashlib
import io
import json
from dataclasses import replace

import pytest
import rfc8785
from tamperable_log import ORIGIN, START, Ed25519Signer

from audit.errors import VerificationError
from audit.note import sign_note
from audit.reports import document
from audit.reports.asked import Asked
from audit.reports.document import Report
from audit.reports.lines import Vouched
from audit.reports.table import Body, Column, Kind, Table, few, total

COLUMNS = (Column("who"), Column("people", Kind.COUNT), Column("days", Kind.NUMBER), Column("fields", Kind.LIST))
UPTO = (Vouched(0, ORIGIN, 7, b"\x05" * 32, "note\n"),)


def report(*rows, most=10, totals=(), signer=None):
    table = Table(COLUMNS, most)
    for row in rows:
        table.add(*row)
    made = Report("refusals", "Why?", {"since": "x"}, START, "ab" * 32, UPTO, table.body(totals, (("coffee", "café"),)))
    if signer is None:
        return made
    return Report(
        **{name: getattr(made, name) for name in made.__dataclass_fields__ if name != "signature"},
        signature=sign_note(document.signed_text(made, ORIGIN), (signer,)),
    )


@pytest.fixture
def reporter():
    return Ed25519Signer(f"{ORIGIN}/report")


@pytest.mark.parametrize(
    ("count", "told"), [(0, 0), (1, "<5"), (4, "<5"), (5, 5), (900, 900), ("x", "x"), (True, True)]
)
def test_a_small_count_is_told_as_less_than_five(count, told):
    assert few(count) == told


def test_only_counts_are_masked_and_every_row_of_them():
    body = report(("a", 3, 3, ("x",)), ("b", 5, 4, ())).body
    assert body.rows == (("a", "<5", 3, ("x",)), ("b", 5, 4, ()))


@pytest.mark.parametrize(
    ("parts", "told"),
    [((10, 20), 30), ((10, 3), ">=10"), ((3,), "<5"), ((3, 3), ">=5"), ((2, 2), "<5"), ((), 0), ((0, 6), 6)],
)
def test_a_total_gives_no_small_part_away(parts, told):
    assert total(parts) == told
    # Whoever subtracts what is shown learns nothing exact about a part that is not.
    if any(0 < part < 5 for part in parts):
        assert not isinstance(total(parts), int)


def test_rows_beyond_the_bound_are_counted_and_not_kept():
    body = report(*[(f"r{n}", n, n, ()) for n in range(25)], most=4).body
    assert (len(body.rows), body.more) == (4, 21)
    with pytest.raises(ValueError, match="cell for each column"):
        report(("a", 1))


def test_a_period_that_is_none_is_refused():
    for since, until, most in ((5, 4, 1), (-1, 4, 1), (0, 4, 0), (0, 4, 1_000_001)):
        with pytest.raises(ValueError, match="a report is of a period"):
            Asked(since, until, most=most)
    assert Asked(100, 160).before == Asked(40, 100)


def test_json_is_the_one_canonical_form(reporter):
    made = report(("é=", 12, 1, ("x", "y")), signer=reporter)
    written = document.to_json(made)
    told = json.loads(written)
    assert rfc8785.dumps(told["content"]) == document.content_bytes(made)
    assert told["signature"] == made.signature
    assert told["content"]["rows"] == [["é=", 12, 1, ["x", "y"]]]
    assert told["content"]["checkpoints"][0]["size"] == 7


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_nothing_in_a_csv_is_a_formula(start):
    hostile = f"{start}HYPERLINK(A1)"
    written = document.to_csv(report((hostile, -3, 7, (hostile,)))).decode()
    (row,) = list(csv.reader(io.StringIO(written, newline="")))[1:]
    assert row == [f"'{hostile}", "-3", "7", f"'{hostile}"]


def test_both_forms_verify_and_any_changed_byte_does_not(reporter):
    made = report(("a", 30, 1, ("x",)), ("b", 8, 2, ()), signer=reporter)
    for written in (document.to_json(made), document.to_csv(made)):
        assert document.verify(made.signature, written, [reporter.vkey], ORIGIN) == "refusals"
        for place in range(len(written)):
            changed = written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :]
            with pytest.raises(VerificationError):
                document.verify(made.signature, changed, [reporter.vkey], ORIGIN)


def test_a_report_under_another_name_key_or_text_is_refused(reporter):
    made = report(("a", 30, 1, ()), signer=reporter)
    written = document.to_json(made)
    stranger = Ed25519Signer(f"{ORIGIN}/report", b"\x09" * 32)
    receipts = Ed25519Signer(f"{ORIGIN}/receipt")
    text = document.signed_text(made, ORIGIN)
    for note, keys, origin in (
        (made.signature, [stranger.vkey], ORIGIN),
        (made.signature, [reporter.vkey], "other.example/audit"),
        (sign_note(text, (receipts,)), [receipts.vkey], ORIGIN),
        (sign_note("something else\n", (reporter,)), [reporter.vkey], ORIGIN),
        (made.signature.replace("refusals", "access"), [reporter.vkey], ORIGIN),
    ):
        with pytest.raises(VerificationError):
            document.verify(note, written, keys, origin)


# --------------------------------------------------------------------------------------------- notes in two languages

BEFORE = (
    b'{"content":{"checkpoints":[{"note":"note\\n","origin":"vault.example/audit","root":"'
    + b"05" * 32
    + b'","size":7}],'
    b'"columns":[{"kind":"text","name":"who"}],"filter":{"since":"x"},"generated":"2026-09-21T14:13:20Z",'
    b'"notes":%s,"policies":"ab","question":"Why?","report":"refusals","row_count":1,"rows":[["a"]],"rows_left_out":0,'
    b'"totals":{"refusals":"<5"},"version":1}'
)


def signed_before(notes, signer):
    """A document as it was written and signed before notes were said in French too."""
    start = BEFORE % notes
    digests = [hashlib.sha256(each).hexdigest() for each in (start.removeprefix(b'{"content":'), b"who\r\na\r\n")]
    root = base64.b64encode(bytes([5]) * 32).decode()
    text = (
        f"{ORIGIN}/report\nrefusals\njson {digests[0]}\ncsv {digests[1]}\n2026-09-21T14:13:20Z\nlog {ORIGIN} 7 {root}\n"
    )
    note = sign_note(text, (signer,))
    return start + b',"signature":' + json.dumps(note, ensure_ascii=False).encode() + b"}\n", note


@pytest.mark.parametrize("notes", [b'["Read this first.","And this."]', b"[]"])
def test_a_document_from_before_is_read_and_spelt_again_as_it_was_signed(reporter, notes):
    document_before, note = signed_before(notes, reporter)
    assert document.verify(note, document_before, [reporter.vkey], ORIGIN) == "refusals"
    read = document.read(document_before)
    assert not read.in_french
    assert read.body.notes == tuple((each, "") for each in json.loads(notes))
    assert document.to_json(read) == document_before
    assert document.verify(read.signature, document.to_json(read), [reporter.vkey], ORIGIN) == "refusals"
    with pytest.raises(VerificationError):  # as one of today it would be another document
        document.verify(note, document.to_json(replace(read, in_french=True)), [reporter.vkey], ORIGIN)


def test_notes_are_signed_in_both_languages_one_beside_the_other(reporter):
    made = report(("a", 30, 1, ()), signer=reporter)
    written = document.to_json(made)
    content = json.loads(written)["content"]
    assert (content["notes"], content["notes_fr"]) == (["coffee"], ["café"])
    assert document.read(written) == made
    for french in (b'["caf\xc3\xa8"]', b"[]"):
        changed = written.replace(b'"notes_fr":["caf\xc3\xa9"]', b'"notes_fr":' + french)
        assert changed != written
        with pytest.raises(VerificationError):
            document.verify(made.signature, changed, [reporter.vkey], ORIGIN)
    with pytest.raises(ValueError, match="shorter"):  # a note that has lost its French is no note of ours
        document.read(changed)


def test_a_report_without_notes_says_so_in_both_languages():
    made = replace(report(), body=Body(COLUMNS, (), 0))
    assert (made.content["notes"], made.content["notes_fr"]) == ([], [])
    assert document.read(document.to_json(made)).in_french
