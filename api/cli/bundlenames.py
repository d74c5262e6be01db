"""What a command line calls a bundle: the built-in one, one in the vault, or a folder."""

from pathlib import Path
from typing import Final

from api import bundles
from api.cli.opened import opened
from policies.bundle import Bundle, parse_bundle
from policies.errors import InvalidBundle
from policies.probes import floor_findings
from vault.governance import versions

HELP: Final = "A bundle folder, `built-in`, or of the vault: `active`, a version's number, the start of its hash."
BUILT_IN: Final = "built-in"


def read(name: str | None) -> tuple[str, dict[str, bytes]]:
    """Return the name and files of a bundle. Raises `InvalidBundle`, `UnknownVersion`, or what opening a vault raises.

    A folder wins over a version of the same name; write `./7` for a folder and `7` where there is none of that name.
    """
    if name is None or name == BUILT_IN:
        return bundles.read()
    folder = Path(name)
    if folder.is_dir() or not _is_version(name):
        return bundles.read(folder)
    with opened() as vault, vault.reading() as conn:
        return versions.stored(conn, versions.named(conn, name).number)


def load(name: str | None) -> Bundle:
    """Return a bundle, parsed, with the floor probes put to it. Raises as `read` does."""
    bundle = parse_bundle(*read(name))
    if findings := floor_findings(bundle):
        raise InvalidBundle(findings)
    return bundle


def _is_version(name: str) -> bool:
    return name == versions.State.ACTIVE or all(each in "0123456789abcdef" for each in name.lower())
