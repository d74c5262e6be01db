"""Commands on the audit log: verify it, publish it, hand evidence out of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from api import bootstrap, evidencetext
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output, fail, told, warn
from api.cli.periods import Since, Until, period
from api.settings import Settings, load
from api.timestamps import stamped_by
from api.witnesses import ask, read_policy
from audit.entry import Act, Outcome
from audit.errors import CannotDecide, PublishingRefused, SigningRefused, VerificationError
from audit.findings import Result, Verdict, how_many, plain, report
from audit.note import vkey
from audit.reports.asked import Asked
from audit.standalone import standalone
from audit.stored import open_sqlite
from audit.verify import verify_bundle, verify_directory, verify_log
from vault import evidence, logkeys, timestamping, witnessing
from vault import export as exports
from vault.errors import TimestampRefused
from vault.export import Exported
from vault.keys.service import SigningKey
from vault.secondsigner import second_signers
from vault.unit import Vault

_RECIPIENT: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")

group = typer.Typer(
    help="The audit log: verify, publish, export, prune; its keys; the keys that were opened.", no_args_is_help=True
)


@group.command()
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
    text = f"{how_many(done.size, 'entry is', 'entries are')} published in {folder}: {how_many(done.written, 'file')} written."
    Output(json=json).result({"size": done.size, "written": done.written, "folder": str(folder)}, text)


@group.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where the archive goes (.zip). Nothing is overwritten.")],
    recipient: Annotated[str, typer.Option("--for", help="For whom: a word of letters, digits, dots and hyphens.")],
    *,
    since: Since = "",
    until: Until = "",
    act: Annotated[list[Act] | None, typer.Option(help="Acts only. Repeat.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Of one outcome only.")] = None,
    brand: Annotated[str, typer.Option(help="Of one brand's systems only.")] = "",
    system: Annotated[str, typer.Option(help="Of one system or officer only.")] = "",
    purpose: Annotated[str, typer.Option(help="Of one purpose only.")] = "",
    reference: Annotated[str, typer.Option(help="A reference of that brand: about one person.")] = "",
    subject_key: Annotated[
        Path | None, typer.Option(help="Where that person's log key goes: hand it over apart.")
    ] = None,
    details: Annotated[
        Path | None, typer.Option(help="Where the details of that person's entries go: hand them over apart too.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Witness policy file to put in for the reader; ours if left out.")
    ] = None,
    json: Json = False,
) -> None:
    """Write an evidence bundle: a range of the log, what was asked of it, and all that is needed to check both.

    The export is in the log first, with filter, range, rows and recipient. Of whom a bundle is about says a key that
    relates that person's entries: whoever has it finds them in every copy of the log.
    """
    if bool(reference) != (subject_key is not None) or (reference and not brand) or (details and not reference):
        raise fail("a bundle about one person takes --brand, --reference and --subject-key", Exit.USAGE)
    if not _RECIPIENT.fullmatch(recipient):
        raise fail("name the recipient by letters, digits, dots and hyphens", Exit.USAGE)
    settings = load()
    vault = bootstrap.open_from(settings)
    try:
        begin, end = period(vault.clock.now(), since, until, 30)
        asked = Asked(begin, end, brand, system, purpose, reference)
        with _new(file) as archive:
            done = exports.export(
                vault,
                asked,
                OPERATOR,
                recipient,
                settings.checkpoint_file,
                acts=act or (),
                outcome="" if outcome is None else outcome.value,
            )
            _vouched_for(vault, settings)
            done, stamp = exports.settle(vault, done)
            size = exports.write(vault, done, _told(vault, done, policy, stamp, settings), archive.write)
        if subject_key is not None and done.subject_key is not None:
            with subject_key.open("x", encoding="ascii") as secret:
                secret.write(done.subject_key.hex())
        if details is not None:
            with details.open("xb") as secrets:
                secrets.write(exports.details_of(vault, done))
    except FileExistsError:
        raise fail("the file is there already", Exit.USAGE) from None
    except OSError:
        raise fail("a file cannot be read or written", Exit.UNAVAILABLE) from None
    finally:
        vault.close()
    document = {"file": str(file), "rows": done.rows, "entry": done.index, "checkpoint": done.upto.size, "bytes": size}
    text = f"{how_many(done.rows, 'row')} for {recipient} {'is' if done.rows == 1 else 'are'} in {file}; entry {done.index} says so, under the checkpoint at {done.upto.size}."
    Output(json=json).result(document, text)


@contextmanager
def _new(file: Path) -> Iterator[BinaryIO]:
    """Make a file that was not there; if what is to be in it fails, it is gone again."""
    with file.open("xb") as made:
        try:
            yield made
        except BaseException:
            file.unlink()
            raise


def _own_keys() -> list[str]:
    vault = bootstrap.open_from(load())
    try:
        return keys_of(vault)
    finally:
        vault.close()


def keys_of(vault: Vault) -> list[str]:
    """Return the keys to check a bundle with: the log's, newest first, and last the seal's."""
    with vault.reading() as conn:
        log = [each.vkey for each in logkeys.known(vault, conn, 0)]
    return [*log, vkey(exports.seal_key_name(vault), vault.keys.public_key(SigningKey.RECEIPT))]


def _vouched_for(vault: Vault, settings: Settings) -> None:
    """Have the checkpoint cosigned and time-stamped now, as far as the settings name anybody who answers."""
    if settings.witness_policy is not None:
        try:
            second = second_signers(vault) if settings.log_ml_dsa else ()
            witnessing.turn(vault, read_policy(settings.witness_policy, vault.origin), ask, second=second)
        except (CannotDecide, VerificationError):
            warn("The witnesses could not be asked: the bundle has what they said before, if anything.")
    if settings.timestamp_url and settings.timestamp_roots is not None:
        authority, roots = settings.timestamp_url, settings.timestamp_roots
        try:
            timestamping.turn(vault, lambda message: stamped_by(authority, roots, message))
        except TimestampRefused:
            warn("The authority gave no good time stamp: the bundle has the one before, if any.")


def _told(
    vault: Vault, done: Exported, policy: Path | None, stamp: bytes | None, settings: Settings
) -> dict[str, bytes]:
    members = {
        "README.html": evidencetext.readme(done, logkeys.shown(vault), keys_of(vault)[-1], stamped=stamp is not None),
        "report.pdf": evidencetext.printed(done, exports.rows_of(vault, done)),
        "verify.py": standalone().encode(),
    }
    witnesses = policy or settings.witness_policy
    if witnesses is not None:
        members["policy"] = witnesses.read_bytes()
    if stamp is not None and settings.timestamp_roots is not None:
        members |= {"timestamp.tsr": stamp, "timestamp.pem": settings.timestamp_roots.read_bytes()}
    return members


@group.command()
def verify(
    *,
    database: Annotated[Path | None, typer.Option(help="A SQLite data file or a copy; ours if left out.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Instead: a published log, with its entries. Needs --key.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Instead: an evidence bundle (.zip).")] = None,
    subject_key: Annotated[Path | None, typer.Option(help="Of a bundle about one person: their key.")] = None,
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
        if bundle is not None:
            person = None if subject_key is None else bytes.fromhex(subject_key.read_text("ascii"))
            results = [verify_bundle(bundle, key or _own_keys(), person)]
        elif folder is not None:
            results = [verify_directory(folder, key or [], notes)]
        else:
            results = _of_file(database, key, notes) if database is not None and key else _of_vault(database, notes)
    except (CannotDecide, VerificationError) as error:
        raise fail(f"cannot decide: {error}", Exit.USAGE) from None
    except (OSError, ValueError):
        raise fail("cannot decide: the person's key cannot be read", Exit.USAGE) from None
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
        with vault.reading() as conn:
            keys = {shard: logkeys.known(vault, conn, shard, name) for shard, name in names.items()}
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
                results = [verify_log(log, keys[log.shard], ours[log.shard]) for log in logs]
        else:
            results = [evidence.verify(vault, shard, ours[shard]) for shard in sorted(names)]
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
