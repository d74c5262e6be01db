"""The authorities that a person may complain to: which one, by where the person lives, and since when it is the one.

Named in every access package (GDPR Art. 15(1)(f)) and wherever a person is told of their rights.
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from policies.catalogue_file import Finder, member, unknown_keys

_REGION: Final = re.compile(r"[a-z]{2,8}")
_SITE: Final = re.compile(r"https://[a-z0-9./_-]{4,120}")
_KEYS: Final = {"region", "since", "name", "address", "site"}


@dataclass(frozen=True, slots=True)
class Authority:
    """One authority. `region`: a region, a jurisdiction of purposes.toml, or "default". `address` may be empty."""

    region: str
    since: dt.date
    name: str
    address: str
    site: str


def competent(authorities: Sequence[Authority], places: Sequence[str], on: dt.date) -> Authority | None:
    """Return the authority for the first of `places` that has one on a day: the newest that has begun."""
    for place in places:
        begun = [each for each in authorities if each.region == place and each.since <= on]
        if begun:
            return max(begun, key=lambda each: each.since)
    return None


def read_authorities(tables: Any, file: str, find: Finder) -> tuple[Authority, ...]:
    """Read the list `[[authority]]`. Reports faults through `find`."""
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        find(f"{file}: `authority` is a list of tables")
        return ()
    found = tuple(_authority(each, f"{file} [authority {place}]", find) for place, each in enumerate(tables, 1))
    if len({(each.region, each.since) for each in found}) < len(found):
        find(f"{file} [authority]: two for the same region begin on one day")
    return found


def _authority(table: dict[str, Any], where: str, find: Finder) -> Authority:
    unknown_keys(table, _KEYS, where, find)
    region = member(table, "region", str, where, find, "")
    if not _REGION.fullmatch(region):
        find(f"{where}: `region` is a region, a jurisdiction of purposes.toml, or `default`")
    name = member(table, "name", str, where, find, "")
    if not name.strip():
        find(f"{where}: `name` is needed")
    site = member(table, "site", str, where, find, "")
    if not _SITE.fullmatch(site):
        find(f"{where}: `site` is an address that begins with https://")
    address = member(table, "address", str, where, find, "") if "address" in table else ""
    return Authority(region, member(table, "since", dt.date, where, find, dt.date.min), name, address, site)
