"""Commands on reports: list them, run one, check one that was handed out."""

import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from api import bootstrap, pdf
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output, fail
from api.cli.periods import Since, Until, period
from api.pages.language import ENGLISH, language
from api.settings import load
from audit.checkpoint import parse
from audit.errors import VerificationError
from audit.findings import how_many
from audit.note import split_note, vkey
from audit.reports import document
from audit.reports.asked import LARGEST, MOST_ROWS, Asked
from audit.reports.document import Report
from audit.reports.lines import told
from vault import evidence
from vault.keys.service import SigningKey
from vault.reports import catalog, running, runs
from vault.staff import staff_told

group = typer.Typer(help="Reports for officers: list, run, check.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="report")


class Form(StrEnum):
    """How a report is written."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"


_WRITERS: Final[Mapping[Form, Callable[[Report], bytes]]] = {
    Form.JSON: document.to_json,
    Form.CSV: document.to_csv,
    Form.PDF: lambda report: pdf.of_report(report, language(ENGLISH)),  # as all that the command line says
}


@group.command("list")
def list_(*, json: Json = False) -> None:
    """List the reports and the question that each answers."""
    rows = [
        {"name": each.name, "question": each.question, "days": each.days, "filter": " ".join(sorted(each.knows))}
        for each in catalog.DEFINITIONS.values()
    ]
    Output(json=json).rows("reports", ("name", "question", "days", "filter"), rows)


@group.command()
def run(
    name: Annotated[str, typer.Argument(help="The report.")],
    *,
    since: Since = "",
    until: Until = "",
    brand: Annotated[str, typer.Option(help="Of one brand only.")] = "",
    system: Annotated[str, typer.Option(help="Of one system or officer only.")] = "",
    purpose: Annotated[str, typer.Option(help="Of one purpose only.")] = "",
    reference: Annotated[str, typer.Option(help="A reference of that brand: about one person.")] = "",
    staff: Annotated[
        str, typer.Option(help="A member of the brand's staff: as reports tell them, or by the brand's own word.")
    ] = "",
    token: Annotated[str, typer.Option(help="SHA-256 of a leaked token, hex; never the token.")] = "",
    most: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Rows at most; how many more there are is told.")
    ] = MOST_ROWS,
    form: Annotated[
        Form, typer.Option("--format", help="json carries its signature; of csv it is in --note; pdf is a print.")
    ] = Form.JSON,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")] = None,
    note: Annotated[Path | None, typer.Option(help="Write the signed note to this file.")] = None,
    upto: Annotated[
        Path | None, typer.Option("--checkpoint", help="As of this signed checkpoint; the newest if left out.")
    ] = None,
) -> None:
    """Run a report; how far it is, is told on a terminal's standard error. That it was run is in the log before a row of it is written."""
    settings = load()
    vault = bootstrap.open_from(settings)
    try:
        evidence.sign_checkpoints(vault, settings.checkpoint_file)  # what a service that is stopped had left to do
        begin, end = period(vault.clock.now(), since, until, catalog.definition(name).days)
        member = staff_told(vault.keys, brand, staff)
        size, root = (0, b"") if upto is None else _checkpoint(upto)
        try:
            asked = Asked(begin, end, brand, system, purpose, reference, member, token, most, size)
        except ValueError as error:
            raise fail(f"{error}", Exit.USAGE) from None
        report = running.run(vault, name, asked, OPERATOR, _progress if sys.stderr.isatty() else None)
        if root not in {b"", *[each.root for each in report.upto]}:
            raise fail("the log signed no such checkpoint", Exit.FAILED)
    finally:
        vault.close()
    content = _WRITERS[form](report)
    try:
        if note is not None:
            note.write_text(report.signature, "utf-8")
        if out is not None:
            out.write_bytes(content)
    except OSError:
        raise fail("a file cannot be written", Exit.UNAVAILABLE) from None
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


@group.command()
def check(
    file: Annotated[Path, typer.Argument(help="The report, JSON or CSV.")],
    note: Annotated[Path, typer.Option(help="Its signed note.")],
    *,
    key: Annotated[list[str] | None, typer.Option(help="Verifier key of reports; ours if left out. Repeat.")] = None,
    origin: Annotated[str, typer.Option(help="Name of the log. Needed with --key.")] = "",
    json: Json = False,
) -> None:
    """Check a report against its signed note: 0 it is as signed, 1 it is not, 2 it cannot be decided."""
    try:
        content, signed = file.read_bytes(), note.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise fail("a file cannot be read", Exit.USAGE) from None
    keys, log = (key, origin) if key and origin else _own()
    try:
        name = document.verify(signed, content, keys, log)
    except VerificationError as error:
        raise fail(f"{error}", Exit.FAILED) from None
    Output(json=json).result({"report": name, "origin": log}, f"{name} is as {log} signed it.")


@group.command("made")
def made(*, json: Json = False) -> None:
    """List the reports made in the background, or to be, the newest first."""
    vault = bootstrap.open_from(load())
    try:
        found = runs.listed(vault)
    finally:
        vault.close()
    rows = [
        {
            "id": each.id.hex(),
            "report": each.name,
            "state": each.state.value,
            "read": each.seen,
            "of": each.size,
            "asked": told(each.created_at),
            "problem": each.problem,
        }
        for each in found
    ]
    Output(json=json).rows("reports", ("id", "report", "state", "read", "of", "asked", "problem"), rows)


@group.command("take")
def take(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="As `ecrin report made` lists it.")],
    out: Annotated[Path, typer.Option(help="Write the signed JSON to this file.")],
) -> None:
    """Take away a report that was made in the background. That it was taken is in the log first."""
    vault = bootstrap.open_from(load())
    try:
        given = runs.taken(vault, bytes.fromhex(run_id), OPERATOR)
    except ValueError:
        raise fail("an id is 32 hexadecimal digits", Exit.USAGE) from None
    finally:
        vault.close()
    try:
        out.write_bytes(given.json)
    except OSError:
        raise fail("a file cannot be written", Exit.UNAVAILABLE) from None


def _progress(seen: int, size: int) -> None:
    typer.echo(f"\r{seen} of {how_many(size, 'entry', 'entries')} read", err=True, nl=False)


def _checkpoint(file: Path) -> tuple[int, bytes]:
    try:
        signed = parse(split_note(file.read_text("utf-8")).text)
    except (OSError, UnicodeDecodeError, VerificationError):
        raise fail("not a signed checkpoint", Exit.USAGE) from None
    return signed.size, signed.root


def _own() -> tuple[list[str], str]:
    vault = bootstrap.open_from(load())
    try:
        name = running.report_key_name(vault)
        return [vkey(name, vault.keys.public_key(SigningKey.RECEIPT))], name.removesuffix(document.SUFFIX)
    finally:
        vault.close()
