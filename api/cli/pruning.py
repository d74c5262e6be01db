"""The command that prunes the audit log: what may go, and, with the bundles that hold it, taking it away."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api import bootstrap
from api.cli.evidence import keys_of
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output, fail, told
from api.settings import Settings, load
from api.siem.cursor import Cursor, CursorUnavailable
from audit.errors import CannotDecide, PublishingRefused, SigningRefused
from vault import evidence, pruning, pruningarchives, pruningbounds
from vault.errors import Conflict, IntegrityFailure, RestoreUnfinished
from vault.pruningbounds import Outside, Plan
from vault.unit import Vault


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prune")(prune)


def prune(
    *,
    archive: Annotated[
        list[Path] | None, typer.Option(help="An evidence bundle (.zip) that holds what goes. Repeat.")
    ] = None,
    cursor: Annotated[
        list[Path] | None, typer.Option(help="Cursor of a monitoring system that must have been told. Repeat.")
    ] = None,
    lines: Annotated[
        Path | None, typer.Option(help="Log lines of the key holder: what goes is reconciled with them before.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take it away. Without this, only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Take away what entries said that are older than the policy's rule; their hashes stay, and every proof goes on holding.

    Without `--yes` it tells what may go, what holds the rest, and which exports have to hold what goes. Whole bundles of 256
    entries go. Nothing brings them back but the exports.
    """
    settings = load()
    vault = bootstrap.open_from(settings)
    try:
        plan = pruningbounds.plan(vault, _outside(vault, settings, cursor or [], lines))
        if not yes:
            _tell(vault, plan, json=json)
            return
        finished = pruning.finish(vault, settings.checkpoint_file, settings.publish_folder)
        if plan.first <= plan.kept:
            _end(plan.kept, finished, None, json=json)
            return
        held = pruningarchives.check(vault, plan, archive or [], keys_of(vault))
        done = pruning.prune(vault, plan, held, settings.checkpoint_file, OPERATOR, settings.publish_folder)
        _end(done.first, finished + done.blanked, done, json=json)
    except (Conflict, RestoreUnfinished, IntegrityFailure, PublishingRefused, SigningRefused) as refused:
        raise fail(told(refused), Exit.FAILED) from None
    except (CannotDecide, CursorUnavailable) as error:
        raise fail(told(error), Exit.USAGE) from None
    except OSError:
        raise fail("a file cannot be read or written", Exit.UNAVAILABLE) from None
    finally:
        vault.close()


def _outside(vault: Vault, settings: Settings, cursors: list[Path], lines: Path | None) -> Outside:
    told_to = tuple([Cursor(each).next(vault.origin) or 0 for each in cursors])
    reconciled = None if settings.keyd_socket is None and lines is None else _reconciled(vault, lines)
    return Outside(settings.witness_policy is not None, told_to, reconciled)


def _reconciled(vault: Vault, lines: Path | None) -> str:
    """Return up to when (as the log writes times) the holder's count was held against the log without standing out."""
    if lines is None:
        return ""
    with lines.open(encoding="utf-8", errors="replace") as file:
        done = evidence.reconciled(vault, file, OPERATOR)
    hours = [*done.untold, *(each.hour for each in done.hours)]
    return f"{min(done.unusual) if done.unusual else hours[-1]}:00:00Z"


def _tell(vault: Vault, plan: Plan, *, json: bool) -> None:
    periods = [each._asdict() for each in pruningbounds.exports(vault, plan)]
    document: dict[str, Any] = {
        "kept_from": plan.kept,
        "would_keep_from": plan.first,
        "months": plan.months,
        "policy": plan.policy,
        "bounds": [{"needs": each.need.value, "first": each.first} for each in plan.bounds],
        "exports": periods,
    }
    said = [f"The policy keeps entries for {plan.months} months. Nothing is taken away without --yes."]
    said += [f"  {each.need.value}: nothing from entry {each.first} on" for each in plan.bounds]
    if periods:
        said.append(f"What entries {plan.kept} to {plan.first - 1} said may go. Have it in evidence bundles first:")
        said += [
            f"  ecrin audit export FILE --for archive --from {each['since']} --to {each['until']}" for each in periods
        ]
    else:
        said.append(f"Nothing may go: the log is kept from entry {plan.kept} on.")
    Output(json=json).result(document, "\n".join(said))


def _end(first: int, blanked: int, done: pruning.Done | None, *, json: bool) -> None:
    carried, index = (0, None) if done is None else (done.carried, done.index)
    document = {"kept_from": first, "pruned": blanked, "carried": carried, "entry": index}
    if done is None:
        text = f"{blanked} bodies of an earlier pruning went." if blanked else "There is nothing to prune."
    else:
        text = f"{blanked} entries are pruned, {carried} erasures carried over; entry {index} says so. Kept from {first} on."
    Output(json=json).result(document, text)
