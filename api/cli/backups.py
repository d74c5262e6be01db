"""Commands for the worst day, and for the days before: backup, restore, drill."""

import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from api import bootstrap, keepers
from api.cli import restoring
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output
from api.cli.restoring import SecretFiles, root, show, url_of
from api.settings import load
from audit.findings import how_many
from vault.keys.home import open_store
from vault.recovery import backups, drills, keystores, manifest, reindex
from vault.recovery.drills import Drilled
from vault.runtime import SystemClock, SystemEntropy

backup = typer.Typer(help="Backups: of the data, of the keystore.", no_args_is_help=True)
search = typer.Typer(help="The search index: rebuild.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(backup, name="backup")
    app.add_typer(search, name="search")
    app.command("restore")(restoring.restore)
    app.command("drill")(drill)


@search.callback()
def _group() -> None:
    """Keep `rebuild` a subcommand although it is the only one."""


@backup.command()
def data(
    *, to: Annotated[Path, typer.Option(help="File to write, with a manifest beside it.")], json: Json = False
) -> None:
    """Back up the database while it serves: of one moment, read back, whole or not there. Needs no key."""
    settings = load()
    with closing(bootstrap.open_to_serve(settings)) as vault:
        told = backups.back_up(vault, url_of(settings), to, OPERATOR, lambda done, of: show("copying", done, of))
    entries = sum(log.size for log in told.log)
    Output(json=json).result(
        {"file": str(to), **asdict(told)},
        f"{to}: {how_many(told.size, 'byte')}, {how_many(entries, 'log entry', 'log entries')}, schema {told.schema}, verified.",
    )


@backup.command()
def keystore(
    *,
    to: Annotated[Path, typer.Option(help="File to write, or a folder that keeps one copy up to date.")],
    secret_file: SecretFiles = None,
    json: Json = False,
) -> None:
    """Copy the keystore, and open the copy through the root. It is of use until the epoch ends."""
    settings = load()
    bootstrap.refuse_sealed(settings)
    with closing(open_store(settings.keystore)) as store:
        copied = keystores.back_up(store, root(settings, secret_file), to, clock=SystemClock(), entropy=SystemEntropy())
    Output(json=json).result(
        {**asdict(copied), "file": str(copied.file)},
        f"{copied.file}: keystore of epoch {copied.epoch}, {how_many(copied.pages, 'page')}, verified.",
    )


def drill(
    *,
    data: Annotated[Path, typer.Option(help="Data backup, or the folder with them: the newest is taken.")],
    keystore: Annotated[
        Path | None, typer.Option(help="Copy of the keystore, or its folder; one is made now if left out.")
    ] = None,
    scratch: Annotated[
        Path | None, typer.Option(help="Folder for what is thrown away again. Default: the data folder.")
    ] = None,
    secret_file: SecretFiles = None,
    json: Json = False,
) -> None:
    """Restore the newest backup into a scratch place, prove that survivors are identical and the erased unreadable."""
    settings = load()
    file = manifest.newest(data, settings.deployment) if data.is_dir() else data
    entropy, provider = SystemEntropy(), root(settings, secret_file)
    with (
        _stoppable(),
        closing(bootstrap.open_from(settings)) as vault,
        tempfile.TemporaryDirectory(prefix="drill-", dir=scratch or settings.data_dir) as folder,
    ):
        copy = Path(folder) / "keystore.db"
        if keystore is None:
            with closing(open_store(settings.keystore)) as store:
                keystores.back_up(store, provider, copy, clock=SystemClock(), entropy=entropy)
        else:
            keystores.bring_back(
                keystores.newest_of(keystore), copy, provider, settings.deployment, None, entropy=entropy
            )
        found = drills.drill(
            vault, url_of(settings), file, copy, provider, Path(folder), settings.checkpoint_file, OPERATOR,
            keepers.keeper_of(settings).history, show,
        )  # fmt: skip
    _report(file, found, json=json)
    if not found.holds:
        raise typer.Exit(Exit.FAILED)


@search.command()
def rebuild(*, json: Json = False) -> None:
    """Make every search token anew from the values, while the vault serves."""
    with closing(bootstrap.open_from(load())) as vault:
        made = reindex.rebuild(vault)
    Output(json=json).result({"tokens": made}, f"{how_many(made, 'search token')} made.")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let a termination end the drill as an interrupt does, so that it cleans up behind itself."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _report(file: Path, found: Drilled, *, json: bool) -> None:
    values = found.values
    document: Mapping[str, Any] = {
        "holds": found.holds,
        "backup": str(file),
        "created_at": found.backup.created_at,
        "sha256": found.backup.sha256,
        "keystore_epoch": found.keystore_epoch,
        "values": asdict(values),
        "destroyed_leaves": found.destroyed,
        "revived_leaves": found.revived,
        "left_leaves": found.left,
        "unfindable_tokens": found.unfindable,
        **restoring.told(found.restored),
    }
    output = Output(json=json)
    if json:
        output.result(document, "")
        return
    rows = [
        ("values that are identical", values.identical, ""),
        ("values that open, superseded since", values.superseded, ""),
        ("values of the erased, unreadable", values.unreadable, ""),
        ("values re-keyed since: newer backups have them", values.outdated, ""),
        ("values that differ", values.different, _verdict(values.different)),
        ("values that are lost", values.lost, _verdict(values.lost)),
        ("values of the erased that open", values.leaked, _verdict(values.leaked)),
        ("destroyed leaves refused", found.destroyed - found.revived, _verdict(found.revived)),
        ("people erased again", found.restored.carried.subjects, ""),
        ("leaves of the erased left in rows", found.left, _verdict(found.left)),
        ("search tokens made anew", found.restored.indexed, ""),
        ("search tokens that find nobody", found.unfindable, _verdict(found.unfindable)),
    ]
    output.rows("drill", ("what", "count", "result"), [{"what": w, "count": c, "result": r} for w, c, r in rows])
    verdict = "holds" if found.holds else "DOES NOT HOLD"
    output.result({}, f"{file.name} with the keystore of epoch {found.keystore_epoch}: {verdict}.")


def _verdict(count: int) -> str:
    return "FAILED" if count else "ok"
