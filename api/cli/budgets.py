"""Commands on budgets: show, lower; propose and approve a raise, which takes two officers."""

from typing import Annotated, Any, Final

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Json, Output, moment
from api.cli.proposing import Kind, proposed, register
from api.cli.signing import Officer, OwnKey, signs
from vault import budgetraises, systems
from vault.budgetraises import Proposal
from vault.errors import UnknownSystem
from vault.governance.signatures import Sign
from vault.unit import Vault

group = typer.Typer(help="Budgets of systems: show, lower; propose and approve raises.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="budget")


Id = Annotated[str, typer.Argument(help="The client id of the system.")]
Limits = Annotated[
    list[str], typer.Option("--limit", help="<system|staff|purpose[=key]>:<people|weight>:<quota>/<window>; repeat.")
]


@group.command()
def show(system_id: Id, *, json: Json = False) -> None:
    """Show a system's limits and the raises in force."""
    with opened() as vault, vault.reading() as conn:
        system = systems.get(conn, system_id)
        if system is None:
            raise UnknownSystem
        running = [each for each in system.budgets.raises if each.until > vault.clock.now()]
    document = {
        "system": system.id,
        "limits": list(system.budgets.spelt),
        "raises": [
            {"proposal": each.proposal, "limits": list(each.limits), "until": moment(each.until)} for each in running
        ],
    }
    lines = [
        *system.budgets.spelt,
        *[f"raised until {moment(each.until)}: {', '.join(each.limits)}" for each in running],
    ]
    Output(json=json).result(document, "\n".join(lines) or "No limits.")


@group.command()
def lower(system_id: Id, limit: Limits, *, json: Json = False) -> None:
    """Lower limits, or set ones that were not there. What would be higher is refused: see `propose`."""
    with opened() as vault, vault.unit() as uow:
        system = systems.lower_budgets(uow, system_id, limit, OPERATOR)
        uow.commit()
    document = {"system": system.id, "limits": list(system.budgets.spelt)}
    Output(json=json).result(document, "\n".join(system.budgets.spelt))


@group.command()
def propose(
    system_id: Id,
    limit: Limits,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How long, from the approval on.")],
    officer: Officer,
    key: OwnKey,
    *,
    json: Json = False,
) -> None:
    """Propose higher limits for a time. Another officer approves."""
    sign = signs(key, None)
    with opened() as vault:
        made = budgetraises.propose(vault, system_id, tuple(limit), hours * 3600, officer, sign)
    proposed(RAISES, made, Output(json=json), f"Proposal {made.id}")


def _approve(vault: Vault, proposal: str, officer: str, sign: Sign, output: Output) -> None:
    made = budgetraises.approve(vault, proposal, officer, sign)
    output.result(_shown(made), f"Raised until {moment(made.until_at)}.")


def _shown(proposal: Proposal) -> dict[str, Any]:
    return {
        "id": proposal.id,
        "system": proposal.system_id,
        "limits": " ".join(proposal.limits),
        "hours": proposal.seconds // 3600,
        "state": proposal.state,
        "proposed_by": proposal.proposed_by,
        "approved_by": proposal.approved_by or "",
        "until": moment(proposal.until_at),
    }


RAISES: Final = Kind(
    "raises",
    ("id", "system", "limits", "hours", "state", "proposed_by", "approved_by", "until"),
    _shown,
    _approve,
    "Approve a raise that another officer proposed.",
    budgetraises.withdraw,
    "Take a proposal back, or end a raise before its time.",
    budgetraises.listed,
)
register(group, RAISES)
