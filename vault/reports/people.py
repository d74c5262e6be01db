"""Who is behind entries of the log: found by trying each person's log key, as far as the work is bounded.

Nothing ties an entry to a person but that key (design §10). So whom a system saw is found by recomputing the pseudonyms of
its entries under the key of everybody whom its brand knows. Beyond a bound of work only the bounds of the answer are told.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from audit.entry import sref
from audit.pseudonym import token_mark
from vault.keys.service import KeyService, Slot
from vault.store.keysets import padded
from vault.store.tables import metadata

MOST_WORK: Final = 10_000_000
"""Pseudonyms recomputed at most: about 20 s."""

LogKeys = Callable[[str, Sequence[bytes]], list[bytes | None]]
"""Given a brand and people's ids, their log keys, as `log_keys` returns them."""

_PAGE: Final = 1_000
_SUBJECT: Final = metadata.tables["subject"]
_RELATION: Final = metadata.tables["relation"]
_COUNT: Final = select(func.count()).where(_RELATION.c.brand == bindparam("brand"))
_KNOWN: Final = (
    select(_SUBJECT.c.id, _SUBJECT.c.log_slot, _SUBJECT.c.log_generation, _SUBJECT.c.log_key)
    .join(_RELATION, _RELATION.c.subject_id == _SUBJECT.c.id)
    .where(_RELATION.c.brand == bindparam("brand"), _SUBJECT.c.id.in_(bindparam("subjects", expanding=True)))
)
_NEXT: Final = (
    select(_SUBJECT.c.id, _SUBJECT.c.region, _SUBJECT.c.minor)
    .join(_RELATION, _RELATION.c.subject_id == _SUBJECT.c.id)
    .where(_RELATION.c.brand == bindparam("brand"), _SUBJECT.c.id > bindparam("after"))
    .order_by(_SUBJECT.c.id)
    .limit(_PAGE)
)


@dataclass(slots=True)
class Found:
    """One person, and the entries that are theirs. `region` is where they live, as stored."""

    region: str
    minor: bool
    entries: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The people behind entries. Not `exact`: too much work, `people` is empty, and `known` bounds their number.

    `unmatched` entries are of people who were erased since, or whom the brand does not know any more.
    """

    people: tuple[Found, ...]
    exact: bool
    unmatched: int
    known: int


class Unresolved(NamedTuple):
    """An entry to resolve: index in the log, 16-byte id, 32-byte pseudonym, and the 16 bytes it bears of a token or none."""

    place: int
    id: bytes
    sref: bytes
    tok: bytes = b""


def resolve(
    conn: Connection,
    log_keys: LogKeys,
    brand: str,
    entries: Sequence[Unresolved],
    tokens: Collection[bytes] = (),
    most: int = MOST_WORK,
) -> Resolved:
    """Find the people behind `entries`, among those whom a brand knows; by certain tokens alone (their hashes), if any."""
    known = int(conn.scalar(_COUNT, {"brand": brand}) or 0)
    if len(entries) * known > most:
        return Resolved((), exact=False, unmatched=len(entries), known=known)
    left = {each.place: each for each in entries}
    people = []
    for row, key in _keys(conn, log_keys, brand):
        if not left:
            break
        own = [each for each in left.values() if sref(key, each.id) == each.sref]
        for each in own:
            del left[each.place]
        if tokens:
            own = [each for each in own if each.tok in {token_mark(key, token, each.id) for token in tokens}]
        if own:
            people.append(Found(row.region, bool(row.minor), [each.place for each in own]))
    return Resolved(tuple(people), exact=True, unmatched=len(left), known=known)


def log_keys(conn: Connection, keys: KeyService, brand: str, subjects: Sequence[bytes]) -> list[bytes | None]:
    """Return the log keys of people whom a brand knows; None for one who is not, or whose erasure has begun."""
    rows = conn.execute(_KNOWN, {"brand": brand, "subjects": padded(subjects)}).all()
    opened = keys.unwrap([(Slot(row.log_slot, row.log_generation), row.log_key) for row in rows])
    found = {row.id: key for row, key in zip(rows, opened, strict=True)}
    return [found.get(each) for each in subjects]


def _keys(conn: Connection, log_keys: LogKeys, brand: str) -> Iterator[tuple[Any, bytes]]:
    after = b""
    while rows := conn.execute(_NEXT, {"brand": brand, "after": after}).all():
        after = rows[-1].id
        opened = log_keys(brand, [row.id for row in rows])
        yield from ((row, key) for row, key in zip(rows, opened, strict=True) if key is not None)
