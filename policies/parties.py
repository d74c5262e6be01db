"""Who the parties of a consent are, and where what it covers is kept: what a record of consent must name.

ISO/IEC TS 27560 asks of each party for an id, an address, a name, a contact and a type, and of the processing for the
places of storage. Names of controllers are those of brands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from policies.catalogue_file import Finder, member, read_toml, unknown_keys

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_TYPES = ("controller", "processor", "third_party")
_PARTY_KEYS = {"name", "address", "country", "contact", "type"}


@dataclass(frozen=True, slots=True)
class Party:
    """One party. `type` is one of controller, processor, third_party; `contact` is where a person may write to."""

    id: str
    name: str
    address: str
    country: str
    contact: str
    type: str


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
    unknown_keys(table, _PARTY_KEYS, where, find)
    if not _NAME.fullmatch(identifier):
        find(f"{where}: a party is named in small letters")
    told = {each: member(table, each, str, where, find, "") for each in _PARTY_KEYS}
    if not all(told.values()):
        find(f"{where}: name, address, country, contact and type are all needed")
    if told["type"] not in _TYPES:
        find(f"{where}: `type` must be one of {', '.join(_TYPES)}")
    if not _COUNTRY.fullmatch(told["country"]):
        find(f"{where}: `country` is two capital letters")
    return Party(id=identifier, **told)
