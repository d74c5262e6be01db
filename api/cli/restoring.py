"""The command `ecrin restore`: data, keystore and what a log outside knows, brought back before anybody is served."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from api import bootstrap, keepers, roots
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output, fail
from api.settings import Settings, load
from audit.findings import how_many
from vault import evidence
from vault.keys.keyd.holder import MAX_SECRET
from vault.keys.private_file import read_private
from vault.keys.provider import DestroyingProvider
from vault.recovery import caughtup, keystores, logs, lost, manifest, mirrors, newer, restores
from vault.recovery.logs import ByLog
from vault.recovery.lost import Known, Lost
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


def restore(
    *,
    data: Annotated[Path | None, typer.Option(help="Data backup to bring back, its manifest beside it.")] = None,
    keystore: Annotated[
        Path | None, typer.Option(help="Copy of the keystore, or its folder, where the keystore itself is lost.")
    ] = None,
    log: Annotated[
        list[Path] | None,
        typer.Option(
            help="A log kept outside, with its entries: a folder, a newer backup (SQLite), an evidence bundle. Repeat. "
            "Default: the mirror."
        ),
    ] = None,
    whole_log: Annotated[
        bool,
        typer.Option("--whole-log", help="Look for everybody whom that log calls erased, not since the backup alone."),
    ] = False,
    without_log: Annotated[
        bool,
        typer.Option("--without-log", help="Go on without the log outside that should be there. This is in the log."),
    ] = False,
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
    if without_log and (log or whole_log):
        raise fail("either with a log or without", Exit.USAGE)
    if settings.log_mirror is not None and not settings.log_mirror.is_dir():
        raise fail("the mirror of the log is not there: bring its disk back, or make its folder anew", Exit.UNAVAILABLE)
    places = [] if without_log else log or _mirror(settings)
    if whole_log and not places:
        raise fail("name the log (--log)", Exit.USAGE)
    if keystore is not None and _keystore_back(settings, keystore, data, secret_file, json=json):
        return
    if data is not None:
        if places:
            _try(settings, data, places)
        _bring_back(settings, data, replace=unsafe_replace, by_log=ByLog.OWED if places else ByLog.NONE)
        if keystore is not None:
            keystores.skip_given_out(settings.keystore, url_of(settings))
    if forget_newer:
        _forget_newer(settings, json=json)
        return
    _carry_on(settings, places, whole=whole_log, waived=without_log, json=json)


def root(settings: Settings, files: list[Path] | None) -> DestroyingProvider:
    """Open the root for this command, with what people bring where it takes that. Raises Sealed."""
    unsealer = roots.unsealer_of(settings)
    if not unsealer.needed:
        return unsealer.provider(())
    given = [read_private(file, MAX_SECRET) for file in files] if files else sys.stdin.buffer.read().split(b"\n")
    secrets = [each.strip() for each in given if each.strip()]
    return unsealer.provider(secrets[: unsealer.needed])


def url_of(settings: Settings) -> str:
    """Return the address of the database, its password in it: never to be shown."""
    return settings.database.render_as_string(hide_password=False)


def told(done: Restored) -> dict[str, Any]:
    """Tell what a restore did, as a document."""
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
    counts = {"carried": asdict(done.carried), "again": asdict(done.again), "revived_leaves": done.revived}
    return {**counts, "indexed": done.indexed, "logs": logs}


def show(what: str, done: int, of: int) -> None:
    """Show progress on a terminal, one line that is written over; nothing elsewhere."""
    if not sys.stderr.isatty():
        return
    share = f" {100 * done // of} %" if of else ""
    sys.stderr.write(f"\r\x1b[K{what}{share}")
    if of and done == of:
        sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


def _mirror(settings: Settings) -> list[Path]:
    return [] if settings.log_mirror is None else [settings.log_mirror]


def _keystore_back(
    settings: Settings, copy: Path, data: Path | None, secret_file: list[Path] | None, *, json: bool
) -> bool:
    """Bring a keystore back. Whether that is all that can be done now: its root is held by people."""
    withheld = roots.unsealer_of(settings).needed > 0
    if withheld and data is not None:
        raise fail("bring back the keystore alone, unseal the key holder, then bring back the data", Exit.USAGE)
    url = None if data is not None or _absent(settings) else url_of(settings)
    copied = keystores.bring_back(
        keystores.newest_of(copy), settings.keystore, root(settings, secret_file), settings.deployment,
        url, entropy=SystemEntropy(),
    )  # fmt: skip
    Console(stderr=True).print(f"The keystore of epoch {copied.epoch} is back.")
    if withheld:  # what people bring opens the root for this moment alone
        text = "Start the key holder and unseal it; then `ecrin restore` looks at the data."
        Output(json=json).result({"restored": False, "keystore_epoch": copied.epoch}, text)
    return withheld


def _try(settings: Settings, data: Path, places: Sequence[Path]) -> None:
    """Hold the log outside against what the backup says of its own log, before anything is brought back."""
    known = [Known(each.shard, each.origin, each.size, bytes.fromhex(each.root)) for each in manifest.read(data).log]
    with closing(bootstrap.open_keys_alone(settings)) as keys:
        publics = lost.publics_of(keys)
    lost.examine(places, publics, known, lost.pins_of(settings.checkpoint_file, settings.shards), None)


def _bring_back(settings: Settings, file: Path, *, replace: bool, by_log: ByLog) -> None:
    status = keepers.keeper_of(settings).status()  # no keystore, no restore: nothing could be read
    unique = SystemEntropy().bytes(restores.UNIQUE).hex()
    restores.bring_back(
        file, url_of(settings), settings.deployment, status.epoch, unique, SystemClock().now(), show,
        replace=replace, by_log=by_log,
    )  # fmt: skip


def _carry_on(settings: Settings, places: Sequence[Path], *, whole: bool, waived: bool, json: bool) -> None:
    with _held(settings) as vault:
        outside, mirror = settings.checkpoint_file, settings.log_mirror
        if caughtup.ahead_of_keys(vault):
            keystores.skip_given_out(settings.keystore, url_of(settings))
        found: Lost | None = None
        if places:
            found = logs.examine(vault, places, outside, whole=whole)
            lost.advance(found.notes, outside)
        elif waived and mirror is not None:
            lost.advance(mirrors.ahead(vault, mirror), outside)
        missed = waived and mirror is not None and not mirrors.fits(vault, mirror)
        if not restores.begin(vault, outside, now=vault.clock.now(), lost=found, waived=missed):
            Output(json=json).result({"restored": False}, "There is nothing to do.")
            return
        done = restores.carry_on(
            vault, outside, OPERATOR, keepers.keeper_of(settings).history, show, found, waived=waived
        )
        if mirror is not None:
            mirrors.set_aside(vault, mirror)
        evidence.sign_checkpoints(vault, outside)
        evidence.mirror_behind(vault)
        document = {"restored": True, "origin": vault.origin, "log_read": found is not None, **told(done)}
        text = _said(done, found, vault)
    Output(json=json).result(document, text)


def _forget_newer(settings: Settings, *, json: bool) -> None:
    newer.alone(url_of(settings))
    with _held(settings) as vault:
        count = newer.forget(vault, OPERATOR)
    text = f"{how_many(count, 'leaf that no row names is', 'leaves that no row names are')} given up: the next epoch ends what still opens by that. Backups newer than these data are dead."
    Output(json=json).result({"forgotten": count}, text)


@contextmanager
def _held(settings: Settings) -> Iterator[Vault]:
    """Open the vault that is not to be served yet."""
    vault = bootstrap.open_unadmitted(settings)
    try:
        yield vault
    finally:
        vault.close()


def _said(done: Restored, found: Lost | None, vault: Vault) -> str:
    carried, again = done.carried, done.again
    lines = [
        f"Erased again: {how_many(carried.subjects, 'person', 'people')}, {how_many(carried.compartments, 'category', 'categories')} of others.",
        f"Waiting for the end of the epoch: {carried.closed}. For an officer to decide: {carried.restricted + again.restricted} restricted.",
    ]
    if found is not None:
        lines.append(
            f"The log outside has {how_many(found.beyond, 'entry', 'entries')} more. Asked for again on its word: "
            f"{how_many(again.subjects, 'person', 'people')}, {how_many(again.categories, 'category', 'categories')}, "
            f"{how_many(again.fields, 'field')}; of nobody here: {how_many(again.strangers, 'erasure')}."
        )
    if done.revived:
        lines.append(f"{done.revived} leaves that were destroyed once are there again: they go with the next epoch.")
    lines.append(f"Search tokens made anew: {done.indexed}.")
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


def _absent(settings: Settings) -> bool:
    url = settings.database
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()
