"""Commands on the policy versions of a vault: propose, sign, refuse, put in force, list, export."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api import bundles
from api.cli.opened import OPERATOR, opened
from api.cli.output import Exit, Json, Output, fail, moment
from api.cli.signing import Key, Officer, Signature, signs
from policies.bundle import bundle_hash
from vault.governance import versions
from vault.governance.signatures import Signed
from vault.governance.versions import Version
from vault.governance.versionsigning import Part, version_of

Name = Annotated[str, typer.Argument(help="The version: its number, the start of its hash, or `active`.")]
Folder = Annotated[Path, typer.Argument(help="The bundle's folder.")]


def install(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("list", list_),
        ("propose", propose),
        ("sign", sign),
        ("refuse", refuse),
        ("activate", activate),
        ("export", export),
        ("message", message),
    ):
        app.command(name)(command)


def list_(*, json: Json = False) -> None:
    """List the vault's policy versions."""
    with opened() as vault, vault.reading() as conn:
        rows = [_shown(each) for each in versions.listed(conn)]
    Output(json=json).rows("versions", ("number", "state", "name", "hash", "author", "approver", "changed"), rows)


def propose(
    folder: Folder, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False
) -> None:
    """Propose a bundle as its author: it is checked, stored as a draft, and signed."""
    made_by = signs(key, signature)
    name, files = bundles.read(folder)
    with opened() as vault:
        made = versions.propose(vault, files, name, officer, made_by)
    _told(
        made, f"Version {made.number} is proposed. Another officer signs: `ecrin policy sign {made.number}`.", json=json
    )


def sign(version: Name, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False) -> None:
    """Sign a draft as the second officer. Read it first: `ecrin policy diff active VERSION`."""
    made_by = signs(key, signature)
    with opened() as vault:
        with vault.reading() as conn:
            number = versions.named(conn, version).number
        made = versions.approve(vault, number, officer, made_by)
    _told(
        made, f"Version {made.number} is approved. `ecrin policy activate {made.number}` puts it in force.", json=json
    )


def refuse(
    version: Name, officer: Officer, *, key: Key = None, signature: Signature = None, json: Json = False
) -> None:
    """Refuse a draft or an approved version for good."""
    made_by = signs(key, signature)
    with opened() as vault:
        with vault.reading() as conn:
            number = versions.named(conn, version).number
        made = versions.refuse(vault, number, officer, made_by)
    _told(made, f"Version {made.number} is refused.", json=json)


def activate(version: Name, *, json: Json = False) -> None:
    """Put an approved version in force. Every serving process takes it up within seconds."""
    with opened() as vault:
        with vault.reading() as conn:
            number = versions.named(conn, version).number
        made = versions.activate(vault, number, OPERATOR)
    _told(made, f"Version {made.number} is in force.", json=json)


def export(version: Name, folder: Folder, *, json: Json = False) -> None:
    """Write a version's files to a new folder, exactly as they were signed."""
    with opened() as vault, vault.reading() as conn:
        found = versions.named(conn, version)
        _, files = versions.stored(conn, found.number)
    try:
        bundles.write(folder, files)
    except OSError as error:
        raise fail(f"cannot write the folder: {error.strerror}", Exit.USAGE) from None
    _told(found, f"Version {found.number} is written to {folder}.", json=json)


def message(
    bundle: Annotated[str, typer.Argument(help="A version to sign or refuse, or a folder to propose.")],
    part: Annotated[Part, typer.Option(help="As what you sign.")],
) -> None:
    """Print the text that a signature made elsewhere covers. It ends with a line break, which is signed too."""
    with opened() as vault, vault.reading() as conn:
        if part is Part.AUTHOR:
            digest, number = bundle_hash(bundles.read(Path(bundle))[1]), versions.next_number(conn)
        else:
            found = versions.named(conn, bundle)
            digest, number = found.hash, found.number
        text = Signed(version_of(number, digest), part, "", 0).text(vault.deployment)
    typer.echo(text.decode(), nl=False)


def _told(version: Version, text: str, *, json: bool) -> None:
    Output(json=json).result(_shown(version), text)


def _shown(version: Version) -> dict[str, Any]:
    return {
        "number": version.number,
        "state": version.state,
        "name": version.name,
        "hash": version.hash.hex(),
        "author": version.signers.get(Part.AUTHOR, ""),
        "approver": version.signers.get(Part.APPROVER, ""),
        "changed": moment(version.changed_at),
    }
