"""Commands that renew keys while people are served: rekey, reseal, grow. Each says how far it is, and may be stopped."""

import sys
from typing import Annotated

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail
from api.keepers import keeper_of
from api.settings import load
from audit.entry import Act, Entry, Outcome
from vault.rotation.rekeying import rekey_all
from vault.rotation.resealing import reseal_all
from vault.unit import Vault


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("rekey")(rekey)
    app.command("reseal")(reseal)
    app.command("grow")(grow)


def rekey(
    *,
    last: Annotated[
        int | None, typer.Option("--continue", help="Carry on the job of this number, as it was printed.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask. A job that is continued is not asked about again.")
    ] = False,
    json: Json = False,
) -> None:
    """Move every compartment to a fresh leaf key; the old ones die with the next epoch.

    Older backups of the data then hold nothing that opens: back up when the job is done.
    """
    if last is None and not yes:
        agreed = (
            not json
            and sys.stdin.isatty()
            and typer.confirm(
                "From the next epoch on no older backup of the data opens. Move every compartment?", err=True
            )
        )
        if not agreed:
            raise fail("nothing was moved; give --yes if older backups of the data may die", Exit.USAGE)
    with opened() as vault:
        job = rekey_all(vault, last)
        progress = next(job)
        _record(vault, Act.KEYS_REKEYED, progress.left)
        _tell(f"job {progress.last}: {progress.left} compartments", json=json)
        for progress in job:
            _tell(f"{progress.done} done, {progress.left} left", json=json)
    document = {"job": progress.last, "done": progress.done, "left": progress.left}
    Output(json=json).result(document, f"{progress.done} compartments have a fresh leaf key. Now back up the data.")


def reseal(*, json: Json = False) -> None:
    """Seal anew, in today's format, every value that an earlier release sealed."""
    with opened() as vault:
        job = reseal_all(vault)
        progress = next(job)
        if progress.left:
            _record(vault, Act.KEYS_RESEALED, progress.left)
        for progress in job:
            _tell(f"{progress.done} done, {progress.left} left", json=json)
    text = f"{progress.done} values are sealed anew."
    text += f" {progress.failed} did not open and are as they were." if progress.failed else ""
    Output(json=json).result({"done": progress.done, "failed": progress.failed, "left": progress.left}, text)


def grow(*, trees: Annotated[int, typer.Option(min=1, max=64, help="How many trees.")] = 1, json: Json = False) -> None:
    """Add trees of fresh leaf keys, before they run out."""
    with opened() as vault:
        leaves = keeper_of(load()).grow(trees)
        _record(vault, Act.KEYS_GROWN, trees)
    Output(json=json).result({"leaves": leaves}, f"There are {leaves} leaf keys now.")


def _tell(text: str, *, json: bool) -> None:
    """Say how far it is, on standard error; on a terminal in one line that is written over."""
    if not json:
        sys.stderr.write(f"{text:<60}\r" if sys.stderr.isatty() else f"{text}\n")


def _record(vault: Vault, act: Act, count: int) -> None:
    with vault.unit() as uow:
        uow.record(Entry(act, Outcome.ALLOW, OPERATOR, n=count))
        uow.commit()
