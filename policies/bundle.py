"""A bundle: the folder of policy files that an officer reviews, parsed and checked as one, named by its hash.

`parse_bundle` is given the files' bytes; reading folders is the composition's work. It reports everything it finds
wrong at once, so that a reviewer mends a bundle in one round.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policies.catalogue import Catalogue, FieldKind
from policies.catalogue_file import LANGUAGES, Finder, read_catalogue
from policies.errors import InvalidBundle
from policies.law import Law, read_law
from policies.parties import Parties, read_parties
from policies.purposes import Purposes, read_purposes
from policies.rights import Rights, read_rights
from policies.rules import Rules, read_rules

CATALOGUE = "catalogue.toml"
PURPOSES = "purposes.toml"
RULES = "access.cedar"
SCHEMA = "schema.cedarschema"
LAW = "law.toml"  # may be left out: the code's own ages then hold everywhere; no rule on prospects, no suppression list; the log is kept for ever
PARTIES = "parties.toml"  # may be left out: records of consent then name brands by their code
RIGHTS = "rights.toml"  # may be left out: a request then has a month, and whoever asks proves it by a code

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
    law: Law = field(repr=False)
    parties: Parties = field(repr=False)
    rights: Rights = field(repr=False)
    files: Mapping[str, str] = field(repr=False)  # of law, parties and rights, by path: SHA-256, first 16 digits
    # purpose -> the oldest version of its notice on which a consent still stands
    oldest_notices: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        oldest = {
            each.key: each.notice_from or self.current_notice(each.notice) or 0
            for each in self.purposes.every
            if each.notice
        }
        object.__setattr__(self, "oldest_notices", MappingProxyType(oldest))

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
    _channels(purposes, catalogue, find)
    law = read_law(LAW, files.get(LAW, b""), find)
    parties = read_parties(PARTIES, files.get(PARTIES, b""), find)
    rights = read_rights(RIGHTS, files.get(RIGHTS, b""), find)
    if findings:  # rules are checked against names; with faulty names their findings would mislead
        raise InvalidBundle(tuple(findings))
    rules = read_rules(RULES, files[RULES], SCHEMA, files[SCHEMA], find, catalogue, purposes)
    if findings or rules is None:
        raise InvalidBundle(tuple(findings))
    digests = {path: hashlib.sha256(files[path]).hexdigest()[:16] for path in (LAW, PARTIES, RIGHTS) if path in files}
    return Bundle(name, bundle_hash(files), catalogue, purposes, notices, rules, law, parties, rights, digests)


def _channels(purposes: Purposes, catalogue: Catalogue, find: Finder) -> None:
    """Check that a purpose with a channel names a list with an index: its values are what consent is given for."""
    for each in purposes.every:
        if not each.channel:
            continue
        where = f"{PURPOSES} [{each.key}]"
        of = catalogue.fields.get(each.channel)
        if of is None or of.kind is not FieldKind.LIST or of.search is None:
            find(f"{where}: `channel` names a list field with a search index")


def _notices(
    files: Mapping[str, bytes], purposes: Purposes, findings: list[str]
) -> Mapping[tuple[str, int, str], Notice]:
    notices: dict[tuple[str, int, str], Notice] = {}
    for path in sorted(set(files) - {CATALOGUE, PURPOSES, RULES, SCHEMA, LAW, PARTIES, RIGHTS}):
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
    newest: dict[str, int] = {}
    for identifier, version, _ in notices:
        newest[identifier] = max(version, newest.get(identifier, 0))
    findings.extend(
        f"{PURPOSES} [{each.key}]: `notice_from` is newer than the newest version of its notice"
        for each in purposes.every
        if each.notice_from is not None and each.notice_from > newest.get(each.notice, 0)
    )
    findings.extend(
        f"{PURPOSES} [{each.key}]: there is no notice `{each.notice}`"
        for each in purposes.every
        if each.notice and each.notice not in known
    )
    return MappingProxyType(notices)
