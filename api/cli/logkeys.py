"""Commands on the keys that sign the audit log: show them, bring in a new one."""

from pathlib import Path
from typing import Annotated, Final

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail, moment, told
from vault import keystatements, logkeys
from vault.errors import Conflict
from vault.unit import Vault

DAYS: Final = 30


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("keys")(keys)
    app.command("rotate")(rotate)


def keys(
    *,
    statements: Annotated[
        Path | None,
        typer.Option(help="Folder for the log's own statement of each change: for readers who were given another key."),
    ] = None,
    json: Json = False,
) -> None:
    """Show every key that has signed the log, newest first, to hand round by another way than the log's own."""
    with opened() as vault:
        found = [(shard, each) for shard in range(vault.shards) for each in logkeys.shown(vault, shard)]
        if statements is not None:
            _write(vault, statements)
    rows = [
        {
            "key": each.key.vkey,
            "shard": shard,
            "since": "" if each.since is None else moment(each.since),
            "until": "" if each.until is None else moment(each.until),
            "signs": each.in_use,
        }
        for shard, each in found
    ]
    Output(json=json).rows("keys", ("key", "shard", "since", "until", "signs"), rows)


def _write(vault: Vault, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for shard in range(vault.shards):
            with vault.reading() as conn:
                made = keystatements.statements(vault, conn, shard)
            for index, text in made:
                (folder / f"keychange-{shard}-{index}.tlog-proof").write_text(text, "utf-8")
    except OSError:
        raise fail("the folder cannot be written", Exit.UNAVAILABLE) from None


def rotate(
    *,
    days: Annotated[
        int, typer.Option(help="For how many days the key before goes on signing too.", min=logkeys.LEAST_DAYS)
    ] = DAYS,
    json: Json = False,
) -> None:
    """Bring in a new key for the log; every checkpoint carries both signatures for a while, then the one before ends.

    Give the new key to witnesses and readers in that time. Running processes take it up with their next checkpoint.
    """
    with opened() as vault:
        try:
            generation = logkeys.rotate(vault, days, OPERATOR)
        except Conflict as error:
            raise fail(told(error), Exit.FAILED) from None
        new, *rest = logkeys.shown(vault)
    until = rest[0].until
    text = [f"{new.key.vkey} signs from the next checkpoint on."]
    if until is not None:
        text.append(
            f"The key before signs too until {moment(until)}: give the new one to witnesses and readers by then."
        )
    document = {"key": new.key.vkey, "generation": generation, "before": rest[0].key.vkey, "until": until}
    Output(json=json).result(document, "\n".join(text))
