"""Read a policy bundle's files from a folder, or the one that ships with the package. The only file access policies get."""

import io
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from policies.bundle import Bundle, parse_bundle
from policies.errors import InvalidBundle

SHIPPED = "maisons"
MOST_FILES = 2_000
MOST_BYTES = 1 << 20  # per file: a bundle is text that people review
MOST_UNZIPPED = 8 << 20  # of a whole bundle, as `vault.governance.versions` takes it
MOST_ZIPPED = 2 << 20


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


def unzipped(content: bytes) -> dict[str, bytes]:
    """Read a bundle's files from a ZIP of its folder, or of what is in it. Raises `InvalidBundle` as `load` does.

    Sizes are counted while it is unpacked: what a ZIP says of itself is not believed.
    """
    files: dict[str, bytes] = {}
    size = 0
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [each for each in archive.infolist() if _is_wanted(each)]
            if len(entries) > MOST_FILES:
                raise InvalidBundle((f"more than {MOST_FILES} files",))
            for each in entries:
                with archive.open(each) as file:
                    found = file.read(MOST_BYTES + 1)
                size += len(found)
                if len(found) > MOST_BYTES or size > MOST_UNZIPPED:
                    raise InvalidBundle((f"larger than {MOST_BYTES} bytes a file, or {MOST_UNZIPPED} together",))
                if each.filename in files:
                    raise InvalidBundle(("two files of one name",))
                files[each.filename] = found
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
        NotImplementedError,
    ):
        # RuntimeError: it wants a password. NotImplementedError: packed in a way that nobody reads.
        raise InvalidBundle(("the file is no ZIP that can be read",)) from None
    return _below(files)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle's files into a folder that does not exist yet, for people to review. Raises OSError."""
    folder.mkdir(parents=True)
    for path, content in files.items():
        target = folder / path  # paths were checked when the bundle was parsed: `notices/…` or one of four names
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    """Tell folders, and what desktops put beside the files, from a bundle's own."""
    parts = entry.filename.split("/")
    return not entry.is_dir() and parts[0] != "__MACOSX" and not parts[-1].startswith(".")


def _below(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Leave out the one folder that all files may lie in. Any other path is refused when the bundle is parsed."""
    tops = {path.partition("/")[0] for path in files}
    if len(tops) == 1 and all("/" in path for path in files):
        return {path.partition("/")[2]: each for path, each in files.items()}
    return dict(files)


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
