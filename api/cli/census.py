"""The census at the command line: count now who shares which generalised value, and say how it went."""

import typer

from api.cli.opened import opened
from api.cli.output import Exit, Json, Output, fail
from audit.findings import how_many
from policies.crowds import LEAST_GROUP
from vault import census as counting


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("census")(census)


def census(*, json: Json = False) -> None:
    """Count now who shares which generalised value. Serving processes do so by themselves, beside the requests."""
    with opened() as vault:
        counted = counting.count(vault, lambda _: False)
        if counted is None:
            raise fail("another process is counting", Exit.UNAVAILABLE)
        counting.take_up(vault)
        number, groups = vault.crowds.number, len(vault.crowds)
    document = {"number": number, "groups": groups, "least_group": LEAST_GROUP, "unreadable": counted.unreadable}
    damaged = f" {how_many(counted.unreadable, 'value')} cannot be read." if counted.unreadable else ""
    Output(json=json).result(
        document,
        f"{how_many(groups, 'group')} of at least {LEAST_GROUP} people {'shares' if groups == 1 else 'share'} a value.{damaged}",
    )
