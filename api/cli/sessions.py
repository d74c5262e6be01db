"""Commands on sessions: who is signed in to the console, and the end of it, for one or for all."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail
from api.settings import load
from vault.signin import sessions, visitors
from vault.signin.sessions import Limits

group = typer.Typer(help="Sessions of officers and of persons at the portal.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="session")


ReferenceFile = Annotated[
    Path | None, typer.Option(help="File with the person's reference there; `-` for standard input.")
]


@group.command("list")
def list_(
    *, officer: Annotated[str | None, typer.Option(help="Of this officer alone.")] = None, json: Json = False
) -> None:
    """List the officers' open sessions. Neither device nor place is known."""
    settings = load()
    limits = Limits(settings.console_idle_seconds, settings.console_session_seconds)
    with opened() as vault, vault.reading() as conn:
        found = sessions.listed(conn, vault.clock.now(), limits, officer)
    rows = [
        {"officer": each.officer_id, "with": each.method, "since": each.opened_at, "used": each.seen_at}
        for each in found
    ]
    Output(json=json).rows("sessions", ("officer", "with", "since", "used"), rows)


@group.command()
def end(
    *,
    officer: Annotated[str | None, typer.Option(help="End this officer's sessions.")] = None,
    officers: Annotated[bool, typer.Option("--officers", help="End every officer's.")] = False,
    brand: Annotated[str, typer.Option(help="The brand of the person whose sessions end.")] = "",
    reference_file: ReferenceFile = None,
    persons: Annotated[bool, typer.Option("--persons", help="End every person's at the portal.")] = False,
    json: Json = False,
) -> None:
    """End sessions at once: one officer's, all officers', one person's, or everybody's at the portal. On record."""
    if [officer is not None, officers, reference_file is not None, persons].count(True) != 1:
        raise fail("say whose: --officer, --officers, --brand with --reference-file, or --persons", Exit.USAGE)
    if bool(brand) is (reference_file is None):
        raise fail("--brand goes with --reference-file", Exit.USAGE)
    reference = "" if reference_file is None else _read(reference_file)
    with opened() as vault, vault.unit() as uow:
        if officers or officer is not None:
            ended = sessions.end_all(uow, officer, OPERATOR)
        else:
            holder = visitors.holder_of(vault, brand, reference) if reference else None
            ended = visitors.end_all(uow, holder, OPERATOR)
        uow.commit()
    Output(json=json).result({"ended": ended}, f"Sessions ended: {ended}.")


def _read(path: Path) -> str:
    try:
        text = (sys.stdin.read() if path == Path("-") else path.read_text("utf-8")).strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text:
        raise fail("the file with the reference cannot be read", Exit.USAGE)
    return text
