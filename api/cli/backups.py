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
from rich.console import Console

from api import bootstrap, keepers, roots
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output, fail
from api.settings import Settings, load
from audit.findings import how_many
from vault import evidence
from vault.keys.home import open_store
from vault.keys.keyd.holder import MAX_SECRET
from vault.keys.private_file import read_private
from vault.keys.provider import DestroyingProvider
from vault.recovery import backups, drills, keystores, manifest, newer, reindex, restores
from vault.recovery.drills import Drilled
from vault.recovery.restores import Restored
from vault.runtime import SystemClock, SystemEntropy
from vault.unit import Vault

SecretFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--secret-file",
        help="Where people hold what opens the root: a file with one passphrase or share each; else standard input, one a line.",
    ),
]

backup = typer.Typer(help="Backups: of the data, of the keystore.", no_args_is_help=True)
search = typer.Typer(help="The search index: rebuild.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(backup, name="backup")
    app.add_typer(search, name="search")
    app.command("restore")(restore)
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
        told = backups.back_up(vault, _url(settings), to, OPERATOR, lambda done, of: _show("copying", done, of))
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
    with closing(open_store(settings.keystore)) as store:
        copied = keystores.back_up(
            store, _root(settings, secret_file), to, clock=SystemClock(), entropy=SystemEntropy()
        )
    Output(json=json).result(
        {**asdict(copied), "file": str(copied.file)},
        f"{copied.file}: keystore of epoch {copied.epoch}, {how_many(copied.pages, 'page')}, verified.",
    )


def restore(
    *,
    data: Annotated[Path | None, typer.Option(help="Data backup to bring back, its manifest beside it.")] = None,
    keystore: Annotated[
        Path | None, typer.Option(help="Copy of the keystore, or its folder, where the keystore itself is lost.")
    ] = None,
    unsafe_replace: Annotated[
        bool, typer.Option("--unsafe-replace", help="Set aside the database that is there. Stop the service first.")
    ] = False,
    forget_newer: Annotated[
        bool,
        typer.Option("--forget-newer", help="Nothing newer is to come back: let newer backups die. Stop the service."),
    ] = False,
    secret_file: SecretFiles = None,
    json: Json = False,
) -> None:
    """Bring back data with the current keystore, erase again whoever was erased since, and begin the log's successor.

    Without options it goes on where a restore was stopped, or takes over a database that came back by other means.
    """
    settings = load()
    if forget_newer and (data is not None or keystore is not None):
        raise fail("bring back first and look; then forget what is newer", Exit.USAGE)
    if keystore is not None:
        withheld = roots.unsealer_of(settings).needed > 0
        if withheld and data is not None:
            raise fail("bring back the keystore alone, unseal the key holder, then bring back the data", Exit.USAGE)
        url = None if data is not None or _absent(settings) else _url(settings)
        copied = keystores.bring_back(
            keystores.newest_of(keystore), settings.keystore, _root(settings, secret_file), settings.deployment,
            url, entropy=SystemEntropy(),
        )  # fmt: skip
        Console(stderr=True).print(f"The keystore of epoch {copied.epoch} is back.")
        if withheld:  # what people bring opens the root for this moment alone
            text = "Start the key holder and unseal it; then `ecrin restore` looks at the data."
            Output(json=json).result({"restored": False, "keystore_epoch": copied.epoch}, text)
            return
    if data is not None:
        _bring_back(settings, data, replace=unsafe_replace)
        if keystore is not None:
            keystores.skip_given_out(settings.keystore, _url(settings))
    if forget_newer:
        _forget_newer(settings, json=json)
        return
    with _held(settings) as vault:
        if not restores.begin(vault, settings.checkpoint_file, now=vault.clock.now()):
            Output(json=json).result({"restored": False}, "There is nothing to do.")
            return
        done = restores.carry_on(vault, settings.checkpoint_file, OPERATOR, keepers.keeper_of(settings).history, _show)
        evidence.sign_checkpoints(vault, settings.checkpoint_file)
        document = {"restored": True, "origin": vault.origin, **_told(done)}
        text = _said(done, vault)
    Output(json=json).result(document, text)


def _forget_newer(settings: Settings, *, json: bool) -> None:
    newer.alone(_url(settings))
    with _held(settings) as vault:
        count = newer.forget(vault, OPERATOR)
    text = f"{how_many(count, 'leaf that no row names is', 'leaves that no row names are')} given up: the next epoch ends what still opens by that. Backups newer than these data are dead."
    Output(json=json).result({"forgotten": count}, text)


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
    entropy, provider = SystemEntropy(), _root(settings, secret_file)
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
            vault, _url(settings), file, copy, provider, Path(folder), settings.checkpoint_file, OPERATOR,
            keepers.keeper_of(settings).history, _show,
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


def _bring_back(settings: Settings, file: Path, *, replace: bool) -> None:
    status = keepers.keeper_of(settings).status()  # no keystore, no restore: nothing could be read
    entropy = SystemEntropy()
    unique = entropy.bytes(restores.UNIQUE).hex()
    restores.bring_back(
        file, _url(settings), settings.deployment, status.epoch, unique, SystemClock().now(), _show, replace=replace
    )


def _root(settings: Settings, files: list[Path] | None) -> DestroyingProvider:
    """Open the root for this command, with what people bring where it takes that. Raises Sealed."""
    unsealer = roots.unsealer_of(settings)
    if not unsealer.needed:
        return unsealer.provider(())
    given = [read_private(file, MAX_SECRET) for file in files] if files else sys.stdin.buffer.read().split(b"\n")
    secrets = [each.strip() for each in given if each.strip()]
    return unsealer.provider(secrets[: unsealer.needed])


@contextmanager
def _held(settings: Settings) -> Iterator[Vault]:
    """Open the vault that is not to be served yet."""
    vault = bootstrap.open_unadmitted(settings)
    try:
        yield vault
    finally:
        vault.close()


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


def _told(done: Restored) -> dict[str, Any]:
    logs = [
        {
            "origin": each.origin,
            "successor": each.successor,
            "kept": each.kept,
            "signed": None if each.last is None else each.last.size,
            "lost": each.lost,
        }
        for each in done.successions
    ]
    return {"carried": asdict(done.carried), "indexed": done.indexed, "logs": logs}


def _said(done: Restored, vault: Vault) -> str:
    carried = done.carried
    lines = [
        f"Erased again: {how_many(carried.subjects, 'person', 'people')}, {how_many(carried.compartments, 'category', 'categories')} of others.",
        f"Waiting for the end of the epoch: {carried.closed}. For an officer to decide: {carried.restricted} restricted.",
        f"Search tokens made anew: {done.indexed}.",
    ]
    lines += [
        f"The log {each.origin} is closed at {how_many(each.kept, 'entry', 'entries')}"
        + (
            f"; {how_many(each.lost, 'more was signed and is lost', 'more were signed and are lost')}"
            if each.lost
            else ""
        )
        + f". Its successor is {each.successor}."
        for each in done.successions
    ]
    lines.append(f"{vault.deployment} may be served.")
    return "\n".join([*lines, "Once nothing newer is to come back: `ecrin restore --forget-newer`."])


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
        **_told(found.restored),
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


def _url(settings: Settings) -> str:
    return settings.database.render_as_string(hide_password=False)


def _absent(settings: Settings) -> bool:
    url = settings.database
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


def _show(what: str, done: int, of: int) -> None:
    """Show progress on a terminal, one line that is written over; nothing elsewhere."""
    if not sys.stderr.isatty():
        return
    share = f" {100 * done // of} %" if of else ""
    sys.stderr.write(f"\r\x1b[K{what}{share}")
    if of and done == of:
        sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
