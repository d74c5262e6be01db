"""What somebody asks a report for: a period, and whose entries in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from audit.checkpoint import MAX_SIZE
from audit.entry import ActorKind, sref
from audit.pseudonym import veiled
from audit.reports.lines import Line, marked, told

MOST_ROWS: Final = 10_000
LARGEST: Final = 1_000_000
_STAFF: Final = re.compile(r"(?:[0-9a-f]{32})?")
_TOKEN: Final = re.compile(r"(?:[0-9a-f]{64})?")


@dataclass(frozen=True, slots=True)
class Asked:
    """The filter of a report. `since` <= time < `until`, UTC seconds; an empty word filters nothing.

    `reference` is of `brand` and stands for one person. `staff` is a member of the brand's staff as reports tell it (32 hex
    digits), `token` the SHA-256 of a token in hex. `upto` is the size of the checkpoint up to which the log is read, 0 for the
    newest: then the newest of at most that size. `most` bounds the rows. Reports say which of these they know.
    """

    since: int
    until: int
    brand: str = ""
    system: str = ""
    purpose: str = ""
    reference: str = field(default="", repr=False)
    staff: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    most: int = MOST_ROWS
    upto: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.since <= self.until or not 1 <= self.most <= LARGEST or not 0 <= self.upto <= MAX_SIZE:
            raise ValueError("a report is of a period, and of 1 to a million rows")
        if not _STAFF.fullmatch(self.staff) or not _TOKEN.fullmatch(self.token):
            raise ValueError("staff is 32 hex digits, a token's hash 64")

    @property
    def before(self) -> "Asked":
        """The same of the time of equal length that ends where this begins."""
        return replace(self, since=max(0, self.since - (self.until - self.since)), until=self.since)

    @property
    def marks(self) -> tuple[bytes, ...]:
        """What every entry holds that this lets pass, for `audit.reports.lines.lines`."""
        return marked(self.system, purpose=self.purpose)

    def said(self) -> dict[str, str]:
        """Return the filter in words, as a report prints it."""
        words = {
            "brand": self.brand,
            "system": self.system,
            "purpose": self.purpose,
            "reference": self.reference,
            "staff": self.staff,
            "token": self.token,
            "upto": f"{self.upto or ''}",
        }
        return {"since": told(self.since), "until": told(self.until)} | {k: v for k, v in words.items() if v}


@dataclass(frozen=True, slots=True)
class Actors:
    """Whose the systems are: system id -> brand. And whom a report is about, if it is about one person.

    `staff_keys` are the keys by brand under which entries veil members of staff.
    """

    brands: Mapping[str, str]
    log_key: bytes | None = field(default=None, repr=False)
    staff_keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def brand_of(self, line: Line) -> str:
        """Return the brand of the system that acted; "" for officers, for the vault and for the unknown."""
        actor = line.content["actor"]
        return self.brands.get(actor["id"], "") if actor["k"] == ActorKind.SYSTEM else ""

    def staff_of(self, line: Line) -> str:
        """Return the member of staff behind an entry, the same 32 hex digits wherever it is the same one; "" for none."""
        veil, key = line.content.get("stf"), self.staff_keys.get(self.brand_of(line))
        if veil is None or key is None:
            return ""
        return veiled(key, bytes.fromhex(line.content["id"]), bytes.fromhex(veil)).hex()

    def concern(self, line: Line, asked: Asked) -> bool:
        """Whether the filter lets a line pass (its time apart)."""
        content = line.content
        return (
            (not asked.brand or self.brand_of(line) == asked.brand)
            and (not asked.system or content["actor"]["id"] == asked.system)
            and (not asked.purpose or content.get("pur") == asked.purpose)
            and (not asked.staff or self.staff_of(line) == asked.staff)
            and (self.log_key is None or _is_of(self.log_key, line))
        )


def _is_of(log_key: bytes, line: Line) -> bool:
    pseudonym = line.content.get("sref")
    return pseudonym is not None and sref(log_key, bytes.fromhex(line.content["id"])).hex() == pseudonym
