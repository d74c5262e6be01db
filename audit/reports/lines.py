"""The log as reports read it: the entries of a period and of the acts asked for, up to a signed checkpoint.

Read in pieces, decoded one by one and given on, so that a log of any length takes the memory of one piece. The stored
bytes are taken at their word here: whether they are as signed is the verifier's question (`audit.verify`), and a
report names the checkpoint to ask it with.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from audit import ledger
from audit.checkpoint import MAX_SIZE, parse
from audit.entry import Act, decode
from audit.errors import VerificationError
from audit.note import split_note

PIECE: Final = 4096  # entries read at a time: about 2 MB


class Line(NamedTuple):
    """One entry: its place in the log, and its content as `audit.entry.decode` gives it."""

    shard: int
    idx: int
    content: Mapping[str, Any]

    @property
    def at(self) -> str:
        """When, as the log writes it."""
        return str(self.content["t"])


@dataclass(frozen=True, slots=True)
class Vouched:
    """How far one shard's log is vouched for: the newest signed checkpoint. Nothing yet: size 0 and no note."""

    shard: int
    origin: str
    size: int
    root: bytes
    note: str


def vouched(conn: Connection, most: int = MAX_SIZE) -> tuple[Vouched, ...]:
    """Return the newest checkpoint of every log that is carried on, of at most so many entries."""
    return tuple([_vouched(conn, shard, most) for shard in ledger.shards(conn) if shard >= 0])


def lines(
    conn: Connection,
    upto: Collection[Vouched],
    since: int,
    until: int,
    acts: Collection[Act] = (),
    beat: Callable[[int], None] = lambda _: None,
) -> Iterator[Line]:
    """Give the entries with `since` <= time < `until` (UTC seconds) that the checkpoints cover; all acts if none is named.

    `beat` is called with the number of entries of each piece that was read. Raises `InvalidEntry` for bytes that are no entry: a log that cannot be read is reported on by the verifier.
    """
    first, last = told(since), told(until)
    wanted = tuple([f'{{"act":"{each}"'.encode() for each in acts]) or (b"",)
    for each in upto:
        index = first_since(conn, each.shard, since, each.size)
        while piece := ledger.read(conn, each.shard, index, min(PIECE, each.size - index)):
            for record in piece:
                if record.body.startswith(wanted):
                    content = decode(record.body)
                    if first <= content["t"] < last:
                        yield Line(each.shard, record.idx, content)
            index = piece[-1].idx + 1
            beat(len(piece))
            # Clocks of several hosts differ, so one later entry is no end; a piece that begins and ends later is.
            if decode(piece[0].body)["t"] >= last and decode(piece[-1].body)["t"] >= last:
                break


def first_since(conn: Connection, shard: int, since: int, size: int) -> int:
    """Return the index of the first of `size` entries not older than `since`: times ascend, but for a clock's step."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        found = ledger.read(conn, shard, middle, 1)
        # What is no longer there was older than all that is.
        if not found or second(decode(found[0].body)["t"]) < since:
            low = middle + 1
        else:
            high = middle
    return low


def told(at: int) -> str:
    """Write UTC seconds as the log does."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def second(at: str) -> int:
    """Read a time that the log wrote."""
    return int(datetime.fromisoformat(at).timestamp())


def _vouched(conn: Connection, shard: int, most: int) -> Vouched:
    note = ledger.latest_checkpoint(conn, shard, most)
    if note is None:
        return Vouched(shard, ledger.head(conn, shard).origin, 0, b"", "")
    try:
        signed = parse(split_note(note).text)
    except VerificationError:
        # A damaged row vouches for nothing; the verifier says what became of it.
        return Vouched(shard, ledger.head(conn, shard).origin, 0, b"", "")
    return Vouched(shard, signed.origin, signed.size, signed.root, note)
