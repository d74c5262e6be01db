"""Commands on systems, the OAuth clients of brands: add, list, allow, keys, disable, enable."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail
from api.cli.signing import Key, Officer, Signature, signs
from vault import systems
from vault.budgetlimits import DEFAULT, Budgets
from vault.governance import enabling
from vault.systems import NewSystem, SystemRecord

group = typer.Typer(help="Systems: the OAuth clients of brands.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="system")


Id = Annotated[str, typer.Argument(help="The client id, e.g. aurelle-paris-pos.")]


@group.command()
def add(
    system_id: Id,
    brand: Annotated[str, typer.Option(help="The brand it belongs to.")],
    jwks: Annotated[Path, typer.Option(help="File with its public keys, a JSON Web Key Set.")],
    *,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="A scope it may ask for; repeat.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="A purpose it may ask for; repeat.")] = None,
    imports_for: Annotated[list[str] | None, typer.Option(help="Another brand it may import for; repeat.")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help="A limit, <system|staff|purpose[=key]>:<people|weight>:<quota>/<window>; repeat. See docs."),
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(help="A network it may call from; repeat. None: any.")] = None,
    json: Json = False,
) -> None:
    """Register a system by its public keys. Private key members are refused."""
    new = NewSystem(
        id=system_id,
        brand=brand,
        name=name or system_id,
        jwks=_keys(jwks),
        scopes=frozenset(scope or ()),
        purposes=frozenset(purpose or ()),
        brands=frozenset(imports_for or ()),
        budgets=Budgets(budget) if budget else DEFAULT,
        networks=tuple(allow or ()),
    )
    with opened() as vault:
        known = {each.key for each in vault.bundle.purposes.every}
        if unknown := sorted(new.purposes - known):
            raise fail(f"no such purpose in the bundle: {', '.join(unknown)}", Exit.USAGE)
        with vault.unit() as uow:
            made = systems.register(uow, new, OPERATOR)
            uow.commit()
    Output(json=json).result(_shown(made), f"System {made.id} of {made.brand} is registered.")


@group.command("list")
def list_(*, json: Json = False) -> None:
    """List all systems."""
    with opened() as vault, vault.reading() as conn:
        rows = [_shown(each) for each in systems.listed(conn)]
    Output(json=json).rows("systems", ("id", "brand", "status", "scopes", "purposes"), rows)


@group.command()
def disable(system_id: Id, *, json: Json = False) -> None:
    """Forbid a system to act. Every token it holds is dead at its next use."""
    with opened() as vault, vault.unit() as uow:
        disabled = systems.disable(uow, system_id, OPERATOR)
        uow.commit()
    Output(json=json).result(_shown(disabled), f"System {disabled.id} is disabled.")


@group.command("allow")
def allow_(
    system_id: Id,
    *,
    network: Annotated[list[str] | None, typer.Option(help="A network it may call from; repeat. None: any.")] = None,
    json: Json = False,
) -> None:
    """Replace the networks that a system may call from."""
    with opened() as vault, vault.unit() as uow:
        changed = systems.allow(uow, system_id, network or (), OPERATOR)
        uow.commit()
    where = ", ".join(map(str, changed.networks)) or "anywhere"
    Output(json=json).result(_shown(changed), f"System {changed.id} may call from {where}.")


@group.command("keys")
def keys_(
    system_id: Id,
    jwks: Annotated[Path, typer.Option(help="File with all of its public keys from now on, a JSON Web Key Set.")],
    *,
    compromised: Annotated[bool, typer.Option("--compromised", help="Kill every token that is out, too.")] = False,
    json: Json = False,
) -> None:
    """Replace the keys a system proves itself with. Give old and new together first to rotate without a gap."""
    given = _keys(jwks)
    with opened() as vault, vault.unit() as uow:
        changed = systems.replace_keys(uow, system_id, given, OPERATOR, compromised=compromised)
        uow.commit()
    named = ", ".join(each["kid"] for each in changed.jwks["keys"])
    Output(json=json).result(_shown(changed), f"System {changed.id} proves itself with {named} from now on.")


@group.command()
def enable(
    system_id: Id, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False
) -> None:
    """Let a disabled or frozen system act again, on the word of an officer; its old tokens stay dead."""
    sign = signs(key, signature)
    with opened() as vault:
        enabled = enabling.enable(vault, system_id, officer, sign)
    Output(json=json).result(_shown(enabled), f"System {enabled.id} is active again.")


def _keys(path: Path) -> dict[str, Any]:
    try:
        keys = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        raise fail("the key set cannot be read as JSON", Exit.USAGE) from None
    if not isinstance(keys, dict):
        raise fail("the key set is no JSON object", Exit.USAGE)
    return keys


def _shown(system: SystemRecord) -> dict[str, Any]:
    return {
        "id": system.id,
        "brand": system.brand,
        "name": system.name,
        "status": system.status,
        "scopes": " ".join(sorted(system.scopes)),
        "purposes": " ".join(sorted(system.purposes)),
        "brands": " ".join(sorted(system.brands)),
        "budgets": " ".join(system.budgets.spelt),
        "networks": " ".join(map(str, system.networks)),
    }
