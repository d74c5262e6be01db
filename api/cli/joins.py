"""`ecrin join`: what references of one brand are as another's, told once, for those named, by two officers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.opened import opened
from api.cli.output import Exit, Json, Output, fail, moment
from api.cli.signing import Key, Officer, OwnKey, Signature, signs
from vault import joins
from vault.joins import Join, JoinReason

app = typer.Typer(help="Joins of two brands' references, by two officers.", no_args_is_help=True)

JoinId = Annotated[str, typer.Argument(help="The id of the join.")]


@app.command()
def propose(
    brand: Annotated[str, typer.Argument(help="The brand whose references are named.")],
    other: Annotated[str, typer.Argument(help="The brand whose references are asked for.")],
    references: Annotated[Path, typer.Argument(help="File with the references, one a line, at most 500.")],
    reason: Annotated[JoinReason, typer.Option(help="Why.")],
    officer: Officer,
    key: OwnKey,
    *,
    json: Json = False,
) -> None:
    """Ask for a join of named references. Another officer approves, and is told."""
    try:
        named = references.read_text("ascii").split()
    except (OSError, UnicodeDecodeError):
        raise fail("the file of references cannot be read", Exit.USAGE) from None
    sign = signs(key, None)
    with opened() as vault:
        made = joins.propose(vault, brand, other, named, reason, officer, sign)
    Output(json=json).result(_shown(made), f"Join {made.id} of {made.count} references waits for another officer.")


@app.command()
def approve(
    join: JoinId, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False
) -> None:
    """Approve a join that another officer asked for, and print it. It is told once."""
    sign = signs(key, signature)
    with opened() as vault:
        made, told = joins.approve(vault, join, officer, sign)
    rows = [{made.brand: mine, made.other: theirs} for mine, theirs in told.items()]
    Output(json=json).rows("references", (made.brand, made.other), rows)


@app.command()
def withdraw(
    join: JoinId, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False
) -> None:
    """Take a proposed join back."""
    sign = signs(key, signature)
    with opened() as vault:
        made = joins.withdraw(vault, join, officer, sign)
    Output(json=json).result(_shown(made), f"Join {made.id} is withdrawn.")


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List joins, newest first; no reference is shown."""
    with opened() as vault, vault.reading() as conn:
        rows = [_shown(each) for each in joins.listed(conn)]
    columns = ("id", "brand", "other", "reason", "count", "state", "proposed_by", "approved_by", "proposed")
    Output(json=json).rows("joins", columns, rows)


def _shown(join: Join) -> dict[str, Any]:
    return {
        "id": join.id,
        "brand": join.brand,
        "other": join.other,
        "reason": join.reason.value,
        "count": join.count,
        "state": join.state.value,
        "proposed_by": join.proposed_by,
        "approved_by": join.approved_by or "",
        "proposed": moment(join.proposed_at),
    }
