"""A package as it leaves: the archive, or the archive sealed to the key that the person gave. In memory alone."""

from collections.abc import Mapping
from typing import Any

from api.packages import sealed
from api.packages.archive import archive_of
from vault.requests.collecting import Gathered
from vault.unit import Vault


def file_of(vault: Vault, gathered: Gathered, key: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return a package and the name of its file: a ZIP, or where there is a key a JWE. Raises `InvalidKey`."""
    archive, name = archive_of(vault, gathered), gathered.request.name
    return (sealed.seal(archive, key), f"{name}.jwe") if key else (archive, f"{name}.zip")
