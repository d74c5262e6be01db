"""Who the parties of a consent are, and where what it covers is kept: what a record of consent must name.

ISO/IEC TS 27560 asks of each party for an id, an address, a name, a contact and a type, and of the processing for the
places of storage. Names of controllers are those of brands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from policies.catalogue_file import Finder, member, read_toml, unknown_keys

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_TYPES = ("controller", "processor", "third_party")
_PARTY_KEYS = {"name", "address", "country", "contact", "type"}
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_LEAST_CONTRAST = 4.5  # of text on white paper (WCAG 2.2, 1.4.3)
_TRANSFER_KEYS = {"safeguard", "assessment", "assessed"}
_ASSESSMENT = re.compile(r"[A-Za-z0-9._/-]{1,64}")

EEA = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IS",
        "IT",
        "LI",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "NO",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)
"""Countries to which a transfer needs no ground of its own (EEA Agreement, annex XI; GDPR Art. 44)."""


class Safeguard(StrEnum):
    """On what ground data may leave the EEA (GDPR Art. 45 to 49)."""

    ADEQUACY = "adequacy"  # 45: a decision of the Commission
    CLAUSES = "clauses"  # 46(2)(c): standard contractual clauses
    BINDING_RULES = "binding_rules"  # 47
    DEROGATION = "derogation"  # 49: of this person, for this case


@dataclass(frozen=True, slots=True)
class Party:
    """One party. `type` is one of controller, processor, third_party; `contact` is where a person may write to.

    Of a party outside the EEA: the `safeguard` of transfers to it ("" if none was said), the reference of the transfer
    impact `assessment`, and the day it was made (ISO 8601). `accent` is the colour of its papers, `#rrggbb` or empty.
    """

    id: str
    name: str
    address: str
    country: str
    contact: str
    type: str
    safeguard: str = ""
    assessment: str = ""
    assessed: str = ""
    accent: str = ""

    @property
    def is_outside(self) -> bool:
        """Whether what goes to it leaves the EEA; unknown countries are not counted as inside."""
        return self.country not in EEA


@dataclass(frozen=True, slots=True)
class Parties:
    """All parties by id, and the countries in which data are stored."""

    by_id: Mapping[str, Party] = field(default_factory=dict)
    storage: tuple[str, ...] = ()

    def named(self, identifier: str) -> Party:
        """Return the party of that id; one that the file does not describe is known by its id alone."""
        return self.by_id.get(identifier) or Party(identifier, identifier, "", "", "", "controller")


def read_parties(file: str, content: bytes, find: Finder) -> Parties:
    """Parse `parties.toml`. Reports faults through `find`; the result is only meaningful if nothing was reported."""
    document = read_toml(file, content, find)
    unknown_keys(document, {"storage", "party"}, file, find)
    storage = document.get("storage", [])
    if not isinstance(storage, list) or not all(isinstance(each, str) and _COUNTRY.fullmatch(each) for each in storage):
        find(f"{file}: `storage` is a list of countries")
        storage = []
    tables = document.get("party", {})
    if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
        find(f"{file}: `party` holds one table per party")
        tables = {}
    parties = {name: _party(name, table, f"{file} [{name}]", find) for name, table in tables.items()}
    return Parties(MappingProxyType(parties), tuple(storage))


def _party(identifier: str, table: dict[str, Any], where: str, find: Finder) -> Party:
    unknown_keys(table, _PARTY_KEYS | _TRANSFER_KEYS | {"accent"}, where, find)
    if not _NAME.fullmatch(identifier):
        find(f"{where}: a party is named in small letters")
    told = {each: member(table, each, str, where, find, "") for each in _PARTY_KEYS}
    if not all(told.values()):
        find(f"{where}: name, address, country, contact and type are all needed")
    if told["type"] not in _TYPES:
        find(f"{where}: `type` must be one of {', '.join(_TYPES)}")
    if not _COUNTRY.fullmatch(told["country"]):
        find(f"{where}: `country` is two capital letters")
    return Party(id=identifier, **told, **_transfer(table, where, find), accent=_accent(table, where, find))


def _accent(table: dict[str, Any], where: str, find: Finder) -> str:
    accent = member(table, "accent", str, where, find, "") if "accent" in table else ""
    if accent and not _COLOUR.fullmatch(accent):
        find(f"{where}: `accent` is a colour, # and six digits of small hexadecimal")
    elif accent and _contrast_on_white(accent) < _LEAST_CONTRAST:
        find(f"{where}: `accent` is too pale to be read on white (contrast under {_LEAST_CONTRAST})")
    return accent


def _contrast_on_white(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)  # noqa: PLR2004 - sRGB
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _transfer(table: dict[str, Any], where: str, find: Finder) -> dict[str, str]:
    safeguard = member(table, "safeguard", str, where, find, "") if "safeguard" in table else ""
    assessment = member(table, "assessment", str, where, find, "") if "assessment" in table else ""
    assessed = member(table, "assessed", date, where, find, date.min) if "assessed" in table else None
    if safeguard and safeguard not in set(Safeguard):
        find(f"{where}: `safeguard` must be one of {', '.join(Safeguard)}")
    if assessment and not _ASSESSMENT.fullmatch(assessment):
        find(f"{where}: `assessment` is a reference of 64 letters, digits, dots, hyphens or slashes at most")
    if bool(assessment) != (assessed is not None):
        find(f"{where}: `assessment` and `assessed`, its day, go together")
    return {
        "safeguard": safeguard,
        "assessment": assessment,
        "assessed": "" if assessed is None else assessed.isoformat(),
    }
