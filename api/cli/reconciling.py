"""The command that holds what the key holder counted against what the log explains."""

from pathlib import Path
from typing import Annotated

import typer

from api import bootstrap
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output, fail, told, warn
from api.settings import load
from audit.errors import CannotDecide
from vault import evidence


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile")(reconcile)


def reconcile(
    lines: Annotated[Path, typer.Argument(help="Log lines of the key holder (`ecrin keyd`), one JSON object a line.")],
    *,
    json: Json = False,
) -> None:
    """Hold the keys that the holder opened, by its own count, against those that the log explains, hour by hour.

    What came of it is an entry of the log, and the review of anomalies shows it. Exits 0 if no hour stands out, 1 if one does, 2 if the file has no line of the holder.
    Hours whose entries were pruned are left out, and counted on standard error.
    """
    vault = bootstrap.open_from(load())
    try:
        with lines.open(encoding="utf-8", errors="replace") as file:
            done = evidence.reconciled(vault, file, OPERATOR)
    except OSError:
        raise fail("the lines cannot be read", Exit.USAGE) from None
    except CannotDecide as error:
        raise fail(told(error), Exit.USAGE) from None
    finally:
        vault.close()
    output = Output(json=json)
    if done.untold:
        warn(f"of {len(done.untold)} hours up to {done.untold[-1]} nothing can be said: their entries were pruned.")
    rows = [
        {
            "hour": each.hour,
            "opened": each.opened,
            "refused": each.refused,
            "explained": each.explained,
            "difference": each.difference,
            "unusual": each.hour in done.unusual,
        }
        for each in done.hours
    ]
    output.rows("hours", ("hour", "opened", "refused", "explained", "difference", "unusual"), rows)
    if done.unusual:
        raise typer.Exit(Exit.FAILED)
