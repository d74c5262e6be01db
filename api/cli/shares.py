"""The command of the key ceremony: draw the secret of a deployment's roots and show it once, as shares."""

from typing import Annotated

import typer

from api import roots
from api.cli.output import Json, Output
from api.settings import InvalidSettings, load


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("shares")(shares)


def shares(
    *,
    needed: Annotated[int, typer.Option(help="How many shares it takes to unseal; 2 or more.")],
    total: Annotated[int, typer.Option(help="How many there are; 16 or fewer.")],
    json: Json = False,
) -> None:
    """Draw the secret that opens the roots, and print its shares, one a line. They are shown this once, stored nowhere."""
    settings = load()
    if settings.root_provider != "shamir":
        raise InvalidSettings(("root_provider: shares open roots of `shamir` alone",))
    try:
        dealt = roots.deal_shares(settings, needed, total)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    Output(json=json).result({"needed": needed, "total": total, "shares": list(dealt)}, "\n".join(dealt))
