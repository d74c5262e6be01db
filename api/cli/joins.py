"""`ecrin join`: what references of one brand are as another's, told once, for those named, by two officers."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from api.cli.opened import opened
from api.cli.output import Exit, Json, Output, fail, moment
from api.cli.proposing import Kind, proposed, register
from api.cli.signing import Officer, OwnKey, signs
from audit.findings import how_many
from vault import joins
from vault.governance.signatures import Sign
from vault.joins import Join, JoinReason
from vault.unit import Vault

group = typer.Typer(help="Joins of two brands' references, by two officers.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="join")


@group.command()
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
    proposed(JOINS, made, Output(json=json), f"Join {made.id} of {how_many(made.count, 'reference')}")


def _approve(vault: Vault, join: str, officer: str, sign: Sign, output: Output) -> None:
    made, told = joins.approve(vault, join, officer, sign)
    rows = [{made.brand: mine, made.other: theirs} for mine, theirs in told.items()]
    output.rows("references", (made.brand, made.other), rows)


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


JOINS: Final = Kind(
    "joins",
    ("id", "brand", "other", "reason", "count", "state", "proposed_by", "approved_by", "proposed"),
    _shown,
    _approve,
    "Approve a join that another officer asked for, and print it. It is told once.",
    joins.withdraw,
    "Take a proposed join back.",
    joins.listed,
)
register(group, JOINS)
