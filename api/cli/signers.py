"""`ecrin signer`: the keys that sign attestations, status lists and events, listed and rotated."""

from typing import Annotated

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Json, Output, moment
from vault import signers
from vault.signers import OVERLAP_SECONDS, SignedAs

group = typer.Typer(no_args_is_help=True, help="Keys that sign attestations, status lists, events and introspections.")


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="signer")


@group.command("list")
def list_(*, json: Json = False) -> None:
    """List the keys that are published."""
    with opened() as vault, vault.reading() as conn:
        found = signers.published(conn, vault.clock.now())
    rows = [{"kid": each.kid, "signs": each.purpose} for each in found]
    Output(json=json).rows("signers", ("kid", "signs"), rows)


@group.command()
def rotate(
    *,
    signs: Annotated[SignedAs, typer.Option(help="Whose key: what it signs.")] = SignedAs.ATTESTATION,
    json: Json = False,
) -> None:
    """Draw a new key; the one before verifies as long as anything it signed may be shown."""
    with opened() as vault:
        with vault.unit() as uow:
            kid = signers.rotate(uow, signs, OPERATOR)
            uow.commit()
        until = vault.clock.now() + OVERLAP_SECONDS
    text = f"Key {kid} signs from now on. The one before is published until {moment(until)}."
    Output(json=json).result({"kid": kid, "overlap_until": until}, text)
