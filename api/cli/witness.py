"""The command that runs a witness of other people's logs (`api.witnessd`)."""

from pathlib import Path
from time import monotonic
from typing import Annotated, Final

import typer
import uvicorn

from api.cli.output import Exit, Json, Output, fail, told
from api.listening import GRACE_SECONDS, BoundedHttp
from api.witnessd import Allowance, create_witness_app, open_witness
from audit.errors import PinUnavailable, VerificationError
from audit.note import parse_vkey
from vault.errors import Conflict, VaultError
from vault.runtime import SystemClock, SystemEntropy

PER_MINUTE: Final = 600


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("witness")(witness)


def witness(
    folder: Annotated[
        Path, typer.Argument(help="Its own folder: key and states. Back it up, never bring back an old one.")
    ],
    *,
    name: Annotated[str, typer.Option(help="Name on its cosignatures, such as witness.sister.example.")],
    log: Annotated[list[str], typer.Option(help="Verifier key of a log that it watches. Repeat.")],
    host: Annotated[str, typer.Option(help="Address to bind; end TLS in front of it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to bind.", min=1, max=65535)] = 8430,
    per_minute: Annotated[
        int, typer.Option(help="Submissions a minute that it looks at; more are told to wait.", min=1)
    ] = PER_MINUTE,
    key: Annotated[bool, typer.Option("--key", help="Print its verifier key, and end.")] = False,
    json: Json = False,
) -> None:
    """Watch logs for others: cosign a checkpoint that extends the one before, and nothing else, until stopped."""
    try:
        opened = open_witness(
            folder, name, [parse_vkey(each) for each in log], clock=SystemClock(), entropy=SystemEntropy()
        )
        text = opened.key.vkey
    except VerificationError as error:
        raise fail(told(error), Exit.USAGE) from None
    except (Conflict, PinUnavailable) as error:
        raise fail(told(error)) from None
    except VaultError as error:
        raise fail(told(error), Exit.UNSAFE) from None
    Output(json=json).result({"key": text}, text)
    if key:
        return
    uvicorn.run(
        create_witness_app(opened, Allowance(per_minute, monotonic)),
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        http=BoundedHttp,
        ws="none",
    )
