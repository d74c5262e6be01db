"""Read a policy bundle's files from a folder, or the one that ships with the package. The only file access policies get."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from policies.bundle import Bundle, parse_bundle
from policies.errors import InvalidBundle

SHIPPED = "maisons"
MOST_FILES = 2_000
MOST_BYTES = 1 << 20  # per file: a bundle is text that people review


def load(folder: Path | None = None) -> Bundle:
    """Read and parse a bundle.

    `folder` is a bundle directory, or None for the shipped `maisons`. Raises `InvalidBundle` with findings an officer
    can act on, also when the folder cannot be read.
    """
    name, files = read(folder)
    return parse_bundle(name, files)


def read(folder: Path | None = None) -> tuple[str, dict[str, bytes]]:
    """Read a bundle's name and files, unparsed; None is the shipped one. Raises `InvalidBundle` as `load` does."""
    if folder is None:
        with resources.as_file(resources.files("policies") / "bundles" / SHIPPED) as shipped:
            return SHIPPED, _read(shipped)
    return folder.resolve().name, _read(folder)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle's files into a folder that does not exist yet, for people to review. Raises OSError."""
    folder.mkdir(parents=True)
    for path, content in files.items():
        target = folder / path  # paths were checked when the bundle was parsed: `notices/…` or one of four names
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)


def _read(folder: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        if len(paths) > MOST_FILES:
            raise InvalidBundle((f"more than {MOST_FILES} files",))
        for path in paths:
            if path.stat().st_size > MOST_BYTES:
                raise InvalidBundle((f"{path.relative_to(folder).as_posix()}: larger than {MOST_BYTES} bytes",))
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    except OSError as error:
        raise InvalidBundle((f"cannot read the bundle folder: {error.strerror}",)) from None
    return files
