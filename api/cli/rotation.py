"""Commands that renew keys while people are served: rekey, reseal, grow. Each says how far it is, and may be stopped."""

import sys
from typing import Annotated, Final

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail
from api.keepers import keeper_of
from api.settings import load
from audit.entry import Act, Entry, Outcome
from audit.findings import how_many
from vault import leftleaves
from vault.rotation.rekeying import rekey_all
from vault.rotation.resealing import reseal_all
from vault.unit import Vault

_MOVED: Final = {
    "compartments": ("compartment",),
    "log_keys": ("log key",),
    "requests": ("request",),
    "emergencies": ("emergency", "emergencies"),
    "lists": ("list",),
}


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
    release: Annotated[
        bool,
        typer.Option(
            "--unsafe-release",
            help="Move nothing: give up what was left behind, whatever backups of the data there are.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Move everything that is sealed of people to fresh leaf keys. The old ones die with the epoch after the next backup.

    From then on older backups of the data hold nothing that opens: `ecrin backup data` when the job is done.
    """
    if release:
        _release(json=json)
        return
    if last is None and not yes:
        agreed = (
            not json
            and sys.stdin.isatty()
            and typer.confirm("Once a newer backup of the data exists, no older one opens. Move everything?", err=True)
        )
        if not agreed:
            raise fail("nothing was moved; give --yes if older backups of the data may die", Exit.USAGE)
    with opened() as vault:
        job = rekey_all(vault, last)
        progress = next(job)
        _record(vault, Act.KEYS_REKEYED, progress.left)
        _tell(f"job {progress.last}: {how_many(progress.left, 'leaf key')} to be replaced", json=json)
        for progress in job:
            _tell(f"{progress.done} done, {progress.left} left", json=json)
    moved = {
        "compartments": progress.compartments,
        "log_keys": progress.log_keys,
        "requests": progress.requests,
        "emergencies": progress.emergencies,
        "lists": progress.lists,
    }
    told = ", ".join(how_many(moved[name], *nouns) for name, nouns in _MOVED.items())
    text = f"On fresh leaf keys: {told}."
    text += f" Left where they are: {progress.left}; continue later." if progress.left else ""
    text += " Now `ecrin backup data`: the old leaf keys wait for it."
    Output(json=json).result({"job": progress.last, "done": progress.done, "left": progress.left, **moved}, text)


def _release(*, json: bool) -> None:
    with opened() as vault, vault.unit() as uow:
        count = leftleaves.waiting(uow.conn)
        leftleaves.saved(uow, leftleaves.number(uow.conn))
        uow.record(Entry(Act.KEYS_REKEYED, Outcome.ALLOW, OPERATOR, pol=("rekey.released",), n=count))
        uow.commit()
    Output(json=json).result(
        {"released": count},
        f"{how_many(count, 'leaf key waits', 'leaf keys wait')} for no backup any more: the next epoch ends {'it' if count == 1 else 'them'}, and every older backup too.",
    )


def reseal(*, json: Json = False) -> None:
    """Seal anew, in today's format, every value that an earlier release sealed."""
    with opened() as vault:
        job = reseal_all(vault)
        progress = next(job)
        if progress.left:
            _record(vault, Act.KEYS_RESEALED, progress.left)
        for progress in job:
            _tell(f"{progress.done} done, {progress.left} left", json=json)
    text = f"{how_many(progress.done, 'value is', 'values are')} sealed anew."
    text += (
        f" {how_many(progress.failed, 'did not open and is as it was', 'did not open and are as they were')}."
        if progress.failed
        else ""
    )
    Output(json=json).result({"done": progress.done, "failed": progress.failed, "left": progress.left}, text)


def grow(*, trees: Annotated[int, typer.Option(min=1, max=64, help="How many trees.")] = 1, json: Json = False) -> None:
    """Add trees of fresh leaf keys, before they run out."""
    with opened() as vault:
        leaves = keeper_of(load()).grow(trees)
        _record(vault, Act.KEYS_GROWN, trees)
    Output(json=json).result({"leaves": leaves}, f"There are {how_many(leaves, 'leaf key')} now.")


def _tell(text: str, *, json: bool) -> None:
    """Say how far it is, on standard error; on a terminal in one line that is written over."""
    if not json:
        sys.stderr.write(f"{text:<60}\r" if sys.stderr.isatty() else f"{text}\n")


def _record(vault: Vault, act: Act, count: int) -> None:
    with vault.unit() as uow:
        uow.record(Entry(act, Outcome.ALLOW, OPERATOR, n=count))
        uow.commit()
