"""Verifies an access package: that it is whole, unchanged, and was signed by the house it claims to be from.

    python verify.py package PACKAGE.zip --key <the key of receipts, as GET /audit/keys tells it>

The key signs packages under a name of their own, so that no receipt passes for a manifest. The manifest is a signed note (`vault.requests.manifest` makes it) with the SHA-256 of every other file. "Does not hold"
needs a signature of a known key over something else than what is there; what is malformed or signed by nobody known
decides nothing. Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

import argparse
import hashlib
import re
import sys
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.errors import CannotDecide, VerificationError
from audit.findings import Verdict
from audit.note import VerifierKey, open_note, parse_vkey, split_note, vkey
from audit.targets import claims_known_key

MANIFEST = "manifest.txt"
_PACKAGE_SUFFIX = "/package"
_RECEIPT_SUFFIX = "/receipt"
_MOST_UNPACKED = 1 << 30
_MANIFEST_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_./]+)")
_MANIFEST_HEAD = 3  # whose it is, which request, when


@dataclass(frozen=True, slots=True)
class Package:
    """A package that holds: the name it is signed under, its request, UTC seconds of its making, how many files."""

    signer: str
    request: str
    at: int
    files: int


def verify_package(path: Path, keys: Sequence[VerifierKey]) -> Package:
    """Verify an archive. Raises `VerificationError` if it does not hold, `CannotDecide` if that cannot be told."""
    found = _digests(path)
    manifest = found.pop(MANIFEST, None)
    if manifest is None:
        raise CannotDecide("the archive has no manifest")
    text = manifest[1]
    try:
        taken = split_note(text)
    except VerificationError as error:
        raise CannotDecide(f"the manifest is no signed note: {error}") from None
    keys = [_for_packages(each) for each in keys]
    if not claims_known_key(taken, keys):
        raise CannotDecide("the manifest carries no signature of a known key")
    signer, request, at, *lines = open_note(text, keys).text.splitlines() + [""] * _MANIFEST_HEAD
    if not signer.endswith(_PACKAGE_SUFFIX) or signer not in {key.name for key in keys} or not at.isdecimal():
        raise VerificationError("what was signed is not the manifest of a package")
    said: dict[str, str] = {}
    for line in filter(None, lines):
        matched = _MANIFEST_LINE.fullmatch(line)
        if matched is None or matched[2] in said:
            raise VerificationError("what was signed is not the manifest of a package")
        said[matched[2]] = matched[1]
    for name in sorted(said.keys() | found.keys()):
        if name not in found:
            raise VerificationError(f"{name} is in the manifest and not in the archive")
        if name not in said:
            raise VerificationError("the archive holds a file that the manifest does not name")
        if said[name] != found[name][0]:
            raise VerificationError(f"{name} is not what was signed")
    return Package(signer, request, int(at), len(said))


def run_package(arguments: Sequence[str]) -> int:
    """Verify a package from the command line; the exit code is the verdict."""
    parser = argparse.ArgumentParser(prog="audit.verify package", description="Verify an access package offline.")
    parser.add_argument(
        "archive", type=Path, help="the package (.zip); one that was sealed to a key has to be opened first"
    )
    parser.add_argument(
        "--key", action="append", default=[], help="the vault's key of receipts, or a file that holds it"
    )
    options = parser.parse_args(arguments)
    try:
        keys = [parse_vkey(each if "+" in each else Path(each).read_text("utf-8").strip()) for each in options.key]
    except (OSError, UnicodeDecodeError):
        return _say(Verdict.UNDECIDED, "a file given on the command line cannot be read")
    except VerificationError as error:  # of the key, which says nothing about the package
        return _say(Verdict.UNDECIDED, f"{error}")
    try:
        package = verify_package(options.archive, keys)
    except OSError:
        return _say(Verdict.UNDECIDED, "a file given on the command line cannot be read")
    except CannotDecide as error:
        return _say(Verdict.UNDECIDED, f"{error}")
    except VerificationError as error:
        return _say(Verdict.TAMPERED, f"{error}")
    return _say(Verdict.FINE, f"{package.files} files as {package.signer} signed them for request {package.request}")


def _for_packages(key: VerifierKey) -> VerifierKey:
    """Return the same key under the name by which it signs packages."""
    name = key.name.removesuffix(_RECEIPT_SUFFIX)
    return key if name == key.name else parse_vkey(vkey(name + _PACKAGE_SUFFIX, key.public_key))


def _digests(path: Path) -> dict[str, tuple[str, bytes]]:
    """Return each file's SHA-256, and the manifest's bytes with it."""
    found: dict[str, tuple[str, bytes]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(each.file_size for each in members) > _MOST_UNPACKED:
                raise CannotDecide("the archive unpacks to more than a gigabyte")
            for each in members:
                if each.filename in found:
                    raise CannotDecide("the archive holds two files of one name")
                content = archive.read(each)
                found[each.filename] = (
                    hashlib.sha256(content).hexdigest(),
                    content if each.filename == MANIFEST else b"",
                )
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError):
        raise CannotDecide("the archive cannot be read") from None
    return found


def _say(verdict: Verdict, text: str) -> int:
    out = sys.stdout if verdict is Verdict.FINE else sys.stderr
    word = {Verdict.FINE: "verified", Verdict.TAMPERED: "DOES NOT HOLD", Verdict.UNDECIDED: "cannot decide"}[verdict]
    out.write(f"{word}: {text}\n")
    return verdict
