"""Commands that close the vault and open it again while it runs: seal, unseal.

Sealing acts first and is logged after: it must work on a day when the database does not. Unsealing is logged first: no
entry, no key. Passphrases and shares are read from files or standard input, never from the command line, and are in no
entry, message or log line.
"""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from api import bootstrap, roots
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output, fail, told
from api.settings import Settings, load
from audit.entry import Act, Entry, Outcome
from vault.errors import Conflict, Sealed, VaultError
from vault.keys.keyd.client import KeydClient
from vault.keys.keyd.holder import MAX_SECRET
from vault.keys.keyd.wire import Progress
from vault.keys.private_file import read_private
from vault.keys.service import KeyState
from vault.unit import Vault


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("seal")(seal)
    app.command("unseal")(unseal)


def seal(*, json: Json = False) -> None:
    """Close the vault at once, and keep it closed across restarts until it is unsealed."""
    settings = load()
    if settings.keyd_socket is None:
        roots.seal_mark(settings).set()
        text = "Sealed: serving processes close their keys within a second."
    else:
        with closing(KeydClient(settings.keyd_socket, settings.deployment)) as holder:
            holder.seal_vault()
        text = "Sealed: the key holder has forgotten its keys."
    try:
        vault = bootstrap.open_to_serve(settings)
        try:
            _record(vault, Entry(Act.KEYS_SEALED, Outcome.ALLOW, OPERATOR))
        finally:
            vault.close()
    except VaultError as error:
        raise fail(f"sealed, but the log could not be told: {told(error)}", Exit.UNAVAILABLE) from None
    Output(json=json).result({"state": KeyState.SEALED}, text)


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
        if settings.keyd_socket is None:
            _unseal_own(settings, vault)
            progress = Progress(KeyState.UNSEALED, 0, 0, 0)
        else:
            with closing(KeydClient(settings.keyd_socket, settings.deployment)) as holder:
                progress = _unseal_holder(holder, vault, secret_file)
    finally:
        vault.close()
    document = {"state": progress.state, "given": progress.given, "needed": progress.needed, "total": progress.total}
    if progress.state is KeyState.UNSEALED:
        Output(json=json).result(document, "Unsealed.")
    else:
        Output(json=json).result(document, f"{progress.given} of {progress.needed} shares given. Still sealed.")


def _unseal_own(settings: Settings, vault: Vault) -> None:
    """Try the root here, and take the mark away: serving processes then open their own."""
    try:
        bootstrap.open_keys(settings, vault).close()
    except Sealed as error:
        _record(vault, Entry(Act.KEYS_UNSEALED, Outcome.DENY, OPERATOR))
        raise fail(told(error)) from None
    _record(vault, Entry(Act.KEYS_UNSEALED, Outcome.ALLOW, OPERATOR))
    roots.seal_mark(settings).clear()


def _unseal_holder(holder: KeydClient, vault: Vault, secret_file: Path | None) -> Progress:
    before = holder.progress()
    if before.state is KeyState.UNSEALED:
        return before
    secret = _secret(secret_file) if before.needed else b""
    # Before the offer, as it may be the one that opens.
    _record(vault, Entry(Act.KEYS_SECRET_OFFERED, Outcome.ALLOW, OPERATOR, n=before.given + 1))
    try:
        progress = holder.offer(secret)
    except Conflict as error:
        raise fail(told(error), Exit.UNAVAILABLE) from None
    except Sealed as error:
        _record(vault, Entry(Act.KEYS_UNSEALED, Outcome.DENY, OPERATOR))
        raise fail(f"{told(error)}; nothing given so far is kept") from None
    if progress.state is KeyState.UNSEALED:
        _record(vault, Entry(Act.KEYS_UNSEALED, Outcome.ALLOW, OPERATOR))
    return progress


def _secret(path: Path | None) -> bytes:
    if path is not None:
        return read_private(path, MAX_SECRET).strip()
    if sys.stdin.isatty():
        return str(typer.prompt("Passphrase or share", hide_input=True)).encode()
    return sys.stdin.buffer.read(MAX_SECRET + 1).strip()


def _record(vault: Vault, entry: Entry) -> None:
    with vault.unit() as uow:
        uow.record(entry)
        uow.commit()
