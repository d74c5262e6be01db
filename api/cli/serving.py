"""Commands of the application: serve, openapi."""

import json
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from api.app import create_app
from api.cli.output import Exit, fail
from api.cli.worker import served
from api.listening import GRACE_SECONDS, BoundedHttp
from api.settings import Settings, load

STARTUP_FAILED = 3  # the exit code with which uvicorn gives up
START_SECONDS = 30  # a worker that says nothing for longer is taken for hung: loading alone takes ten on a busy machine


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(serve)
    app.command("openapi")(openapi)


def serve() -> None:
    """Serve the API until stopped. Settings come from the environment only."""
    run_server(load())


def run_server(settings: Settings) -> None:
    """Run uvicorn in this process, or its workers in processes of their own."""
    target = served(settings) if settings.workers == 1 else "api.cli.worker:application"
    try:
        uvicorn.run(
            target,
            factory=settings.workers > 1,
            workers=settings.workers,
            host=settings.host,
            port=settings.port,
            access_log=False,  # its lines hold paths; ours hold route templates
            log_config=None,
            server_header=False,
            date_header=False,
            proxy_headers=False,  # api.middleware.forwarded does it, and remembers who the peer was
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_worker_healthcheck=START_SECONDS,
            http=BoundedHttp,
            loop="uvloop",
            ws="none",
        )
    except SystemExit as ended:
        if ended.code == STARTUP_FAILED:
            raise fail("the service did not start; the log says why", Exit.UNAVAILABLE) from None
        raise


def openapi(
    path: Annotated[Path | None, typer.Argument(help="File to write; standard output if left out.")] = None,
) -> None:
    """Write the OpenAPI document of this release."""
    text = json.dumps(create_app(load({"data_dir": "data"})).openapi(), indent=2, sort_keys=True) + "\n"
    if path is None:
        typer.echo(text, nl=False)
        return
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise fail(f"cannot write the document: {error.strerror}", Exit.USAGE) from None
