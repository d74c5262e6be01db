"""The log as reports read it: the entries of a period and of the acts asked for, up to a signed checkpoint.

Read in pieces and given on one by one, so that a log of any length takes the memory of one piece. For a report each entry is
held against the leaf hash that is stored beside it, also one that the report passes over. Whether those hashes are as
signed is the verifier's question (`audit.verify`), and a report names the checkpoint to ask it with.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from audit import ledger, scan
from audit.checkpoint import MAX_SIZE, parse
from audit.entry import Act, decode
from audit.errors import InvalidEntry, VerificationError
from audit.merkle import leaf_hash
from audit.note import split_note
from audit.reading import Reader

PIECE: Final = 4096  # entries read at a time: about 2 MB
_FROM_THE_FIRST: Final[Mapping[int, int]] = MappingProxyType({})


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
    marks: Collection[bytes] = (),
    *,
    hashed: bool = False,
    starts: Mapping[int, int] = _FROM_THE_FIRST,
) -> Iterator[Line]:
    """Give the entries with `since` <= time < `until` (UTC seconds) that the checkpoints cover; all acts if none is named.

    `starts` are indexes by shard before which nothing is read. `marks` are bytes that each must hold (`marked`): what lacks one is not parsed. `beat` is called with the number of entries of
    each piece that was read. Raises `InvalidEntry` for bytes that are no entry and, if `hashed`, for any that are not what their
    leaf hash stands for: a log that cannot be read is reported on by the verifier.
    """
    first, last = told(since).encode(), told(until).encode()
    wanted = tuple([f'{{"act":"{each}"'.encode() for each in acts]) or (b"",)
    read = Reader().read
    for each in upto:
        index = max(first_since(conn, each.shard, since, each.size), starts.get(each.shard, 0))
        while piece := scan.bodies(conn, each.shard, index, min(PIECE, each.size - index)):
            for place, leaf, body in piece:
                if hashed and leaf_hash(body) != leaf:
                    raise InvalidEntry("an entry is not what its leaf hash stands for")
                if body.startswith(wanted) and (not marks or all(mark in body for mark in marks)):
                    content = read(body)
                    if first <= content.moment < last:
                        yield Line(each.shard, place, content)
            index = piece[-1][0] + 1
            beat(len(piece))
            # Clocks of several hosts differ, so one later entry is no end; a piece that begins and ends later is.
            if read(piece[0][2]).moment >= last and read(piece[-1][2]).moment >= last:
                break


def marked(actor: str = "", outcome: str = "", purpose: str = "") -> tuple[bytes, ...]:
    """Return what an entry must hold to be of an actor, an outcome, a purpose.

    Why exact: no token of an entry holds a quote, so these bytes can stand for nothing but that member.
    """
    members = (('"actor":{"id":"%s","k"', actor), ('"out":"%s"', outcome), ('"pur":"%s"', purpose))
    return tuple([(form % word).encode() for form, word in members if word])


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
