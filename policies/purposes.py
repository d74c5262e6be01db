"""The purposes: a tree of dotted keys, each with its legal basis per jurisdiction and its ceiling per category.

A purpose's parent is its key without the last word. Keys are our own; DPV IRIs are labels on them, pinned to a
release, because vocabularies move and stored consents must not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from policies.catalogue_file import Finder, least_group, member, read_toml, titles, unknown_keys
from policies.errors import UnknownPurpose
from policies.levels import Level

GROUP_SHARING = "group.profile_sharing"  # known to code: see policies.decision
BREAK_GLASS = "break_glass"  # known to code: no system is ever registered for it, see vault.governance.breakglass
OWN_LAW = frozenset({"cn"})  # known to code: regions that no bundle groups with others, see policies.floors
LEGAL = "legal"  # known to code: only here, and in an emergency, may a basis withstand the subject's objection
MARKETING = "marketing"  # whatever lies under this root is marketing, and so is what the labels below call so
DPV = "https://w3id.org/dpv/2.3#"
MARKETING_LABELS = frozenset(f"{DPV}{each}" for each in ("Marketing", "DirectMarketing", "SocialMediaMarketing"))
DEFAULT = "default"

_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,7}")
_RECIPIENT = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PURPOSE_KEYS = {
    "version", "title", "basis", "separate_consent", "dpv", "validity_days", "max_level", "notice", "notice_from",
    "recipients", "channel", "gpc", "least_group",
}  # fmt: skip


class Basis(StrEnum):
    """Why processing is lawful (GDPR Art. 6(1) and 9(2), and their nearest kin elsewhere)."""

    CONSENT = "consent"  # 6(1)(a)
    EXPLICIT_CONSENT = "explicit_consent"  # 9(2)(a)
    CONTRACT = "contract"  # 6(1)(b)
    LEGAL_OBLIGATION = "legal_obligation"  # 6(1)(c)
    VITAL_INTEREST = "vital_interest"  # 6(1)(d), 9(2)(c)
    LEGITIMATE_INTEREST = "legitimate_interest"  # 6(1)(f): may be objected to
    LEGAL_CLAIMS = "legal_claims"  # 9(2)(f), 18(2)
    HEADING = "heading"  # a node that only groups others: nothing may be asked for it

    @property
    def needs_consent(self) -> bool:
        """Whether nothing may happen without a consent given."""
        return self in {Basis.CONSENT, Basis.EXPLICIT_CONSENT}

    @property
    def withstands_objection(self) -> bool:
        """Whether neither objection nor withdrawal can stop it (GDPR Art. 17(3), 18(2), 21(1))."""
        return self in {Basis.LEGAL_OBLIGATION, Basis.VITAL_INTEREST, Basis.LEGAL_CLAIMS}


@dataclass(frozen=True, slots=True)
class Purpose:
    """One purpose. `validity_days` is how long a consent lasts; `notice` is the id of the text shown for it, or "".

    `notice_from` is the oldest version of the notice on which a consent still stands: None for the newest alone.
    `recipients` are named to the person. `channel` is the field whose values a consent is given for, one by one, or "".
    `gpc`: the browser's signal against sale and sharing objects to it.
    """

    key: str
    parent: str | None
    version: int
    title: Mapping[str, str] = field(compare=False, repr=False)
    basis: Mapping[str, Basis] = field(compare=False)  # jurisdiction -> basis, with "default"
    separate_consent: bool
    dpv: str
    validity_days: int | None
    max_level: Mapping[str, Level] = field(compare=False)  # category -> highest level; absent means none
    notice: str
    least_group: int = 0  # as the bundle has it; what holds is `policies.crowds.least_group`
    notice_from: int | None = None
    recipients: tuple[str, ...] = ()
    channel: str = ""
    gpc: bool = False

    def basis_in(self, jurisdiction: str) -> Basis:
        """Return the legal basis that applies in a jurisdiction."""
        return self.basis.get(jurisdiction) or self.basis[DEFAULT]

    @property
    def may_need_consent(self) -> bool:
        """Whether consent is the basis somewhere: then there must be a notice."""
        return any(basis.needs_consent for basis in self.basis.values())

    @property
    def is_heading(self) -> bool:
        """Whether it only groups others, everywhere."""
        return all(basis is Basis.HEADING for basis in self.basis.values())


@dataclass(frozen=True, slots=True)
class Purposes:
    """All purposes and the regions that share a jurisdiction."""

    every: tuple[Purpose, ...]
    jurisdictions: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)  # region -> jurisdiction
    _by_key: Mapping[str, Purpose] = field(init=False, compare=False, repr=False)
    _paths: Mapping[str, tuple[Purpose, ...]] = field(init=False, compare=False, repr=False)
    _soliciting: Mapping[str, tuple[str, ...]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        by_key = {each.key: each for each in self.every}
        object.__setattr__(self, "_by_key", MappingProxyType(by_key))
        object.__setattr__(self, "_paths", {key: _path(key, by_key) for key in by_key})
        asked = [each.key for each in self.every if self.is_marketing(each.key) and not each.is_heading]
        under = {key: tuple(each for each in asked if by_key[key] in self._paths[each]) for key in by_key}
        object.__setattr__(self, "_soliciting", under)

    def get(self, key: str) -> Purpose:
        """Return the purpose of that key. Raises `UnknownPurpose`."""
        found = self._by_key.get(key)
        if found is None:
            raise UnknownPurpose
        return found

    def path(self, key: str) -> tuple[Purpose, ...]:
        """Return the purposes from the root down to `key`, both included. Raises `UnknownPurpose`."""
        found = self._paths.get(key)
        if found is None:
            raise UnknownPurpose
        return found

    def subtree(self, key: str) -> tuple[Purpose, ...]:
        """Return `key` and every purpose below it, in the order of the file. Raises `UnknownPurpose`."""
        root = self.get(key)
        return tuple(each for each in self.every if root in self._paths[each.key])

    def is_marketing(self, key: str) -> bool:
        """Whether a purpose solicits: by its root, by a label on its path, or because it names a channel.

        Raises `UnknownPurpose`. What the floor for minors rests on: a file would have to lie thrice.
        """
        path = self.path(key)
        return key.partition(".")[0] == MARKETING or any(
            each.dpv in MARKETING_LABELS or bool(each.channel) for each in path
        )

    def soliciting(self, key: str) -> tuple[str, ...]:
        """Return the marketing purposes at and below `key` that can be asked about; none for an unknown key."""
        return self._soliciting.get(key, ())

    def jurisdiction(self, region: str) -> str:
        """Return the jurisdiction a subject's region belongs to: the region itself unless the bundle groups it.

        A region of `OWN_LAW` is its own, whatever a file says.
        """
        lower = region.lower()
        return lower if lower in OWN_LAW else self.jurisdictions.get(lower, lower)


def _path(key: str, by_key: Mapping[str, Purpose]) -> tuple[Purpose, ...]:
    words = key.split(".")
    above = (".".join(words[:length]) for length in range(1, len(words) + 1))
    return tuple(by_key[each] for each in above if each in by_key)


def read_purposes(file: str, content: bytes, categories: frozenset[str], find: Finder) -> Purposes:
    """Parse `purposes.toml`. Reports faults through `find`; the result is only meaningful if nothing was reported."""
    document = read_toml(file, content, find)
    unknown_keys(document, {"jurisdictions", "purpose"}, file, find)
    tables = member(document, "purpose", dict, file, find, {}) if document else {}
    every = tuple(
        _purpose(key, table, categories, f"{file} [{key}]", find)
        for key, table in tables.items()
        if isinstance(table, dict)
    )
    known = {each.key for each in every}
    for each in every:
        if each.parent is not None and each.parent not in known:
            find(f"{file} [{each.key}]: its parent `{each.parent}` does not exist")
    if every and GROUP_SHARING not in known:
        find(f"{file}: the purpose `{GROUP_SHARING}` must exist, with separate consent")
    for each in every:
        if each.key == GROUP_SHARING and not (
            each.separate_consent and all(basis.needs_consent for basis in each.basis.values())
        ):
            find(f"{file} [{each.key}]: sharing inside the group needs a separate consent everywhere")
        if each.key == GROUP_SHARING and not each.recipients:
            find(f"{file} [{each.key}]: sharing inside the group names its `recipients`")
    regions: dict[str, str] = {}
    for jurisdiction, members in document.get("jurisdictions", {}).items():
        if not isinstance(members, list) or not all(isinstance(region, str) for region in members):
            find(f"{file} [jurisdictions]: `{jurisdiction}` is a list of regions")
            continue
        for region in members:
            if region in regions:
                find(f"{file} [jurisdictions]: the region `{region}` is in two jurisdictions")
            if region in OWN_LAW:
                find(f"{file} [jurisdictions]: the region `{region}` has a law of its own and stands alone")
            regions[region] = jurisdiction
    return Purposes(every, MappingProxyType(regions))


def _purpose(key: str, table: dict[str, Any], categories: frozenset[str], where: str, find: Finder) -> Purpose:
    unknown_keys(table, _PURPOSE_KEYS, where, find)
    if not _KEY.fullmatch(key):
        find(f"{where}: a purpose is a dotted key of snake_case words")
    version = member(table, "version", int, where, find, 1)
    separate = member(table, "separate_consent", bool, where, find, True) if "separate_consent" in table else False
    dpv = member(table, "dpv", str, where, find, DPV)
    if not dpv.startswith(DPV):
        find(f"{where}: `dpv` must be pinned to {DPV}")
    validity = table.get("validity_days")
    if validity is not None and (isinstance(validity, bool) or not isinstance(validity, int) or validity < 1):
        find(f"{where}: `validity_days` must be at least 1")
        validity = None
    parent = key.rpartition(".")[0] or None
    purpose = Purpose(
        key, parent, version, titles(table, where, find), _bases(table, where, find), separate, dpv, validity,
        _ceilings(table, categories, where, find), str(table.get("notice", "")),
        least_group(table, where, find), _notice_from(table, where, find), _recipients(table, where, find),
        str(table.get("channel", "")), member(table, "gpc", bool, where, find, True) if "gpc" in table else False,
    )  # fmt: skip
    if purpose.may_need_consent and not purpose.notice:
        find(f"{where}: consent needs a `notice`")
    if purpose.may_need_consent and validity is None:
        find(f"{where}: consent needs `validity_days`")
    if key != BREAK_GLASS and key.partition(".")[0] != LEGAL:
        for basis in sorted({each for each in purpose.basis.values() if each.withstands_objection}):
            find(f"{where}: `{basis}` withstands objection; it is for purposes under `{LEGAL}` and for `{BREAK_GLASS}`")
    if separate and not purpose.may_need_consent:
        find(f"{where}: `separate_consent` means nothing where consent is not the basis")
    return purpose


def _notice_from(table: dict[str, Any], where: str, find: Finder) -> int | None:
    if "notice_from" not in table:
        return None
    found = member(table, "notice_from", int, where, find, 1)
    if found < 1:
        find(f"{where}: `notice_from` must be at least 1")
    return found


def _recipients(table: dict[str, Any], where: str, find: Finder) -> tuple[str, ...]:
    found = member(table, "recipients", list, where, find, []) if "recipients" in table else []
    for each in found:
        if not isinstance(each, str) or not _RECIPIENT.fullmatch(each):
            find(f"{where}: `recipients` are names of brands or parties, in small letters")
            return ()
    return tuple(sorted(set(found)))


def _bases(table: dict[str, Any], where: str, find: Finder) -> Mapping[str, Basis]:
    found = table.get("basis")
    if not isinstance(found, dict) or DEFAULT not in found:
        find(f"{where}: `basis` needs at least `{DEFAULT}`")
        return MappingProxyType({DEFAULT: Basis.EXPLICIT_CONSENT})
    bases: dict[str, Basis] = {}
    for jurisdiction, basis in found.items():
        try:
            bases[jurisdiction] = Basis(basis)
        except ValueError:
            find(f"{where}: `basis` for `{jurisdiction}` must be one of {', '.join(Basis)}")
            bases[jurisdiction] = Basis.EXPLICIT_CONSENT
    if Basis.HEADING in bases.values() and set(bases.values()) != {Basis.HEADING}:
        find(f"{where}: a heading is a heading in every jurisdiction")
    return MappingProxyType(bases)


def _ceilings(table: dict[str, Any], categories: frozenset[str], where: str, find: Finder) -> Mapping[str, Level]:
    found = table.get("max_level", {})
    if not isinstance(found, dict):
        find(f"{where}: `max_level` maps categories to levels")
        return MappingProxyType({})
    ceilings: dict[str, Level] = {}
    for category, level in found.items():
        if category not in categories:
            find(f"{where}: `max_level` names the unknown category `{category}`")
        try:
            ceilings[category] = Level(level)
        except ValueError:
            find(f"{where}: `max_level` of `{category}` must be one of {', '.join(Level)}")
    return MappingProxyType(ceilings)
