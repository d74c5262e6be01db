"""The import command: the same rows, through the same code, as `POST /v1/imports`, from a file on this host."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from api import intakes, rows
from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail
from api.rows import CsvReader, Read, TooLong
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.catalogue import Catalogue
from vault import systems
from vault.idempotency import LONGEST_KEY
from vault.systems import SystemRecord, SystemStatus
from vault.unit import Vault, execute, settled

_PIECE = 1 << 18
_ROWS_PER_UNIT = 200


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_)
    honey = typer.Typer(help="Honey subjects: nobody, watched.", no_args_is_help=True)
    honey.callback()(_honey)
    honey.command("add")(add_honey)
    app.add_typer(honey, name="honey")


def _honey() -> None:
    """Keep `add` a subcommand although it is the only one."""


def add_honey(
    file: Annotated[Path, typer.Argument(help="NDJSON or CSV file of people who do not exist.", exists=True)],
    system: Annotated[str, typer.Option(help="The registered system in whose name they are taken in.")],
    key: Annotated[str, typer.Option(help="Name of this import, as `ecrin import` takes it.")],
    *,
    json: Json = False,
) -> None:
    """Import people who do not exist. A system that looks at one is frozen at once.

    In the database and in the log they are like everybody else: keep the file, nothing else says who they are.
    """
    _import(file, system, key, json=json, honey=True)


def import_(
    file: Annotated[Path, typer.Argument(help="NDJSON or CSV file (by its ending).", exists=True, dir_okay=False)],
    system: Annotated[str, typer.Option(help="The registered system in whose name the rows are taken in.")],
    key: Annotated[str, typer.Option(help="Name of this import; the same name resumes it.")],
    *,
    json: Json = False,
) -> None:
    """Import rows as one registered system. Resumable: rows that are in already are skipped."""
    _import(file, system, key, json=json, honey=False)


def _import(file: Path, system: str, key: str, *, json: bool, honey: bool) -> None:
    if not 0 < len(key) <= LONGEST_KEY:
        raise fail(f"the key has 1 to {LONGEST_KEY} characters", Exit.USAGE)
    counts: dict[str, int] = {}
    refused: list[dict[str, Any]] = []
    with opened() as vault:
        acting = _system(vault, system)
        _note(vault, acting, Act.IMPORT_STARTED)
        size = file.stat().st_size
        columns = (TextColumn("importing"), BarColumn(), DownloadColumn())
        with Progress(*columns, console=Console(stderr=True), disable=json) as bar:
            task = bar.add_task("", total=size)
            for reads in _batches(file, vault.bundle.catalogue):
                (answers,) = execute(vault, _take_in(acting, key, honey=honey), [reads])
                if isinstance(answers, Exception):
                    raise answers
                for answer in answers:
                    counts[answer["status"]] = counts.get(answer["status"], 0) + 1
                    if answer["status"] == "refused":
                        refused.append(answer)
                bar.advance(task, sum(len(read.content) + 1 for read in reads))
        _note(vault, acting, Act.IMPORT_COMPLETED, sum(counts.values()))
    text = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no rows"
    lines = [f"  {each['ref']}: {each['code']} {_fields(each)}".rstrip() for each in refused]
    Output(json=json).result({"counts": counts, "refused": refused}, "\n".join([text, *lines]))
    if refused:
        raise typer.Exit(Exit.FAILED)


def _note(vault: Vault, system: SystemRecord, act: Act, count: int | None = None) -> None:
    with vault.unit() as uow:
        uow.record(Entry(act, Outcome.ALLOW, Actor(ActorKind.SYSTEM, system.id, via=OPERATOR.id), n=count))
        uow.commit()


def _take_in(system: SystemRecord, key: str, *, honey: bool) -> Any:
    return settled(lambda uow, chunks: [intakes.take_in_rows(uow, system, key, reads, honey=honey) for reads in chunks])


def _system(vault: Vault, system_id: str) -> SystemRecord:
    with vault.reading() as conn:
        found = systems.get(conn, system_id)
    if found is None or found.status is not SystemStatus.ACTIVE or "import" not in found.scopes:
        raise fail("no active system of that name with the scope import", Exit.USAGE)
    return found


def _batches(file: Path, catalogue: Catalogue) -> Iterator[list[Read]]:
    quoted = file.suffix.lower() == ".csv"
    reader: CsvReader | None = None
    pending: list[Read] = []
    number = 0
    for record in _records(file, quoted=quoted):
        if not record.strip():
            continue
        if quoted and reader is None:
            try:
                reader = CsvReader(record, catalogue)
            except ValueError:
                raise fail("the CSV header names no ref, or a field the catalogue has not", Exit.USAGE) from None
            continue
        number += 1
        pending.append(rows.read_line(record, number) if reader is None else reader.read(record, number))
        if len(pending) == _ROWS_PER_UNIT:
            yield pending
            pending = []
    if pending:
        yield pending


def _records(file: Path, *, quoted: bool) -> Iterator[bytes]:
    with file.open("rb") as opened_file:
        cut = rows.records(_pieces(opened_file), quoted=quoted)
        # Nothing in it ever waits, so each step ends at once and needs no event loop; the file is never held whole.
        while True:
            try:
                next(cut.__anext__().__await__())
            except StopIteration as step:
                yield step.value
            except StopAsyncIteration:
                return
            except TooLong:
                raise fail("a record is too long; is a quote left open?", Exit.FAILED) from None


async def _pieces(opened_file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := opened_file.read(_PIECE):
        yield piece


def _fields(answer: dict[str, Any]) -> str:
    return "; ".join(f"{each['name']} {each['reason']}" for each in answer.get("fields", ()))
