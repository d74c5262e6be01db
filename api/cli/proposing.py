"""What officers do with proposals at the command line, of whatever kind: approve, withdraw, list."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar

import typer
from sqlalchemy import Connection

from api.cli.opened import opened
from api.cli.output import Json, Output
from api.cli.signing import Key, Officer, Signature, signs
from vault.governance.signatures import Sign
from vault.unit import Vault


class Proposed(Protocol):
    """Something that one officer proposed and another approves."""

    @property
    def id(self) -> str:
        """The id, hexadecimal."""
        ...


T = TypeVar("T", bound=Proposed)
ProposalId = Annotated[str, typer.Argument(metavar="ID", help="The id of the proposal.")]


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What differs from kind to kind. `plural` names the list; `approve` also prints what the approval gives."""

    plural: str
    columns: tuple[str, ...]
    shown: Callable[[T], dict[str, Any]]
    approve: Callable[[Vault, str, str, Sign, Output], None]
    approving: str
    withdraw: Callable[[Vault, str, str, Sign], T]
    withdrawing: str
    listed: Callable[[Connection], Sequence[T]]


def proposed(kind: Kind[T], made: T, output: Output, what: str) -> None:
    """Print a proposal that waits."""
    output.result(kind.shown(made), f"{what} waits for another officer.")


def register(app: typer.Typer, kind: Kind[T]) -> None:
    """Add the three commands to a group."""

    @app.command(help=kind.approving)
    def approve(
        proposal: ProposalId, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False
    ) -> None:
        sign = signs(key, signature)
        with opened() as vault:
            kind.approve(vault, proposal, officer, sign, Output(json=json))

    @app.command(help=kind.withdrawing)
    def withdraw(
        proposal: ProposalId, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False
    ) -> None:
        sign = signs(key, signature)
        with opened() as vault:
            made = kind.withdraw(vault, proposal, officer, sign)
        Output(json=json).result(kind.shown(made), f"Proposal {made.id} is withdrawn.")

    @app.command("list", help=f"List {kind.plural}, newest first.")
    def list_(*, json: Json = False) -> None:
        with opened() as vault, vault.reading() as conn:
            rows = [kind.shown(each) for each in kind.listed(conn)]
        Output(json=json).rows(kind.plural, kind.columns, rows)
