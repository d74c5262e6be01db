"""Commands on policy bundles: check one, explain a decision, compare two, replay the log against a draft."""

from typing import Annotated, Any

import typer

from api.cli import bundlenames, policyversions
from api.cli.opened import opened
from api.cli.output import Exit, Json, Output, fail
from audit.findings import how_many
from policies.difference import differences
from policies.errors import InvalidBundle, UnknownField, UnknownPurpose
from policies.explain import Explanation
from policies.explain import explain as explain_decision
from policies.model import Caller, ConsentStatus, DecisionRequest, Level, SubjectFacts, Wanted
from policies.succession import succession_findings
from vault.governance import replays

group = typer.Typer(
    help="Policy bundles: check, explain, compare, replay; and the vault's versions of them.", no_args_is_help=True
)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    policyversions.install(group)
    app.add_typer(group, name="policy")


Bundle = Annotated[str | None, typer.Option("--bundle", help=f"{bundlenames.HELP} The built-in one if left out.")]


@group.command()
def check(*, bundle: Bundle = None, json: Json = False) -> None:
    """Read a bundle as the service would, put the floor probes to it, and say what is wrong with it."""
    output = Output(json=json)
    try:
        found = bundlenames.load(bundle)
    except InvalidBundle as error:
        output.result({"valid": False, "findings": list(error.findings)}, "\n".join(error.findings))
        raise typer.Exit(Exit.FAILED) from None
    fields, purposes = len(found.catalogue.fields), len(found.purposes.every)
    document = {"valid": True, "bundle": found.name, "hash": found.hash.hex(), "fields": fields, "purposes": purposes}
    text = f"{found.name}: {how_many(len(found.catalogue.categories), 'category', 'categories')}, {how_many(fields, 'field')}, {how_many(purposes, 'purpose')}, "
    output.result(document, f"{text}hash {found.hash.hex()}")


@group.command()
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
    request = DecisionRequest(caller, facts, purpose, tuple(wanted_of(each) for each in fields))
    try:
        found = explain_decision(request, bundlenames.load(bundle))
    except UnknownPurpose:
        raise fail("the bundle has no such purpose", Exit.USAGE) from None
    except UnknownField:
        raise fail("the catalogue has no such field", Exit.USAGE) from None
    Output(json=json).result(_document(found), found.text())


@group.command()
def diff(
    old: Annotated[str, typer.Argument(help=bundlenames.HELP)],
    new: Annotated[str, typer.Argument(help="The other one, named likewise.")],
    *,
    json: Json = False,
) -> None:
    """Say in words what changes from one bundle to another: rules by id, purposes, catalogue, notices; name other files that do."""
    before, after = (bundlenames.load(each) for each in (old, new))
    found = [*differences(before, after)]
    breaks = succession_findings(before, after)
    document = {
        "old": before.hash.hex(),
        "new": after.hash.hex(),
        "changes": [{"part": c.part, "kind": c.kind, "name": c.name, "words": list(c.words)} for c in found],
        "forbidden": list(breaks),
    }
    lines = [*(each.text() for each in found), *(f"not allowed: {each}" for each in breaks)]
    Output(json=json).result(document, "\n".join(lines) or "Nothing changes.")


@group.command()
def replay(
    draft: Annotated[str, typer.Argument(help=bundlenames.HELP)],
    *,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How far back in the log.")] = 31,
    json: Json = False,
) -> None:
    """Put the log's real decisions to a draft, beside the bundle in force, and list those that come out otherwise.

    The log does not hold who was asked about: staff, region and the level asked for are supposed in every way that fits
    the entry, and refusals by floors are not replayed.
    """
    bundle = bundlenames.load(draft)
    with opened() as vault:
        report = replays.replay(vault, bundle, vault.clock.now() - days * 86_400)
    rows = [
        {
            "count": count, "verdict": flip.replayed.verdict, "system": flip.record.system_id,
            "purpose": flip.record.purpose, "field": flip.record.field, "before": flip.replayed.before,
            "after": " or ".join(flip.replayed.after),
        }
        for flip, count in report.flips
    ]  # fmt: skip
    output = Output(json=json)
    if json:
        document = {"bundle": bundle.hash.hex(), "entries": report.entries, "fields": report.fields}
        output.result(document | {"flips": rows, "untold": report.untold}, "")
        return
    output.rows("flips", ("count", "verdict", "system", "purpose", "field", "before", "after"), rows)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(report.fields.items()))
    output.result(
        {}, f"{how_many(report.entries, 'entry', 'entries')} of {how_many(days, 'day')}; fields: {counted or 'none'}"
    )


def wanted_of(text: str) -> Wanted:
    """Read a wish as a command line writes it: name:level, or name:predicate:which."""
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
