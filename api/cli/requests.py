"""Commands on requests of data subjects: the register, one request, each step of its way, its figures. Officers sign."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.opened import opened
from api.cli.output import Exit, Json, Output, fail, moment
from api.cli.signing import Key, Officer, Signature, signs
from api.packages.handing import file_of
from api.packages.sealed import InvalidKey
from policies.deadlines import days_left
from policies.rights import Assurance, Right
from vault.governance import desk
from vault.keys.private_file import write_private
from vault.requests import acts, delivering, erasing, handling, records, statistics, withholding
from vault.requests.erasing import Plan
from vault.requests.records import Ground, Request, Wanted
from vault.requests.states import Move, moves_from
from vault.requests.steps import By, by_officer
from vault.unit import Vault

group = typer.Typer(help="Requests of data subjects: the register, the steps, the figures.", no_args_is_help=True)


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="request")


Name = Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.")]
Reason = Annotated[
    str, typer.Option("--reason", help="A code: of a halt, of more time, of a failed check, a decision.")
]


@group.command("list")
def list_(
    officer: Officer,
    *,
    brand: Annotated[str | None, typer.Option(help="Of this brand alone.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    json: Json = False,
) -> None:
    """List the register, the one due first at the top. Names nobody; that it was looked at is on record."""
    with opened() as vault:
        found = handling.register(vault, Wanted(brand=brand, open_only=not every), by_officer(officer))
        rows = [_row(vault, each) for each in found]
    columns = ("request", "right", "brand", "state", "due", "days_left", "outcome")
    Output(json=json).rows("requests", columns, rows)


@group.command()
def show(
    request: Name,
    officer: Officer,
    *,
    content: Annotated[
        bool, typer.Option("--content", help="With what the person wrote; on record before it opens.")
    ] = False,
    key: Key = None,
    signature: Signature = None,
    json: Json = False,
) -> None:
    """Show a request: where it stands, every step so far, which steps there are now."""
    with opened() as vault:
        found, steps = handling.history(vault, records.identifier(request))
        document: dict[str, Any] = _row(vault, found) | {
            "steps": [
                {
                    "step": each.number,
                    "move": each.move,
                    "by": each.actor_id,
                    "at": moment(each.at),
                    "said": list(each.said),
                }
                for each in steps
            ],
            "moves": [str(each) for each in moves_from(found.right, found.state)],
        }
        if withholding.possible(found.right, found.state):
            document["unread_texts"] = withholding.unread(vault, found)
        if content:
            _, written = handling.view(vault, found.id, by_officer(officer, signs(key, signature)))
            document |= {"words": written.words, "values": dict(written.values), "notes": list(written.notes)}
    Output(json=json).result(document, "\n".join(f"{name}: {value}" for name, value in document.items()))


@group.command()
def advance(
    request: Name,
    move: Annotated[Move, typer.Argument(help="The step, as `show` names them.")],
    officer: Officer,
    *,
    reason: Reason = "",
    ground: Annotated[Ground | None, typer.Option(help="Of a refusal.")] = None,
    keep: Annotated[list[str] | None, typer.Option("--keep", help="Refuse only what concerns this category.")] = None,
    rung: Annotated[Assurance | None, typer.Option(help="How staff satisfied themselves of who asks.")] = None,
    answer: Annotated[
        Path | None, typer.Option(help="File with the answer to the person, in words: of a review, of a complaint.")
    ] = None,
    without_letter: Annotated[
        bool,
        typer.Option(
            "--without-letter",
            help="Execute though the letter with the certificate's number has not gone: it is told in another way.",
        ),
    ] = False,
    key: Key = None,
    signature: Signature = None,
    json: Json = False,
) -> None:
    """Take one step of a request, signed by the officer."""
    by = by_officer(officer, signs(key, signature))
    with opened() as vault:
        words = "" if answer is None else _read(answer)
        if move is Move.EXECUTE:
            found = erasing.execute(vault, records.identifier(request), by, without_letter=without_letter)
            plan = None
        else:
            found, plan = _advance(
                vault, records.identifier(request), move, by, reason, ground, keep or [], rung, words
            )
        document: dict[str, Any] = _row(vault, found)
    text = f"Request {found.name} is {found.state}."
    if plan is not None:
        document["plan"] = {
            "hash": plan.hash,
            "destroyed": list(plan.destroyed),
            "kept": [each.category for each in plan.kept],
        }
        text += f" Destroyed: {', '.join(plan.destroyed) or 'nothing'}. Kept: "
        text += ", ".join(f"{each.category} ({each.because}: {each.reason})" for each in plan.kept) or "nothing"
    Output(json=json).result(document, text)


@group.command()
def message(
    request: Name,
    move: Move,
    officer: Officer,
    *,
    said: Annotated[str, typer.Option(help="Its codes, separated by spaces.")] = "",
) -> None:
    """Print the text of the officer's next step, for a signature made elsewhere."""
    with opened() as vault, vault.reading() as conn:
        found = records.get(conn, records.identifier(request))
        step = records.step(found.id, found.version + 1, said.split())
        text = desk.next_text(vault, conn, step, move, officer)
    typer.echo(text.decode(), nl=False)


@group.command()
def package(
    request: Name,
    officer: Officer,
    *,
    to: Annotated[Path, typer.Option(help="File to write, mode 0600. Sealed if the person gave a key.")],
    key: Key = None,
    signature: Signature = None,
    json: Json = False,
) -> None:
    """Make the access package of a request that is ready, to be handed over. It is kept nowhere else."""
    by = by_officer(officer, signs(key, signature))
    with opened() as vault:
        gathered, written = delivering.hand_over(vault, records.identifier(request), by)
        try:
            content, _ = file_of(vault, gathered, written.key)
        except InvalidKey:
            raise fail("the person's key cannot be sealed to", Exit.FAILED) from None
    if not write_private(to, content, request):
        raise fail("a file of this name exists", Exit.USAGE)
    Output(json=json).result(
        {"request": request, "bytes": len(content), "sealed": bool(written.key)}, f"Written to {to}."
    )


@group.command()
def texts(
    request: Name,
    officer: Officer,
    *,
    key: Key = None,
    signature: Signature = None,
    json: Json = False,
) -> None:
    """Read the free texts that the package of a request would give, while it is reviewed; on record before they open.

    What was read and not kept back counts as read once the review ends with `prepare`.
    """
    with opened() as vault:
        found = withholding.texts(vault, records.identifier(request), by_officer(officer, signs(key, signature)))
    rows = [
        {
            "field": each.of.name, "item": each.item, "source": each.source, "recorded": moment(each.recorded_at),
            "stands": each.stands, "ground": "" if each.ground is None else each.ground.value, "text": each.text,
        }
        for each in found
    ]  # fmt: skip
    Output(json=json).result({"texts": rows}, "\n\n".join(map(_spelt, rows)) or "Nobody wrote anything freely.")


Of = Annotated[str, typer.Argument(metavar="FIELD", help="The field of the text, as `texts` names it.")]
Item = Annotated[int, typer.Argument(metavar="ITEM", min=0, help="Its number there; 0 for a field with one value.")]


@group.command()
def withhold(
    request: Name,
    field: Of,
    item: Item,
    officer: Officer,
    *,
    ground: Annotated[Ground, typer.Option(help="Why: the person is told.")],
    key: Key = None,
    signature: Signature = None,
    json: Json = False,
) -> None:
    """Keep one text back from its person, in packages and at the portal, while its request is reviewed."""
    by = by_officer(officer, signs(key, signature))
    with opened() as vault:
        withholding.withhold(vault, records.identifier(request), field, item, ground, by)
    document = {"request": request, "field": field, "item": item, "ground": ground.value}
    Output(json=json).result(document, f"{field} {item} is kept back: {ground}.")


@group.command()
def give(
    request: Name,
    field: Of,
    item: Item,
    officer: Officer,
    *,
    key: Key = None,
    signature: Signature = None,
    json: Json = False,
) -> None:
    """Keep a text back no longer: the package gives it, and the portal once this review has ended."""
    by = by_officer(officer, signs(key, signature))
    with opened() as vault:
        withholding.give(vault, records.identifier(request), field, item, by)
    Output(json=json).result(
        {"request": request, "field": field, "item": item, "ground": ""}, f"{field} {item} is kept back no longer."
    )


@group.command()
def figures(
    *,
    year: Annotated[int, typer.Option(min=2018, max=9998, help="Requests received in this year (UTC).")],
    json: Json = False,
) -> None:
    """Count requests by brand and right: how they ended, how long they took, how many were late."""
    since, until = (int(datetime(each, 1, 1, tzinfo=UTC).timestamp()) for each in (year, year + 1))
    with opened() as vault, vault.reading() as conn:
        found = statistics.counted(conn, vault.bundle.rights, vault.clock.now(), since, until)
    rows = [
        {
            "brand": each.brand, "right": each.right.value, "received": each.received, "open": each.open, "late": each.late,
            "extended": each.extended, "median_days": each.median_days, "outcomes": each.outcomes, "grounds": each.grounds,
        }
        for each in found
    ]  # fmt: skip
    columns = ("brand", "right", "received", "open", "late", "extended", "median_days", "outcomes", "grounds")
    Output(json=json).rows("figures", columns, rows)


def _advance(
    vault: Vault, request_id: bytes, move: Move, by: By, reason: str, ground: Ground | None, keep: list[str],
    rung: Assurance | None, answer: str,
) -> tuple[Request, Plan | None]:  # fmt: skip
    if move is Move.PROPOSE_REFUSAL:
        if ground is None:
            raise fail("a refusal needs --ground", Exit.USAGE)
        return handling.propose_refusal(vault, request_id, ground, by, keep), None
    if move in {Move.CONFIRM_REFUSAL, Move.CONFIRM_PARTIAL, Move.REJECT_REFUSAL}:
        return handling.decide_refusal(vault, request_id, by, confirm=move is not Move.REJECT_REFUSAL), None
    if move is Move.ACCEPT_IDENTITY:
        if rung is None:
            raise fail("an identity needs --rung", Exit.USAGE)
        return handling.accept(vault, request_id, rung, by), None
    if move is Move.CHECK_HOLDS:
        return erasing.check_holds(vault, request_id, by)
    if move is Move.REHEARSE:
        return erasing.rehearse(vault, request_id, by)
    if move is Move.CARRY_OUT:
        return _carry_out(vault, request_id, by, reason, answer), None
    acted = {Move.APPROVE: erasing.approve, Move.PREPARE: delivering.prepare}
    if move in acted:
        return acted[move](vault, request_id, by), None
    return handling.advance(vault, request_id, move, by, reason=reason), None


def _spelt(row: Mapping[str, Any]) -> str:
    """Write a text below where it stands. In no table: what somebody wrote is no markup."""
    told = [f"{row['field']} {row['item']}", row["source"], row["recorded"]]
    told += [] if row["stands"] else ["replaced"]
    told += [f"kept back: {row['ground']}"] if row["ground"] else []
    return f"{', '.join(told)}\n{row['text']}"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise fail("the file with the answer cannot be read", Exit.USAGE) from None


def _carry_out(vault: Vault, request_id: bytes, by: By, decision: str, answer: str) -> Request:
    right = handling.history(vault, request_id)[0].right
    if right is Right.RECTIFICATION:
        return acts.rectify(vault, request_id, by)
    if right is Right.RESTRICTION:
        return acts.restrict(vault, request_id, by)
    return handling.decide(vault, request_id, by, decision, answer)


def _row(vault: Vault, request: Request) -> dict[str, Any]:
    rights, now = vault.bundle.rights, vault.clock.now()
    return {
        "request": request.name,
        "right": request.right.value,
        "brand": request.brand,
        "state": request.state.value,
        "due": moment(request.due(rights, now)),
        "days_left": days_left(request.rule(rights), request.clock, now) if request.is_owed else None,
        "outcome": request.outcome.value,
        "ground": "" if request.ground is None else request.ground.value,
        "assurance": request.assurance.value,
        "received": moment(request.clock.received_at),
    }
