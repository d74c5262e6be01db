"""A person's own lines of the log, newest first, in steps whose work is bounded.

There is no index by subject, on purpose (`vault.requests.looks`): whoever wants a person's lines needs the person's log key
and reads entry by entry. A package reads all of them. For a page that somebody may press as often as they like the log is
read backwards from a place, so many entries and no more, and how far it came is part of the answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from audit import entry as log_entry
from audit import ledger, pruning
from audit.entry import Act, ActorKind, decode
from audit.ledger import Record
from audit.pruning import Kept
from policies.decision import OWN
from vault.requests.steps import PORTAL

MOST_READ: Final = 50_000  # entries looked at in one step: about half a second
MOST_FOUND: Final = 50
_PIECE: Final = 4096
_SCRUBBED: Final = f'"act":"{Act.LOG_SCRUBBED}"'.encode()
_FULL: Final = "scrub.full"


@dataclass(frozen=True, slots=True)
class OwnLine:
    """One entry about the person. `own`: it records an act of theirs."""

    record: Record = field(repr=False)
    content: Mapping[str, Any] = field(repr=False)
    own: bool


@dataclass(frozen=True, slots=True)
class OwnLines:
    """What one step found, newest first. `reached` is the oldest index looked at; 0: there is nothing more to read.

    `kept` then tells where a log begins that was pruned; None for one that was read to its very beginning.
    """

    found: tuple[OwnLine, ...]
    reached: int
    kept: Kept | None = None


def is_own(content: Mapping[str, Any]) -> bool:
    """Whether an entry records an act of the data subject: by the portal, or in the person's own name."""
    actor = content["actor"]
    if actor["k"] == ActorKind.VAULT:
        return bool(actor.get("via") == PORTAL)
    return bool(actor["k"] == ActorKind.SYSTEM and actor["id"] == OWN)


def own_lines(
    conn: Connection, shard: int, log_key: bytes, *, before: int | None = None, own: bool | None = None
) -> OwnLines:
    """Read the log backwards from index `before` (left out: from its end) for a person's lines; two limits end it.

    `own` True: acts of the person alone; False: of others alone.
    """
    end = ledger.head(conn, shard).size
    end = end if before is None else min(max(before, 0), end)
    begin = pruning.kept_from(conn, shard)
    floor = max(begin, end - MOST_READ)
    found: list[OwnLine] = []
    for record in _backwards(conn, shard, end, floor):
        if _is_about(record, log_key):
            content = decode(record.body)
            line = OwnLine(record, content, is_own(content))
            if own is None or line.own is own:
                found.append(line)
        if len(found) == MOST_FOUND and record.idx > begin:
            return OwnLines(tuple(found), record.idx)
    if floor > begin:
        return OwnLines(tuple(found), floor)
    return OwnLines(tuple(found), 0, pruning.beginning(conn, shard))


def last_scrub(conn: Connection, shard: int) -> Record | None:
    """Return the newest entry of a whole scrub, if it is among the newest that one step reads."""
    end = ledger.head(conn, shard).size
    for record in _backwards(conn, shard, end, max(0, end - MOST_READ)):
        if _SCRUBBED in record.body and _FULL in decode(record.body).get("pol", ()):
            return record
    return None


def _backwards(conn: Connection, shard: int, end: int, floor: int) -> Iterator[Record]:
    while end > floor:
        start = max(floor, end - _PIECE)
        yield from reversed(ledger.read(conn, shard, start, end - start))
        end = start


def _is_about(record: Record, log_key: bytes) -> bool:
    return f'"sref":"{log_entry.sref(log_key, record.entry_id).hex()}"'.encode() in record.body


def own_line(conn: Connection, shard: int, log_key: bytes, index: int) -> OwnLine | None:
    """Return one entry by its place, if it is about the person; None for anybody else's and for none."""
    for record in ledger.read(conn, shard, index, 1):
        if _is_about(record, log_key):
            content = decode(record.body)
            return OwnLine(record, content, is_own(content))
    return None
