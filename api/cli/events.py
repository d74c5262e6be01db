"""Commands on events: where systems are told, and who has not acknowledged."""

from typing import Annotated, Any

import typer

from api import eventpush
from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail, moment
from vault import outbox
from vault.outbox import Standing

group = typer.Typer(help="Events told to systems: listen, pending, endpoints.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="events")


@group.command()
def listen(
    system_id: Annotated[str, typer.Argument(help="The client id of the system.")],
    *,
    url: Annotated[str, typer.Option(help="Where it takes events (RFC 8935). Empty: it is told no more.")] = "",
    json: Json = False,
) -> None:
    """Have a system told of withdrawals, rectifications and erasures of its brand's references."""
    if url and (fault := eventpush.address_fault(url)) is not None:
        raise fail(f"url: {fault}", Exit.USAGE)
    with opened() as vault, vault.unit() as uow:
        outbox.listen(uow, system_id, url, OPERATOR)
        uow.commit()
    Output(json=json).result({"system": system_id, "url": url}, f"{system_id} is told at {url or 'no place'}.")


@group.command()
def pending(
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that were acknowledged as well.")] = False,
    json: Json = False,
) -> None:
    """List who has not acknowledged what. Names nobody whom it is about."""
    with opened() as vault, vault.reading() as conn:
        rows = [_shown(each) for each in outbox.ledger(conn, done=every)]
    columns = ("id", "system", "event", "state", "happened", "attempts", "problem", "acknowledged")
    Output(json=json).rows("events", columns, rows)


@group.command()
def endpoints(*, json: Json = False) -> None:
    """List which systems are told, and where."""
    with opened() as vault, vault.reading() as conn:
        rows = [{"system": system_id, "url": url} for system_id, url in outbox.endpoints(conn)]
    Output(json=json).rows("endpoints", ("system", "url"), rows)


def _shown(standing: Standing) -> dict[str, Any]:
    return {
        "id": standing.id,
        "system": standing.system_id,
        "event": standing.kind,
        "state": standing.state,
        "happened": moment(standing.happened_at),
        "attempts": standing.attempts,
        "problem": standing.problem,
        "acknowledged": moment(standing.acknowledged_at),
    }
