"""Commands on officers, the people who log in."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail
from api.cli.signing import Officer, key_file
from api.settings import load
from vault import officers
from vault.governance import desk, officerkeys
from vault.governance.desk import Elsewhere
from vault.officers import Role
from vault.signin import invitations

group = typer.Typer(help="Officers: the people who log in.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="officer")


Id = Annotated[str, typer.Argument(help="The login name.")]


@group.command()
def add(
    officer_id: Id,
    role: Annotated[Role, typer.Option(help="What the officer may do.")],
    *,
    password_file: Annotated[Path | None, typer.Option(help="File with the password; asked for if left out.")] = None,
    public_key: Annotated[Path | None, typer.Option(help="File with the officer's public key, PEM or DER.")] = None,
    json: Json = False,
) -> None:
    """Add an officer. The password is read from a file or asked for, never taken from the command line."""
    key = None if public_key is None else officerkeys.read_public(key_file(public_key))
    if password_file is None:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        try:
            password = password_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise fail("the password file cannot be read", Exit.USAGE) from None
    with opened() as vault, vault.unit() as uow:
        made = officers.add(uow, officer_id, role, password, OPERATOR)
        if key is not None:
            officerkeys.register(uow, officer_id, key, OPERATOR)
        uow.commit()
    document = {"id": made.id, "role": made.role}
    document |= {} if key is None else {"key": officerkeys.fingerprint_of(key)}
    Output(json=json).result(document, f"Officer {made.id} is added as {made.role}.")


@group.command("key")
def key_(
    officer_id: Id,
    public_key: Annotated[Path, typer.Argument(help="File with the new public key, PEM or DER.")],
    *,
    json: Json = False,
) -> None:
    """Give an officer a key to sign with, in place of the one before. Private keys are refused."""
    key = officerkeys.read_public(key_file(public_key))
    with opened() as vault, vault.unit() as uow:
        fingerprint = officerkeys.register(uow, officer_id, key, OPERATOR)
        uow.commit()
    Output(json=json).result({"id": officer_id, "key": fingerprint}, f"Officer {officer_id} signs with {fingerprint}.")


@group.command()
def invite(officer_id: Id, *, json: Json = False) -> None:
    """Make a set-up code with which an officer chooses how to sign in to the console. Hand it over in person."""
    with opened() as vault, vault.unit() as uow:
        code = invitations.invite(uow, officer_id, OPERATOR)
        uow.commit()
    # Behind the #, which browsers keep to themselves: the code is in no server's log.
    link = f"{load().console_url}/console/set-up#{code}"
    text = f"Set-up code of {officer_id}, good once and for a day: {code}\n{link}"
    Output(json=json).result({"id": officer_id, "code": code, "link": link}, text)


@group.command()
def message(
    act: Annotated[Elsewhere, typer.Argument(help="The act to sign.")],
    on: Annotated[str, typer.Argument(help="The id of the join, the raise, the case or the system.")],
    officer: Officer,
) -> None:
    """Print the text that a signature made elsewhere covers. It ends with a line break, which is signed too."""
    with opened() as vault, vault.reading() as conn:
        text = desk.text(vault, conn, act, on, officer)
    typer.echo(text.decode(), nl=False)


@group.command("list")
def list_(*, json: Json = False) -> None:
    """List all officers."""
    with opened() as vault, vault.reading() as conn:
        rows = [{"id": each.id, "role": each.role, "status": each.status} for each in officers.listed(conn)]
    Output(json=json).rows("officers", ("id", "role", "status"), rows)


@group.command()
def disable(officer_id: Id, *, json: Json = False) -> None:
    """Forbid an officer to act. What they signed before stays signed."""
    with opened() as vault, vault.unit() as uow:
        disabled = officers.disable(uow, officer_id, OPERATOR)
        uow.commit()
    Output(json=json).result({"id": disabled.id, "status": disabled.status}, f"Officer {disabled.id} is disabled.")
