"""How an officer stands for a command: by id and password, read from a file or asked for, never an argument."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.output import Exit, fail
from vault import officers
from vault.errors import NotAllowed
from vault.officers import OfficerRecord
from vault.unit import Vault

OfficerId = Annotated[str, typer.Option("--officer", help="The officer who does this.")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="File with the password; asked for if left out.")
]


def signing(vault: Vault, officer_id: str, password_file: Path | None) -> OfficerRecord:
    """Return the officer, whose password was given. Raises `NotAllowed`."""
    if password_file is None:
        password = typer.prompt("Password", hide_input=True)
    else:
        try:
            password = password_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise fail("the password file cannot be read", Exit.USAGE) from None
    with vault.reading() as conn:
        if not officers.password_fits(conn, officer_id, password):
            raise NotAllowed
        officer = officers.get(conn, officer_id)
    if officer is None:
        raise NotAllowed
    return officer
