"""Commands that close the vault and open it again while it runs: seal, unseal (`api.closing`).

Passphrases and shares are read from files or standard input, never from the command line.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from api import bootstrap, closing
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output, fail, told
from api.settings import load
from vault.errors import Conflict, Sealed, VaultError
from vault.keys.keyd.holder import MAX_SECRET
from vault.keys.keyd.wire import Progress
from vault.keys.private_file import read_private
from vault.keys.service import KeyState


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("seal")(seal)
    app.command("unseal")(unseal)


def seal(*, json: Json = False) -> None:
    """Close the vault at once, and keep it closed across restarts until it is unsealed."""
    settings = load()
    closing.seal(settings)
    own = settings.keyd_socket is None
    text = "serving processes close their keys within a second" if own else "the key holder has forgotten its keys"
    try:
        vault = bootstrap.open_to_serve(settings)
        try:
            closing.record_seal(vault, OPERATOR)
        finally:
            vault.close()
    except VaultError as error:
        raise fail(f"sealed, but the log could not be told: {told(error)}", Exit.UNAVAILABLE) from None
    Output(json=json).result({"state": KeyState.SEALED}, f"Sealed: {text}.")


def unseal(
    *,
    secret_file: Annotated[
        Path | None, typer.Option(help="File (mode 0600) with one passphrase or share; else standard input.")
    ] = None,
    json: Json = False,
) -> None:
    """Open the vault again. Where shares are needed, each call gives one; the last one opens."""
    settings = load()
    vault = bootstrap.open_to_serve(settings)
    try:
        asks = settings.keyd_socket is not None and _asks(closing.standing(settings))
        progress = closing.unseal(settings, vault, OPERATOR, _secret(secret_file) if asks else b"")
    except Conflict as error:
        raise fail(told(error), Exit.UNAVAILABLE) from None
    except Sealed as error:
        raise fail(told(error) + ("; nothing given so far is kept" if settings.keyd_socket else "")) from None
    finally:
        vault.close()
    document = {"state": progress.state, "given": progress.given, "needed": progress.needed, "total": progress.total}
    if progress.state is KeyState.UNSEALED:
        Output(json=json).result(document, "Unsealed.")
    else:
        Output(json=json).result(document, f"{progress.given} of {progress.needed} shares given. Still sealed.")


def _asks(progress: Progress) -> bool:
    """Whether somebody has to bring a secret now."""
    return progress.state is KeyState.SEALED and progress.needed > 0


def _secret(path: Path | None) -> bytes:
    if path is not None:
        return read_private(path, MAX_SECRET).strip()
    if sys.stdin.isatty():
        return str(typer.prompt("Passphrase or share", hide_input=True)).encode()
    return sys.stdin.buffer.read(MAX_SECRET + 1).strip()
