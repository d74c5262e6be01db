"""Commands on consents: end those whose time is over. Names nobody."""

from typing import Annotated

import typer

from api.cli.opened import opened
from api.cli.output import Json, Output
from vault import consentterms

group = typer.Typer(help="Consents: end those whose time is over.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="consent")


@group.callback()
def _group() -> None:
    """Keep `expire` a command of its own, though it is the only one."""


@group.command()
def expire(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and record nothing.")] = False,
    json: Json = False,
) -> None:
    """Put on record what is over: terms, consents to older words, prospects' silence, guardians' word at majority.

    What has been on the suppression list for as long as the law says leaves it.
    The service does the same each hour. Nothing depends on it for a refusal.
    """
    with opened() as vault:
        swept = consentterms.sweep(vault, dry_run=dry_run)
    document = {
        "dry_run": dry_run,
        "ended": dict(swept.ended),
        "come_of_age": swept.matured,
        "unlisted": swept.unlisted,
    }
    causes = ", ".join(f"{count} by {cause}" for cause, count in sorted(swept.ended.items())) or "none"
    done = "would end" if dry_run else "ended"
    Output(json=json).result(
        document,
        f"Consents that {done}: {causes}. Come of age: {swept.matured}. Off the list of those not to be solicited: {swept.unlisted}.",
    )
