"""Commands on erasure: erase, hold, epoch, retention. Whose data it is stands in no output and no log line."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail, moment
from api.keepers import keeper_of
from api.settings import load
from audit.certificate import Certificate, told, verify_certificate
from audit.errors import VerificationError
from audit.findings import how_many
from vault import leftleaves, logkeys, searchepochs
from vault.erasure import certificates, epochrun, holds, keeping, progress, requests, retention
from vault.erasure.epochrun import Ran
from vault.erasure.holds import HoldReason
from vault.erasure.keeping import Kept
from vault.errors import VaultError
from vault.keys.keeper import KeptChange
from vault.unit import Vault

Brand = Annotated[str, typer.Option(help="The brand whose reference it is.")]
Reference = Annotated[str, typer.Option(help="The reference under which that brand knows the person.")]
Category = Annotated[str | None, typer.Option(help="One category of the catalogue.")]

erase = typer.Typer(help="Erase a person, a category or a field; list; print and verify certificates.")
hold = typer.Typer(help="Holds that forbid an erasure: place, release, list.", no_args_is_help=True)
epoch = typer.Typer(help="Epochs of the keystore: status, run.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(erase, name="erase")
    app.add_typer(hold, name="hold")
    app.add_typer(epoch, name="epoch")
    app.command("retention")(sweep)


@erase.callback(invoke_without_command=True)
def erase_(
    context: typer.Context,
    *,
    brand: Annotated[str, typer.Option(help="The brand whose reference it is.")] = "",
    reference: Annotated[str, typer.Option(help="The reference under which that brand knows the person.")] = "",
    category: Category = None,
    field: Annotated[str | None, typer.Option(help="One field of the catalogue.")] = None,
    json: Json = False,
) -> None:
    """Request an erasure: of the whole person, of one `--category` or of one `--field`.

    From then on it is denied to everybody. It is destroyed, in all backups too, by the next `ecrin epoch run`.
    """
    if context.invoked_subcommand is not None:
        return
    if not brand or not reference or (category is not None and field is not None):
        raise fail("give --brand and --reference, and at most one of --category and --field", Exit.USAGE)
    with opened() as vault:
        subject = requests.behind(vault, brand, reference)
        catalogue = vault.bundle.catalogue
        if category is not None:
            asked = requests.of_category(catalogue, subject, category, OPERATOR)
        elif field is not None:
            asked = requests.of_field(catalogue, subject, field, OPERATOR)
        else:
            asked = requests.Erase(subject, OPERATOR)
        (answer,) = requests.erase(vault, [asked])
        if isinstance(answer, VaultError):
            raise answer
        kept = _kept(vault, answer.kept)
    lines = [f"Erasure {answer.erasure.hex()} is requested; nobody is given that data any more."]
    lines += [f"Kept back for now: {each['category']} ({each['because']}: {each['reason']})." for each in kept]
    document = {"erasure": answer.erasure.hex(), "state": answer.state.value, "kept": kept}
    Output(json=json).result(document, "\n".join(lines))


@erase.command("list")
def list_erasures(
    *, done: Annotated[bool, typer.Option("--all", help="Those that are done as well.")] = False, json: Json = False
) -> None:
    """List erasures and where they stand. Names nobody."""
    with opened() as vault:
        rows = [_progress(each) for each in progress.listed(vault, done=done)]
    Output(json=json).rows("erasures", ("id", "what", "cause", "state", "requested", "kept", "certified"), rows)


@erase.command("certificate")
def certificate(erasure: Annotated[str, typer.Argument(help="Its id.")]) -> None:
    """Print the certificate of an erasure: a signed note, for the person concerned and whoever they show it to."""
    with opened() as vault:
        typer.echo(certificates.certificate(vault, erasure), nl=False)


@erase.command("verify")
def verify(
    path: Annotated[Path, typer.Argument(help="A certificate.")],
    *,
    key: Annotated[list[str] | None, typer.Option(help="Verifier key of certificates; ours if left out.")] = None,
    log_key: Annotated[list[str] | None, typer.Option(help="Verifier key of the log; ours if left out.")] = None,
    json: Json = False,
) -> None:
    """Verify a certificate. With both keys given no vault is opened. Exits 0 if it holds and 1 if not."""
    try:
        note = path.read_bytes()
    except OSError:
        raise fail("the certificate cannot be read", Exit.USAGE) from None
    keys, log_keys = key or [], log_key or []
    if not keys or not log_keys:
        with opened() as vault:
            keys, log_keys = keys or _keys(vault), log_keys or _log_keys(vault)
    try:
        verified = verify_certificate(note, keys, log_keys)
    except VerificationError as error:
        raise fail(f"not verified: {error}") from None
    Output(json=json).result(told(verified), _text(verified))


@hold.command("place")
def place(
    *,
    brand: Brand,
    reference: Reference,
    reason: Annotated[HoldReason, typer.Option(help="Why.")],
    category: Category = None,
    json: Json = False,
) -> None:
    """Forbid the destruction of a person's data. Works while an erasure is under way, until its epoch has ended."""
    with opened() as vault:
        placed = holds.place(vault, requests.behind(vault, brand, reference), reason, OPERATOR, category)
    text = [f"Hold {placed.hold} is placed."]
    text += [f"Saved from an erasure under way: {', '.join(placed.saved)}."] if placed.saved else []
    text += [f"Too late for: {', '.join(placed.late)}."] if placed.late else []
    document = {"hold": placed.hold, "saved": list(placed.saved), "late": list(placed.late)}
    Output(json=json).result(document, "\n".join(text))
    if placed.late:
        raise typer.Exit(Exit.FAILED)


@hold.command("release")
def release(identifier: Annotated[str, typer.Argument(help="The hold's id.")], *, json: Json = False) -> None:
    """Release a hold. What it stopped goes on with the next epoch."""
    with opened() as vault:
        holds.release(vault, identifier, OPERATOR)
    Output(json=json).result({"hold": identifier, "released": True}, f"Hold {identifier} is released.")


@hold.command("list")
def list_holds(
    *,
    released: Annotated[bool, typer.Option("--all", help="Those released as well.")] = False,
    json: Json = False,
) -> None:
    """List holds. Names nobody."""
    with opened() as vault:
        rows = [
            {
                "id": each.id,
                "category": each.category or "every",
                "reason": each.reason,
                "placed": moment(each.placed_at),
                "by": each.placed_by,
                "released": moment(each.released_at),
            }
            for each in holds.listed(vault, released=released)
        ]
    Output(json=json).rows("holds", ("id", "category", "reason", "placed", "by", "released"), rows)


@epoch.command("status")
def status(*, json: Json = False) -> None:
    """Tell the epoch, what waits for the next one, and whether a change is under way."""
    with opened() as vault:
        keys = vault.keys.status()
        erasures = progress.counted(vault)
        with vault.reading() as conn:
            unfindable = searchepochs.left_behind(conn, vault.keys.index_epochs())
            unsaved = leftleaves.waiting(conn)
    document = {
        "epoch": keys.epoch,
        "change": keys.change,
        "retiring": keys.retiring,
        "leaves_waiting": keys.retired,
        "leaves_waiting_for_a_backup": unsaved,
        "erasures": erasures,
        "search_tokens_of_dead_epochs": unfindable,
    }
    counts = ", ".join(f"{count} {state}" for state, count in sorted(erasures.items())) or "none"
    lines = [f"Epoch {keys.epoch}. Waiting for the next: {how_many(keys.retired, 'leaf key')}. Erasures: {counts}."]
    lines += [f"A change is under way: {keys.change}. `ecrin epoch run` carries it on."] if keys.change else []
    lines += (
        [f"Waiting for a backup of the data: {how_many(unsaved, 'leaf key')} that re-keying left."] if unsaved else []
    )
    lines += (
        [
            f"{how_many(unfindable, 'search token is of an epoch', 'search tokens are of epochs')} that ended: rebuild the search index."
        ]
        if unfindable
        else []
    )
    Output(json=json).result(document, "\n".join(lines))


@epoch.command("run")
def run(
    *,
    rotate: Annotated[bool, typer.Option("--rotate", help="Also when nothing waits: a fresh root key.")] = False,
    json: Json = False,
) -> None:
    """End the epoch if anything waits for that: destroy the old root, finish erasures, make their certificates."""
    settings = load()
    with opened() as vault:
        ran = epochrun.run(vault, KeptChange(keeper_of(settings)), settings.checkpoint_file, anyway=rotate)
    Output(json=json).result(_document(ran), _ran(ran))


def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and request nothing.")] = False,
    json: Json = False,
) -> None:
    """Request the erasure of everything whose time in the catalogue is over and that nothing keeps."""
    with opened() as vault:
        swept = retention.sweep(vault, OPERATOR, dry_run=dry_run)
    document = {
        "dry_run": dry_run,
        "over": swept.over,
        "kept": swept.kept,
        "whole_subjects": swept.subjects,
        "requested": swept.requested,
    }
    over = ", ".join(f"{count} {name}" for name, count in sorted(swept.over.items())) or "nothing"
    kept = ", ".join(f"{count} {name}" for name, count in sorted(swept.kept.items()))
    lines = [f"Over their time: {over}; {how_many(swept.subjects, 'person', 'people')} entirely."]
    lines += [f"Of these kept by a hold or a law: {kept}."] if kept else []
    lines += ["Nothing was requested." if dry_run else f"Erasures requested: {swept.requested}."]
    Output(json=json).result(document, "\n".join(lines))


def _kept(vault: Vault, kept: Iterable[Kept]) -> list[dict[str, Any]]:
    catalogue = vault.bundle.catalogue
    return [
        {
            "category": keeping.name_of(catalogue, each.category_id),
            "because": each.because.value,
            "reason": each.reason,
            "until": None if each.until is None else moment(each.until),
        }
        for each in kept
    ]


def _progress(each: progress.Progress) -> dict[str, Any]:
    return {
        "id": each.id,
        "what": each.what,
        "cause": each.cause,
        "state": each.state,
        "requested": moment(each.requested_at),
        "kept": " ".join(each.kept),
        "certified": each.certified,
    }


def _keys(vault: Vault) -> list[str]:
    return [certificates.verifier_key(vault, shard) for shard in range(vault.shards)]


def _log_keys(vault: Vault) -> list[str]:
    with vault.reading() as conn:
        return [key.vkey for shard in range(vault.shards) for key in logkeys.known(vault, conn, shard)]


def _text(verified: Certificate) -> str:
    english, french = verified.sentences
    kept = [f"Kept: {each.category} ({each.because}: {each.reason})." for each in verified.kept]
    head = f"Verified: {verified.scope}, class {verified.destruction_class}, effective {verified.effective}."
    return "\n".join([head, *kept, english, french])


def _document(ran: Ran) -> dict[str, Any]:
    ended = [
        {
            "epoch": each.epoch,
            "root": each.root_ref,
            "class": each.destruction.destruction_class.value,
            "effective": moment(each.destruction.effective_at),
            "leaves": len(each.slots),
            "copies": each.copies,
        }
        for each in ran.ended
    ]
    return {"ended": ended, "erasures": ran.erasures, "certificates": ran.certificates}


def _ran(ran: Ran) -> str:
    if not ran.ended:
        return f"Nothing waited. Erasures finished: {ran.erasures}. Certificates made: {ran.certificates}."
    lines = [
        f"Epoch {each.epoch} ended: {how_many(len(each.slots), 'leaf key')} gone, class {each.destruction.destruction_class}, "
        f"effective {moment(each.destruction.effective_at)}, {how_many(each.copies, 'copy', 'copies')} of the keystore."
        for each in ran.ended
    ]
    return "\n".join([*lines, f"Erasures finished: {ran.erasures}. Certificates made: {ran.certificates}."])
