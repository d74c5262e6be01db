"""The command that becomes the key holder process (`api.keyholder`)."""

import os
import sys
from typing import Annotated

import typer


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("keyd")(keyd)


def keyd(
    *,
    init: Annotated[bool, typer.Option(help="Make root key and keystore if they are not there, and end.")] = False,
    listen_fd: Annotated[
        int | None, typer.Option(help="A listening socket inherited, such as 3 from systemd; made if left out.")
    ] = None,
) -> None:
    """Hold the keys for the other processes of this host, on the socket of ECRIN_KEYD_SOCKET, until stopped."""
    options = (["--init"] if init else []) + ([] if listen_fd is None else ["--listen-fd", str(listen_fd)])
    # In the place of this process, which has loaded a web server that the holder must not carry about.
    os.execv(sys.executable, [sys.executable, "-m", "api.keyholder", *options])  # noqa: S606 - ourselves
