"""Commands on the audit log: verify it, publish it."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from api import bootstrap
from api.cli.output import Exit, Json, Output, fail, told
from api.settings import load
from audit.errors import CannotDecide, PublishingRefused, SigningRefused, VerificationError
from audit.findings import Result, Verdict, plain, report
from audit.note import vkey
from audit.stored import open_sqlite
from audit.verify import verify_directory, verify_log
from vault import evidence
from vault.keys.service import SigningKey

app = typer.Typer(help="The audit log: verify, publish.", no_args_is_help=True)


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="Folder that a static server serves; brought up to date.")],
    *,
    entries: Annotated[
        bool, typer.Option("--entries", help="The entries too: for auditors, not for the world.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the log as files (C2SP tlog-tiles): bundles, tiles, and last the newest checkpoint that covers them."""
    settings = load()
    vault = bootstrap.open_from(settings)
    try:
        evidence.sign_checkpoints(vault, settings.checkpoint_file)  # what a service that is stopped had left to do
        done = evidence.publish(vault, folder, entries=entries)
    except (PublishingRefused, SigningRefused) as refused:
        raise fail(told(refused), Exit.FAILED) from None
    except OSError:
        raise fail("the folder cannot be written", Exit.UNAVAILABLE) from None
    finally:
        vault.close()
    text = f"{done.size} entries are published in {folder}: {done.written} files written."
    Output(json=json).result({"size": done.size, "written": done.written, "folder": str(folder)}, text)


@app.command()
def verify(
    *,
    database: Annotated[Path | None, typer.Option(help="A SQLite data file or a copy; ours if left out.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Instead: a published log, with its entries. Needs --key.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="Verifier key; ours if left out. Repeat.")] = None,
    pinned: Annotated[list[Path] | None, typer.Option(help="Signed checkpoint kept elsewhere; ours as well.")] = None,
    json: Json = False,
) -> None:
    """Recompute the whole log from stored bytes. Exits 0 if it is as signed, 1 if tampered with, 2 if undecidable.

    With `--database` and `--key` no vault is opened: the verifier then needs nothing of ours but the file.
    """
    try:
        notes = [path.read_text("utf-8") for path in pinned or ()]
    except (OSError, UnicodeDecodeError):
        raise fail("a checkpoint file cannot be read", Exit.USAGE) from None
    try:
        if folder is not None:
            results = [verify_directory(folder, key or [], notes)]
        else:
            results = _of_file(database, key, notes) if database is not None and key else _of_vault(database, notes)
    except (CannotDecide, VerificationError) as error:
        raise fail(f"cannot decide: {error}", Exit.USAGE) from None
    output = Output(json=json)
    output.result({"logs": [plain(each) for each in results]}, "".join(report(each) for each in results).rstrip())
    verdicts = {each.verdict for each in results}
    worst = next(each for each in (Verdict.TAMPERED, Verdict.UNDECIDED, Verdict.FINE) if each in verdicts)
    raise typer.Exit(int(worst))


def _of_file(database: Path, keys: list[str], notes: list[str]) -> list[Result]:
    with open_sqlite(database) as logs:
        return [verify_log(log, keys, _of(notes, log.origin)) for log in logs]


def _of_vault(database: Path | None, notes: list[str]) -> list[Result]:
    settings = load()
    vault = bootstrap.open_from(settings)
    try:
        names = evidence.log_names(vault)
        public = vault.keys.public_key(SigningKey.LOG)
        keys = {shard: vkey(name, public) for shard, name in names.items()}
        kept = evidence.outside_notes(vault, settings.checkpoint_file)
        # A closed log is held against its own checkpoints: what was signed of it later and lost, its successor says.
        stray = [note for note in notes if note.partition("\n")[0] not in names.values()]
        ours = {shard: [*kept.get(shard, ()), *_of(notes, name)] for shard, name in names.items()}
        ours[0] += stray
        if database is None and vault.engine.dialect.name == "sqlite":
            # Our own file as well is read like a stranger's: whatever type somebody put into a column.
            database = Path(settings.database.database or "")
        if database is not None:
            with open_sqlite(database) as logs:
                results = [verify_log(log, [keys[log.shard]], ours[log.shard]) for log in logs]
        else:
            results = [evidence.verify(vault, shard, keys[shard], ours[shard]) for shard in sorted(names)]
        roots = evidence.vouched_roots(vault)
        return [_vouched(each, roots) if each.shard < 0 else each for each in results]
    finally:
        vault.close()


def _vouched(closed: Result, roots: frozenset[str]) -> Result:
    """Hold a closed log against the root that its successor's first entry gives, which that log's checkpoints cover."""
    if closed.root.hex() not in roots:
        return replace(closed, doubts=(*closed.doubts, "no successor vouches for it as it is"))
    notices = (*closed.notices, "closed; its successor's first entry vouches for all of it")
    return replace(closed, doubts=(), notices=notices)


def _of(notes: list[str], origin: str) -> list[str]:
    return [note for note in notes if note.startswith(f"{origin}\n")]
