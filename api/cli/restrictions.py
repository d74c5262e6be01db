"""Commands on restrictions of processing: restrict, lift, list. Whose data it is stands in no output and no log line."""

from typing import Annotated

import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail, moment
from vault import restrictions
from vault.errors import VaultError
from vault.restrictions import Ground, Lift, Restrict, Restricted
from vault.unit import execute

group = typer.Typer(help="Restrict what is known of a person to legal claims; lift that; list.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="restriction")


Brand = Annotated[str, typer.Option(help="The brand at which it is placed, and whose reference it is.")]
Reference = Annotated[str, typer.Option(help="The reference under which that brand knows the person.")]
GroundGiven = Annotated[Ground, typer.Option(help="Why: GDPR Art. 18(1). `restored` is the vault's own, to be lifted.")]


@group.command("place")
def place(*, brand: Brand, reference: Reference, ground: GroundGiven, json: Json = False) -> None:
    """Restrict the processing of a person's data, at every brand. Outstanding tokens die; brands' systems are told."""
    if ground is Ground.RESTORED:
        raise fail("`restored` is the vault's own ground", Exit.USAGE)
    with opened() as vault:
        (done,) = execute(vault, restrictions.restrictions, [Restrict(brand, reference, ground, OPERATOR)])
    _tell(done, ground, f"Restricted on the ground of {ground}: what is left is storage and legal claims.", json=json)


@group.command("lift")
def lift(
    *,
    brand: Brand,
    reference: Reference,
    ground: GroundGiven,
    informed: Annotated[bool, typer.Option("--informed", help="The person was told before (Art. 18(3)).")] = False,
    json: Json = False,
) -> None:
    """Lift a restriction. The person has to be told before, and the log says that they were."""
    if not informed:
        raise fail("tell the person first, then say --informed (GDPR Art. 18(3))", Exit.USAGE)
    with opened() as vault:
        (done,) = execute(vault, restrictions.liftings, [Lift(brand, reference, ground, OPERATOR)])
    left = isinstance(done, Restricted) and done.stands
    text = f"Lifted: {ground}. " + ("Another restriction still stands." if left else "No restriction stands any more.")
    _tell(done, ground, text, json=json)


@group.command("list")
def list_restrictions(
    *,
    lifted: Annotated[bool, typer.Option("--all", help="Those lifted as well.")] = False,
    json: Json = False,
) -> None:
    """List restrictions. Names nobody."""
    with opened() as vault, vault.reading() as conn:
        rows = [
            {
                "brand": each.brand or "the vault's own",
                "ground": each.ground.value,
                "placed": moment(each.placed_at),
                "by": each.placed_by,
                "lifted": moment(each.lifted_at),
            }
            for each in restrictions.listed(conn, lifted=lifted)
        ]
    Output(json=json).rows("restrictions", ("brand", "ground", "placed", "by", "lifted"), rows)


def _tell(done: Restricted | VaultError, ground: Ground, text: str, *, json: bool) -> None:
    if isinstance(done, VaultError):
        raise done
    Output(json=json).result({"ground": ground.value, "restricted": done.stands}, text)
