"""What was asked of the log, in a form that an outsider runs again: a filter, the entries it selects, and their rows.

A filter is canonical JSON of closed keys. It names actors and acts, never a person: who is meant is a key that comes by
another way, and the filter only says that there is one.

Standard library only: the verifier takes this file along when it is copied out.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from audit.errors import VerificationError
from audit.grammar import read_form
from audit.pseudonym import pseudonym
from audit.spreadsheet import Written, csv_bytes

FILTER_VERSION = 1
ROW_COLUMNS = (
    "index", "time", "act", "outcome", "actor_kind", "actor", "through", "fields", "purpose", "basis", "rules", "count",
    "subject", "id",
)  # fmt: skip
_FILTER_WORDS = ("origin", "since", "until", "purpose", "outcome", "brand")


@dataclass(frozen=True, slots=True)
class Filter:
    """What entries are looked for. Times as the log writes them, `since` <= t < `until`; what is empty filters nothing.

    An act may be named by its kind alone: `consent` or `consent.given`. `actors` None: whoever acted.
    """

    acts: tuple[str, ...] = ()
    actors: tuple[str, ...] | None = None
    outcome: str = ""
    purpose: str = ""
    field: str = ""
    rule: str = ""
    since: str = ""
    until: str = ""

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether an entry, decoded, is meant."""
        act, at = entry["act"], entry["t"]
        return (
            (not self.acts or any(act == each or act.startswith(f"{each}.") for each in self.acts))
            and (self.actors is None or entry["actor"]["id"] in self.actors)
            and (not self.outcome or entry["out"] == self.outcome)
            and (not self.purpose or entry.get("pur") == self.purpose)
            and (not self.field or any(each.partition(":")[0] == self.field for each in entry.get("fld", ())))
            and (not self.rule or self.rule in entry.get("pol", ()))
            and self.since <= at
            and (not self.until or at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter with the range of the log that it was run over. Times as the log writes them, `since` <= t < `until`; an empty word or list selects everything.

    `actors` are the ids that a brand's name stood for when it was asked; `brand` is that name, for the reader. `subject`:
    only entries of the one person whose key is handed over beside. `first` and `end` are the range of the log that was
    looked through, entry by entry.
    """

    origin: str
    since: str
    until: str
    first: int
    end: int
    acts: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    purpose: str = ""
    outcome: str = ""
    brand: str = ""
    subject: bool = False

    @property
    def filter(self) -> Filter:
        """What it looks for, its person apart. A brand without any system has no entries."""
        actors = self.actors if self.actors or self.brand else None
        return Filter(self.acts, actors, self.outcome, self.purpose)

    def selects(self, entry: Mapping[str, Any], log_key: bytes | None = None) -> bool:
        """Tell whether an entry, decoded, is among what was asked for."""
        if not self.since <= entry["t"] < self.until or not self.filter.fits(entry):
            return False
        return not self.subject or (log_key is not None and is_of(log_key, entry))


def entry_of(body: bytes) -> dict[str, Any]:
    """Decode an entry's canonical bytes; raises `VerificationError` for anything else."""
    if read_form(body) is None:
        raise VerificationError("not the canonical form of an entry")
    content: dict[str, Any] = json.loads(body)
    return content


def rows_csv(entries: Iterable[tuple[int, Mapping[str, Any]]]) -> bytes:
    """Write entries, given with their index, as the rows of an evidence bundle."""
    return csv_bytes(ROW_COLUMNS, (_cells(index, entry) for index, entry in entries))


def write_filter(selection: Selection) -> bytes:
    """Return the one spelling of a filter."""
    content = {"v": FILTER_VERSION, **asdict(selection)}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def read_filter(content: bytes) -> Selection:
    """Read a filter; raises `VerificationError` unless it is spelt as `write_filter` spells it."""
    try:
        found = json.loads(content)
        version = found.pop("v")
        selection = Selection(**found | {name: tuple(found[name]) for name in ("acts", "actors")})
        words = [getattr(selection, name) for name in _FILTER_WORDS]
        right = (
            version == FILTER_VERSION
            and all(isinstance(each, str) for each in (*words, *selection.acts, *selection.actors))
            and {type(selection.subject), type(selection.first), type(selection.end)} == {bool, int}
            and 0 <= selection.first <= selection.end
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        right = False
    if not right or write_filter(selection) != content:
        raise VerificationError("not a filter in its one spelling")
    return selection


def is_of(log_key: bytes, entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry is about the person of this log key."""
    return pseudonym(log_key, bytes.fromhex(entry["id"])).hex() == entry.get("sref")


def _cells(index: int, entry: Mapping[str, Any]) -> list[Written]:
    actor = entry["actor"]
    return [
        index,
        entry["t"],
        entry["act"],
        entry["out"],
        actor["k"],
        actor["id"],
        actor.get("via", ""),
        tuple(entry.get("fld", ())),
        entry.get("pur", ""),
        entry.get("bas", ""),
        tuple(entry.get("pol", ())),
        entry.get("n", ""),
        entry.get("sref", ""),
        entry["id"],
    ]
