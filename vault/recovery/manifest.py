"""The manifest beside a data backup: what it is of, how far its log had come, and how to know it is whole.

Holds no personal data and no secret. It is written last, so a backup without one was never finished.
"""

import json
import re
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from vault.errors import InvalidBackup
from vault.keys.private_file import write_private

FORMAT: Final = 1
SUFFIX: Final = ".manifest.json"
_LARGEST: Final = 1 << 20  # bytes of a manifest
_CHUNK: Final = 1 << 22
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class LogState:
    """A shard's log as the backup holds it: its name, its entries, its root in hexadecimal."""

    shard: int
    origin: str
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A data backup. `keys_epoch`: of the search tokens in it. `schema`: its migration. `created_at`: UTC seconds.

    `size` and `sha256` are of the file.
    """

    deployment: str
    engine: str
    schema: str
    created_at: int
    keys_epoch: int
    log: tuple[LogState, ...]
    size: int
    sha256: str
    format: int = FORMAT

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode() + b"\n"


def beside(file: Path) -> Path:
    """Name the manifest of a backup file."""
    return file.with_name(file.name + SUFFIX)


def write(file: Path, manifest: Manifest, unique: str) -> bool:
    """Write the manifest of `file`, mode 0600, whole or not at all; False if there is one. Raises StoreFull."""
    return write_private(beside(file), manifest.encode(), unique)


def read(file: Path) -> Manifest:
    """Read the manifest of `file`. Raises InvalidBackup when there is none or it is not ours."""
    try:
        with beside(file).open("rb") as source:
            content: Any = json.loads(source.read(_LARGEST))
        logs = tuple(
            LogState(int(x["shard"]), str(x["origin"]), int(x["size"]), str(x["root"])) for x in content["log"]
        )
        manifest = Manifest(
            str(content["deployment"]),
            str(content["engine"]),
            str(content["schema"]),
            int(content["created_at"]),
            int(content["keys_epoch"]),
            logs,
            int(content["size"]),
            str(content["sha256"]),
            int(content["format"]),
        )
    except OSError:
        raise InvalidBackup("no manifest stands beside the backup: it was never finished") from None
    except (ValueError, KeyError, TypeError):
        raise InvalidBackup("the manifest is not one of ours") from None
    if manifest.format != FORMAT or not _DIGEST.match(manifest.sha256):
        raise InvalidBackup("the manifest is of a format that this release does not know")
    return manifest


def check(file: Path, manifest: Manifest) -> None:
    """Hold a file against its manifest. Raises InvalidBackup."""
    size, digest = measure(file)
    if (size, digest) != (manifest.size, manifest.sha256):
        raise InvalidBackup("the backup is not what its manifest says")


def measure(file: Path) -> tuple[int, str]:
    """Return size and SHA-256 (hexadecimal) of a file. Raises InvalidBackup when it cannot be read."""
    state, size = sha256(), 0
    try:
        with file.open("rb") as source:
            while piece := source.read(_CHUNK):
                state.update(piece)
                size += len(piece)
    except OSError:
        raise InvalidBackup("the backup cannot be read") from None
    return size, state.hexdigest()


def newest(folder: Path, deployment: str) -> Path:
    """Find the newest finished backup of a deployment in a folder. Raises InvalidBackup when there is none."""
    found: list[tuple[int, Path]] = []
    for path in folder.glob(f"*{SUFFIX}"):
        file = path.with_name(path.name.removesuffix(SUFFIX))
        try:
            manifest = read(file)
        except InvalidBackup:
            continue
        if manifest.deployment == deployment and file.exists():
            found.append((manifest.created_at, file))
    if not found:
        raise InvalidBackup("the folder holds no finished backup of this deployment")
    return max(found)[1]
