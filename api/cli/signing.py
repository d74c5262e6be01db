"""How an officer signs at the command line: with a key file of their own, or by a signature made elsewhere.

The command line proves nothing: it hands a signature on, and the vault checks it (`vault.governance.signatures`).
"""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.output import Exit, fail
from vault.governance import officerkeys
from vault.governance.signatures import Sign

Officer = Annotated[str, typer.Option("--officer", help="The officer who signs.")]
Key = Annotated[Path | None, typer.Option("--key", help="The officer's private key, PEM. Read, never stored.")]
Signature = Annotated[Path | None, typer.Option("--signature", help="Instead: a signature over the text of `message`.")]
OwnKey = Annotated[Path, typer.Option("--key", help="The officer's private key, PEM. Read, never stored.")]


def signs(key: Path | None, signature: Path | None) -> Sign:
    """Return how to sign; exactly one of the two must be given."""
    if (key is None) == (signature is None):
        raise fail("give either --key or --signature", Exit.USAGE)
    if key is not None:
        private = officerkeys.read_private(key_file(key))
        return lambda message: officerkeys.sign(private, message)
    made = key_file(signature or Path())
    return lambda _: made


def key_file(path: Path) -> bytes:
    """Read a small file of an officer's."""
    try:
        with path.open("rb") as file:
            content = file.read(officerkeys.LARGEST_KEY + 1)
    except OSError:
        raise fail("the key or signature file cannot be read", Exit.USAGE) from None
    if len(content) > officerkeys.LARGEST_KEY:
        raise fail("the key or signature file is too large to be one", Exit.USAGE)
    return content
