"""Commands on policy bundles: check one, explain a decision. They need no vault."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api import bundles
from api.cli.output import Exit, Json, Output, fail
from policies.errors import InvalidBundle, UnknownField, UnknownPurpose
from policies.explain import Explanation
from policies.explain import explain as explain_decision
from policies.model import Caller, ConsentStatus, DecisionRequest, Level, SubjectFacts, Wanted

app = typer.Typer(help="Policy bundles: check, explain.", no_args_is_help=True)

Bundle = Annotated[Path | None, typer.Option("--bundle", help="Bundle folder; the built-in one if left out.")]


@app.command()
def check(*, bundle: Bundle = None, json: Json = False) -> None:
    """Read a bundle as the service would, and say what is wrong with it."""
    output = Output(json=json)
    try:
        found = bundles.load(bundle)
    except InvalidBundle as error:
        output.result({"valid": False, "findings": list(error.findings)}, "\n".join(error.findings))
        raise typer.Exit(Exit.FAILED) from None
    fields, purposes = len(found.catalogue.fields), len(found.purposes.every)
    document = {"valid": True, "bundle": found.name, "hash": found.hash.hex(), "fields": fields, "purposes": purposes}
    text = f"{found.name}: {len(found.catalogue.categories)} categories, {fields} fields, {purposes} purposes, "
    output.result(document, f"{text}hash {found.hash.hex()}")


@app.command()
def explain(
    purpose: Annotated[str, typer.Argument(help="The purpose asked for.")],
    fields: Annotated[list[str], typer.Argument(help="Fields as name:level or name:predicate:which.")],
    *,
    brand: Annotated[str, typer.Option(help="The asking system's brand.")] = "aurelle",
    consent: Annotated[list[str] | None, typer.Option(help="A purpose with consent given; repeat.")] = None,
    region: Annotated[str, typer.Option(help="The subject's region.")] = "eu",
    staffed: Annotated[bool, typer.Option("--staffed", help="A member of staff stands behind the request.")] = False,
    minor: Annotated[bool, typer.Option("--minor", help="The subject is a minor.")] = False,
    restricted: Annotated[bool, typer.Option("--restricted", help="Processing is restricted.")] = False,
    bundle: Bundle = None,
    json: Json = False,
) -> None:
    """Say what would be decided for a made-up subject, by which rule, and what the nearest rules lacked."""
    facts = SubjectFacts(
        known_to_brand=True,
        erased=False,
        restricted=restricted,
        minor=minor,
        region=region,
        consents=dict.fromkeys(consent or (), ConsentStatus.GIVEN),
    )
    caller = Caller("explained", brand, frozenset({purpose}), staffed)
    request = DecisionRequest(caller, facts, purpose, tuple(_wanted(each) for each in fields))
    try:
        found = explain_decision(request, bundles.load(bundle))
    except UnknownPurpose:
        raise fail("the bundle has no such purpose", Exit.USAGE) from None
    except UnknownField:
        raise fail("the catalogue has no such field", Exit.USAGE) from None
    Output(json=json).result(_document(found), found.text())


def _wanted(text: str) -> Wanted:
    name, _, rest = text.partition(":")
    level, _, predicate = rest.partition(":")
    try:
        return Wanted(name, Level(level or Level.RAW), predicate)
    except ValueError:
        raise fail(f"levels are {', '.join(Level)}", Exit.USAGE) from None


def _document(found: Explanation) -> dict[str, Any]:
    return {
        "purpose": found.purpose,
        "basis": found.basis,
        "policy_hash": found.policy_hash.hex(),
        "fields": [
            {"name": each.wanted.field, "asked": each.wanted.level, "granted": each.granted, "why": each.text()}
            for each in found.fields
        ],
    }
