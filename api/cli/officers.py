"""Commands on officers, the people who log in."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail
from vault import officers
from vault.officers import Role

app = typer.Typer(help="Officers: the people who log in.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `add` a subcommand although it is the only one."""


@app.command()
def add(
    officer_id: Annotated[str, typer.Argument(help="The login name.")],
    role: Annotated[Role, typer.Option(help="What the officer may do.")],
    *,
    password_file: Annotated[Path | None, typer.Option(help="File with the password; asked for if left out.")] = None,
    json: Json = False,
) -> None:
    """Add an officer. The password is read from a file or asked for, never taken from the command line."""
    if password_file is None:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        try:
            password = password_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise fail("the password file cannot be read", Exit.USAGE) from None
    with opened() as vault, vault.unit() as uow:
        made = officers.add(uow, officer_id, role, password, OPERATOR)
        uow.commit()
    Output(json=json).result({"id": made.id, "role": made.role}, f"Officer {made.id} is added as {made.role}.")
