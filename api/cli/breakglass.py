"""Commands on break-glass: ask, read, approve or refuse, look, review. Each is signed by the officer who gives it."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.opened import opened
from api.cli.output import Exit, Json, Output, fail, moment
from api.cli.policy import wanted_of
from api.cli.signing import Key, Officer, OwnKey, Signature, signs
from policies.errors import UnknownField
from vault.errors import IntegrityFailure
from vault.governance import breakglass, cases
from vault.governance.cases import USUAL, Asked, Case, Finding, State, Step
from vault.revealed import Revealed

group = typer.Typer(
    help="Break-glass: access in an emergency, under two signatures, reviewed afterwards.", no_args_is_help=True
)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="break-glass")


Name = Annotated[str, typer.Argument(metavar="CASE", help="The case's id.")]


@group.command()
def ask(
    fields: Annotated[list[str], typer.Argument(help="Fields as name:level or name:predicate:which.")],
    officer: Officer,
    key: OwnKey,
    *,
    brand: Annotated[str, typer.Option(help="The brand that knows the subject.")],
    reference_file: Annotated[Path, typer.Option(help="File with the subject's reference; `-` for standard input.")],
    reason_file: Annotated[Path, typer.Option(help="File that says why, for who approves and who reviews; or `-`.")],
    bearer: Annotated[str | None, typer.Option(help="The officer who is to look; who asks, if left out.")] = None,
    minutes: Annotated[int, typer.Option(min=1, max=cases.LONGEST, help="How long, from the approval on.")] = USUAL,
    json: Json = False,
) -> None:
    """Ask for fields of one person. Nothing is seen until another officer approves.

    Neither who it is nor why is ever an argument: the list of processes and the shell's history keep those.
    """
    reference, reason = _read(reference_file, "reference"), _read(reason_file, "reason")
    sign = signs(key, None)
    wanted = tuple(wanted_of(each) for each in fields)
    with opened() as vault:
        try:
            made = breakglass.ask(
                vault, Asked(brand, reference, wanted, bearer or officer, minutes, reason), officer, sign
            )
        except UnknownField:
            raise fail("the catalogue has no such field", Exit.USAGE) from None
    text = (
        f"Case {made.name} is asked. Another officer: `ecrin break-glass show {made.name}`, then `approve` or `refuse`."
    )
    Output(json=json).result(_shown(made), text)


@group.command("list")
def list_(*, json: Json = False) -> None:
    """List all cases, the newest first."""
    with opened() as vault, vault.reading() as conn:
        rows = [_shown(each, vault.clock.now()) for each in cases.listed(conn)]
    columns = ("case", "state", "asked", "asked_by", "bearer", "approved_by", "looks", "reviewed_by", "finding")
    Output(json=json).rows("cases", columns, rows)


@group.command()
def show(case: Name, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False) -> None:
    """Show what a case asks for and why: what to read before deciding, and before a review. Logged, with who reads it."""
    sign = signs(key, signature)
    with opened() as vault:
        found, asked = breakglass.show(vault, _id(case), officer, sign)
        document = _shown(found, vault.clock.now()) | {"reference": asked.reference, "reason": asked.reason}
    lines = [f"{name}: {value}" for name, value in document.items()]
    Output(json=json).result(document, "\n".join(lines))


@group.command()
def approve(case: Name, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False) -> None:
    """Approve a case as the second officer. Its minutes begin now."""
    sign = signs(key, signature)
    with opened() as vault:
        made = breakglass.approve(vault, _id(case), officer, sign)
    Output(json=json).result(_shown(made), f"Case {made.name} is approved until {moment(made.expires_at)}.")


@group.command()
def refuse(case: Name, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False) -> None:
    """Refuse a case as the second officer."""
    sign = signs(key, signature)
    with opened() as vault:
        made = breakglass.refuse(vault, _id(case), officer, sign)
    Output(json=json).result(_shown(made), f"Case {made.name} is refused.")


@group.command()
def disclose(case: Name, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False) -> None:
    """Show what the case asks for, to the officer it names, while its minutes last. Logged before anything opens."""
    sign = signs(key, signature)
    with opened() as vault:
        _, revealed = breakglass.disclose(vault, _id(case), officer, sign)
    fields = _fields(revealed)
    text = "\n".join(f"{each['name']} ({each['level']}): {each['value']}" for each in fields)
    Output(json=json).result({"case": case, "fields": fields}, text)


@group.command()
def review(
    case: Name,
    officer: Officer,
    *,
    finding: Annotated[Finding, typer.Option(help="What the review found.")],
    key: Key = None,
    signature: Signature = None,
    json: Json = False,
) -> None:
    """Say of a case that is over whether it was justified."""
    sign = signs(key, signature)
    with opened() as vault:
        made = breakglass.review(vault, _id(case), finding, officer, sign)
    Output(json=json).result(_shown(made), f"Case {made.name} is reviewed: {made.finding}.")


def _id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise fail("a case is named by 32 hexadecimal digits", Exit.USAGE) from None


def _read(path: Path, what: str) -> str:
    try:
        return (sys.stdin.read() if path == Path("-") else path.read_text("utf-8")).strip()
    except (OSError, UnicodeDecodeError):
        raise fail(f"the file with the {what} cannot be read", Exit.USAGE) from None


def _fields(revealed: Revealed) -> list[dict[str, Any]]:
    return [
        {"name": name, "level": None, "value": None, "error": part.code}
        if isinstance(part, IntegrityFailure)
        else {"name": name, "level": part.level, "value": part.value}
        for name, part in revealed
    ]


def _shown(case: Case, now: int | None = None) -> dict[str, Any]:
    over = now is not None and case.state is State.APPROVED and case.expires_at is not None and case.expires_at <= now
    return {
        "case": case.name,
        "state": "over" if over else case.state,
        "brand": case.brand,
        "fields": " ".join(f"{each.field}:{each.predicate or each.level}" for each in case.wanted),
        "minutes": case.minutes,
        "asked": moment(case.asked_at),
        "asked_by": case.steps.get(Step.ASK, ""),
        "bearer": case.bearer,
        "approved_by": case.steps.get(Step.APPROVE, ""),
        "expires": moment(case.expires_at),
        "looks": case.disclosures,
        "reviewed_by": case.reviewed_by,
        "finding": case.finding or "",
    }
