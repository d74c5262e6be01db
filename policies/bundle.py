"""A bundle: the folder of policy files that an officer reviews, parsed and checked as one, named by its hash.

`parse_bundle` is given the files' bytes; reading folders is the composition's work. It reports everything it finds
wrong at once, so that a reviewer mends a bundle in one round.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policies.catalogue import Catalogue
from policies.catalogue_file import LANGUAGES, read_catalogue
from policies.errors import InvalidBundle
from policies.purposes import Purposes, read_purposes
from policies.rules import Rules, read_rules

CATALOGUE = "catalogue.toml"
PURPOSES = "purposes.toml"
RULES = "access.cedar"
SCHEMA = "schema.cedarschema"

_NOTICE = re.compile(r"notices/([a-z][a-z0-9_]{0,63})\.([1-9][0-9]{0,3})\.([a-z]{2})\.md")
_HASH_LABEL = b"ecrin policy bundle v1\x00"
_LENGTH = 8  # bytes of a length


@dataclass(frozen=True, slots=True)
class Notice:
    """One text shown to subjects, in one language and version. `hash` is SHA-256 of the file, as evidence."""

    text: str = field(repr=False)
    hash: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Everything the decision plane decides by. Two bundles are equal when their files are."""

    name: str
    hash: bytes  # SHA-256 over all files, 32 bytes
    catalogue: Catalogue = field(repr=False)
    purposes: Purposes = field(repr=False)
    notices: Mapping[tuple[str, int, str], Notice] = field(repr=False)  # (id, version, language)
    rules: Rules = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and other.hash == self.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def current_notice(self, identifier: str) -> int | None:
        """Return the newest version of a notice, or None if there is no such notice."""
        return max((version for each, version, _ in self.notices if each == identifier), default=None)


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return the files as one string of bytes: path and content in order of path, each behind its length."""
    parts = [part for path in sorted(files) for part in (path.encode(), files[path])]
    return b"".join(len(part).to_bytes(_LENGTH, "big") + part for part in parts)


def unpack(content: bytes) -> dict[str, bytes]:
    """Return the files of what `pack` made. Raises `InvalidBundle` for anything else."""
    parts: list[bytes] = []
    at = 0
    while at < len(content):
        length = int.from_bytes(content[at : at + _LENGTH], "big")
        at += _LENGTH
        parts.append(content[at : at + length])
        at += length
    try:
        files = dict(zip([path.decode() for path in parts[::2]], parts[1::2], strict=True))
    except (UnicodeDecodeError, ValueError):
        files = {}
    if pack(files) != content:  # one spelling: lengths, order and all
        raise InvalidBundle(("the stored bundle is damaged",))
    return files


def bundle_hash(files: Mapping[str, bytes]) -> bytes:
    """Return SHA-256 over the files in order of path; paths and contents are length-prefixed, so none can shift."""
    return hashlib.sha256(_HASH_LABEL + pack(files)).digest()


def parse_bundle(name: str, files: Mapping[str, bytes]) -> Bundle:
    """Parse and check a bundle from its files' bytes, keyed by path relative to the folder.

    Raises `InvalidBundle` with every finding.
    """
    findings: list[str] = []
    find = findings.append
    missing = [each for each in (CATALOGUE, PURPOSES, RULES, SCHEMA) if each not in files]
    if missing:
        raise InvalidBundle(tuple(f"{each}: missing" for each in missing))
    catalogue = read_catalogue(CATALOGUE, files[CATALOGUE], find)
    categories = frozenset(each.name for each in catalogue.categories)
    purposes = read_purposes(PURPOSES, files[PURPOSES], categories, find)
    notices = _notices(files, purposes, findings)
    if findings:  # rules are checked against names; with faulty names their findings would mislead
        raise InvalidBundle(tuple(findings))
    rules = read_rules(RULES, files[RULES], SCHEMA, files[SCHEMA], find, catalogue, purposes)
    if findings or rules is None:
        raise InvalidBundle(tuple(findings))
    return Bundle(name, bundle_hash(files), catalogue, purposes, notices, rules)


def _notices(
    files: Mapping[str, bytes], purposes: Purposes, findings: list[str]
) -> Mapping[tuple[str, int, str], Notice]:
    notices: dict[tuple[str, int, str], Notice] = {}
    for path in sorted(set(files) - {CATALOGUE, PURPOSES, RULES, SCHEMA}):
        matched = _NOTICE.fullmatch(path)
        if matched is None:
            findings.append(f"{path}: not a file of a bundle")
            continue
        try:
            text = files[path].decode("utf-8")
        except UnicodeDecodeError:
            findings.append(f"{path}: not UTF-8")
            continue
        if not text.strip():
            findings.append(f"{path}: empty")
        identifier, version, language = matched.groups()
        notices[identifier, int(version), language] = Notice(text, hashlib.sha256(files[path]).digest())
    for identifier, version in sorted({key[:2] for key in notices}):
        findings.extend(
            f"notices/{identifier}.{version}.{language}.md: missing"
            for language in LANGUAGES
            if (identifier, version, language) not in notices
        )
    known = {key[0] for key in notices}
    findings.extend(
        f"{PURPOSES} [{each.key}]: there is no notice `{each.notice}`"
        for each in purposes.every
        if each.notice and each.notice not in known
    )
    return MappingProxyType(notices)
