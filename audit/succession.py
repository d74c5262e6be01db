"""Succession: how a log that cannot be carried on ends, and another begins that says so.

A database brought back from backup holds a shorter log than the one that was signed. Growing it again under its name
would make two histories of one log, which is what an attacker would make. So the log that is there is closed as it
lies, and a new log under a new name takes its place. The first entry of the new log commits to the last checkpoint
that was signed of the old one: whoever holds that checkpoint can show what was lost, and nobody can deny it.

A closed log keeps its entries and checkpoints under a negative shard number. Nothing is ever appended to it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, select, text, update

from audit import checkpoint as checkpoints
from audit import ledger
from audit.checkpoint import Checkpoint
from audit.entry import Act, Actor, Entry, Outcome
from audit.errors import SigningRefused, VerificationError
from audit.merkle import Frontier, leaf_hash
from audit.note import vkey
from audit.tables import metadata

_HEADS: Final = metadata.tables["log_head"]
_TABLES: Final = (
    "log_entry", "log_node", "log_witness", "log_witnessed", "log_timestamp", "log_scrub", "log_pruned",
    "log_checkpoint", "log_head",
)  # fmt: skip
_CHUNK: Final = 4096  # entries read at a time
_LONGEST: Final = 96  # of an origin in an entry; a longer one stands there by its hash
AFTER: Final = "after:"
_SUCCESSOR: Final = re.compile(r"/[0-9]{8}-[0-9a-f]{16}\Z")


@dataclass(frozen=True, slots=True)
class Succession:
    """What came of a log: `kept` entries are here, `last` is the last state of it, or of another, that was signed."""

    origin: str
    successor: str
    kept: int
    root: bytes
    last: Checkpoint | None

    @property
    def lost(self) -> int:
        """How many entries were signed for and are not here, as far as can be told: none of another log."""
        return max(0, self.last.size - self.kept) if self.last is not None and self.last.origin == self.origin else 0

    def entry(self, actor: Actor) -> Entry:
        """Return the first entry of the successor.

        `n` and `com` are size and root of the last checkpoint signed before, of the log named by `after:`; `kept:` and
        `root:` are what the closed log has, so that the successor's checkpoints vouch for it too.
        """
        named = self.origin if self.last is None else self.last.origin
        rules = (after(named), f"kept:{self.kept}", vouched(self.root))
        if self.last is None:
            return Entry(Act.LOG_SUCCESSION, Outcome.ALLOW, actor, pol=rules)
        return Entry(Act.LOG_SUCCESSION, Outcome.ALLOW, actor, pol=rules, n=self.last.size, com=self.last.root)


def successor_of(origin: str, now: int, unique: bytes) -> str:
    """Name the log that follows. Never the same twice, whatever backup is brought back how often."""
    day = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d")
    return f"{_SUCCESSOR.sub('', origin)}/{day}-{unique.hex()}"


def extends(conn: Connection, shard: int, outside: Checkpoint | None) -> bool:
    """Tell whether the stored log may be carried on: it is the log last signed, and all that was signed is in it."""
    head = ledger.head(conn, shard)
    if outside is None:
        return True
    if outside.origin != head.origin or outside.size > head.size:
        return False
    grown = Frontier()
    while grown.size < outside.size:
        records = ledger.read_stored(conn, shard, grown.size, min(_CHUNK, outside.size - grown.size))
        if not records:
            return False
        # Of a body that was pruned the hash is left, and it leads to the signed root or does not.
        grown = grown.extend(leaf_hash(record.body) if record.body else record.leaf for record in records)
    return grown.root() == outside.root


def open_note(note: str, publics: Sequence[bytes]) -> Checkpoint:
    """Open a checkpoint by its own word on which log it is of. Raises `SigningRefused` when no key of ours signed it."""
    origin = note.partition("\n")[0]
    try:
        return checkpoints.open_checkpoint(note, [vkey(origin, each) for each in publics], origin)
    except VerificationError:
        raise SigningRefused("the last checkpoint outside the database is not signed by this deployment") from None


def succeed(conn: Connection, shard: int, successor: str, last: Checkpoint | None, now: int) -> Succession:
    """Close the log of a shard and begin its successor, empty. The caller appends `Succession.entry` with it.

    One transaction, one pass over the entries. Changes no byte that the closed log's tree commits to.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text("SET LOCAL statement_timeout = 0"))
    head = ledger.head(conn, shard)
    closed = min(-1, *(number - 1 for number in conn.scalars(select(_HEADS.c.shard))))
    for name in _TABLES:
        table = metadata.tables[name]
        conn.execute(update(table).where(table.c.shard == shard).values(shard=closed))
    ledger.create_head(conn, shard, successor, now)
    return Succession(head.origin, successor, head.size, head.frontier.root(), last)


def after(origin: str) -> str:
    """Spell, as the first entry of a successor does, which log it follows."""
    return f"{AFTER}{_spelt(origin)}"


def vouched(root: bytes) -> str:
    """Spell, as an entry does, the root of a closed log."""
    return f"root:{root.hex()}"


def _spelt(origin: str) -> str:
    if len(origin) <= _LONGEST and origin.isascii():
        return origin
    return f"sha256:{sha256(origin.encode()).hexdigest()}"
