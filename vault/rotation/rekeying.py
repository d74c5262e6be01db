"""Moving everything to fresh leaves, in the background: for leaves that may be known, as after a stolen keystore.

Everything: compartments and log keys of subjects, also those that a hold or a law keeps after an erasure was asked for, and
the words of requests and of emergencies, and the keys of the suppression list. What an erasure has queued is left where it is: its leaf dies.

What is due hangs on a leaf that was given out before the job began: leaves are given out in rising order, so the highest
one in use at the beginning says which. Nothing else has to be remembered, and whoever carries the job on names that leaf
again. The leaves that are left wait until a backup of the data holds what was moved (`vault.leftleaves`). With the next
epoch change after that they are gone, and with them whatever *older* backups hold of these people.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, Table, bindparam, exists, func, or_, select, update

from vault import leftleaves
from vault.compartments import ACTIVE
from vault.erasure import keeping, records
from vault.erasure.records import LeafState, Person
from vault.erasure.rekeying import rekey
from vault.keys.service import Slot
from vault.ownleaf import WRAPPED
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

ROWS_PER_UNIT: Final = 100  # subjects, requests, emergencies, or keys of the list

_SUBJECT: Final = metadata.tables["subject"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_ERASURE: Final = metadata.tables["erasure"]
_LEAF: Final = metadata.tables["erasure_leaf"]


class _Hanging:
    """A column of a table whose first 40 bytes are a key wrapped under a leaf that the same row names."""

    def __init__(self, what: str, table: Table, blob: str, leaf: str) -> None:
        self.what = what
        self.slot: Column[Any] = table.c[f"{leaf}slot"]
        generation, self.id, sealed = table.c[f"{leaf}generation"], table.c.id, table.c[blob]
        self.next = (
            select(self.id, self.slot, generation, sealed)
            .where(self.slot <= bindparam("last"), self.id > bindparam("after"))
            .order_by(self.id)
            .limit(bindparam("most"))
            .with_for_update()
        )
        self.store = (
            update(table)
            .where(self.id == bindparam("at_id"))
            .values(
                {blob: bindparam("to_blob"), self.slot.name: bindparam("to_slot"), generation.name: bindparam("to_gen")}
            )
        )


_LOG_KEY: Final = _Hanging("log_keys", _SUBJECT, "log_key", "log_")
_OWN: Final = (
    _Hanging("requests", metadata.tables["subject_request"], "content", "content_"),
    _Hanging("emergencies", metadata.tables["break_glass_case"], "sealed", ""),
    _Hanging("lists", metadata.tables["suppression_key"], "sealed", ""),
)
MOVED: Final[tuple[Column[Any], ...]] = (_COMPARTMENT.c.slot, _LOG_KEY.slot, *(each.slot for each in _OWN))
"""Where rows name the leaves that this job is about."""

_COMPARTMENT_DUE: Final = (_COMPARTMENT.c.slot <= bindparam("last"), _COMPARTMENT.c.state == ACTIVE)
_LOG_KEY_DUE: Final = (_SUBJECT.c.log_slot <= bindparam("last")) & (_SUBJECT.c.state == ACTIVE)
_KEPT_DUE: Final = (
    _LEAF.c.state == LeafState.KEPT.value,
    _LEAF.c.slot <= bindparam("last"),
    _ERASURE.c.state != "done",
)
_OF_ERASURE: Final = _LEAF.join(_ERASURE, _ERASURE.c.id == _LEAF.c.erasure_id)

_NEXT: Final = (
    select(_SUBJECT.c.id)
    .where(
        _SUBJECT.c.id > bindparam("after"),
        or_(_LOG_KEY_DUE, exists().where(_COMPARTMENT.c.subject_id == _SUBJECT.c.id, *_COMPARTMENT_DUE)),
    )
    .order_by(_SUBJECT.c.id)
    .limit(bindparam("most"))
)
_NEXT_KEPT: Final = (
    select(_ERASURE.c.subject_id)
    .select_from(_OF_ERASURE)
    .where(_ERASURE.c.subject_id > bindparam("after"), *_KEPT_DUE)
    .distinct()
    .order_by(_ERASURE.c.subject_id)
    .limit(bindparam("most"))
)
_COUNTS: Final = (
    select(func.count()).select_from(_COMPARTMENT).where(*_COMPARTMENT_DUE),
    select(func.count()).select_from(_SUBJECT).where(_LOG_KEY_DUE),
    select(func.count(_LEAF.c.slot.distinct())).select_from(_OF_ERASURE).where(*_KEPT_DUE),
    *(select(func.count()).where(each.slot <= bindparam("last")) for each in _OWN),
)
_HIGHEST: Final = tuple(select(func.max(slot)) for slot in MOVED)
_MOVE_KEPT: Final = (
    update(_LEAF)
    .where(
        _LEAF.c.erasure_id == bindparam("of_erasure"),
        _LEAF.c.slot == bindparam("of_slot"),
        _LEAF.c.generation == bindparam("of_generation"),
    )
    .values(slot=bindparam("to_slot"), generation=bindparam("to_generation"))
)


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """How far the job is: what this run moved, and how much is still due. `last` is its name: the highest old leaf."""

    last: int
    left: int
    compartments: int = 0
    log_keys: int = 0
    requests: int = 0
    emergencies: int = 0
    lists: int = 0

    @property
    def done(self) -> int:
        """Count everything that was moved."""
        return self.compartments + self.log_keys + self.requests + self.emergencies + self.lists


def rekey_all(vault: Vault, last: int | None = None, *, rows: int = ROWS_PER_UNIT) -> Iterator[Rekeyed]:
    """Move all that hangs on leaf `last` or one before it; as given by an earlier run, or begin anew.

    Yields after each unit; stopping in between loses nothing. Leaves that a process set aside before and uses later are
    moved as well if the job is carried on: once too often, never once too few. What does not open stays where it is.
    Raises LeavesExhausted when leaves run out, KeyUnavailable when one goes meanwhile.
    """
    if last is None:
        last = _highest(vault)
    left, moved = _count(vault, last), Counter[str]()
    yield Rekeyed(last, left)
    for unit in _units(vault, last, rows):
        moved += unit
        left = max(0, left - unit.total())
        yield Rekeyed(last, left, **moved)


def _units(vault: Vault, last: int, most: int) -> Iterator[Counter[str]]:
    for query, move in ((_NEXT, _move), (_NEXT_KEPT, _move_kept)):
        after = b""
        while True:
            with vault.reading() as conn:
                due = list(conn.scalars(query, {"last": last, "after": after, "most": most}))
            if not due:
                break
            after = due[-1]
            with vault.unit() as uow:
                moved = move(uow, due, last)
                uow.commit()
            yield moved
    for each in _OWN:
        after = b""
        while True:
            with vault.unit() as uow:
                found = uow.conn.execute(each.next, {"last": last, "after": after, "most": most}).all()
                if not found:
                    break
                after = found[-1].id
                moves = _rehang(uow, each, [(row[0], Slot(row[1], row[2]), row[3]) for row in found])
                leftleaves.succeed(uow, moves)
                uow.commit()
            yield Counter({each.what: len(moves)})


def _move(uow: UnitOfWork, subjects: Sequence[bytes], last: int) -> Counter[str]:
    """Move what is still due of these subjects, under their locks."""
    people = records.lock_people(uow, subjects)
    held = keeping.filled(uow.conn, list(people))
    compartments = rekey(
        uow,
        [each for mine in held.values() for each in mine.values() if each.slot.number <= last and each.state == ACTIVE],
    )
    logs = [each for each in people.values() if each.log_slot.number <= last and each.state == ACTIVE]
    log_keys = _rehang_logs(uow, logs)
    leftleaves.succeed(uow, compartments + log_keys)
    return Counter(compartments=len(compartments), log_keys=len(log_keys))


def _move_kept(uow: UnitOfWork, subjects: Sequence[bytes], last: int) -> Counter[str]:
    """Move what is kept of these subjects although its erasure was asked for. Their erasures name the new leaves then."""
    people = records.lock_people(uow, subjects)
    pending = records.lock_pending(uow, [each for subject in people for each in records.ids_of(uow.conn, subject)])
    named = [(each.id, leaf) for each in pending for leaf in each.leaves if leaf.state is LeafState.KEPT]
    going = {leaf.slot for each in pending for leaf in each.leaves if leaf.state is not LeafState.KEPT}
    asked = sorted({leaf.slot for _, leaf in named if leaf.slot.number <= last} - going)
    # One that a change under way has yet to carry over is not there at this moment: the job finds it when carried on.
    kept = {slot for slot, lives in zip(asked, uow.vault.keys.alive(asked) if asked else (), strict=True) if lives}
    held = keeping.filled(uow.conn, list(people))
    compartments = rekey(uow, [each for mine in held.values() for each in mine.values() if each.slot in kept])
    log_keys = _rehang_logs(uow, [each for each in people.values() if each.log_slot in kept])
    heirs: Mapping[Slot, Slot] = dict(compartments + log_keys)
    steps = [
        {
            "of_erasure": erasure,
            "of_slot": leaf.slot.number,
            "of_generation": leaf.slot.generation,
            "to_slot": heirs[leaf.slot].number,
            "to_generation": heirs[leaf.slot].generation,
        }
        for erasure, leaf in named
        if leaf.slot in heirs
    ]
    if steps:
        uow.conn.execute(_MOVE_KEPT, steps)
    leftleaves.succeed(uow, list(heirs.items()))
    return Counter(compartments=len(compartments), log_keys=len(log_keys))


def _rehang_logs(uow: UnitOfWork, people: Sequence[Person]) -> list[tuple[Slot, Slot]]:
    return _rehang(uow, _LOG_KEY, [(each.subject, each.log_slot, each.log_key) for each in people])


def _rehang(uow: UnitOfWork, on: _Hanging, held: Sequence[tuple[bytes, Slot, bytes]]) -> list[tuple[Slot, Slot]]:
    """Wrap what hangs on a leaf, as (row, leaf, blob), under a fresh one; returns those that moved, as (left, new)."""
    if not held:
        return []
    keys = uow.vault.keys
    fresh = keys.reserve(len(held))
    wrapped = keys.rewrap([(old, new, blob[:WRAPPED]) for (_, old, blob), new in zip(held, fresh, strict=True)])
    moved = [
        (row, old, new, wrap + blob[WRAPPED:])
        for (row, old, blob), new, wrap in zip(held, fresh, wrapped, strict=True)
        if wrap is not None  # else its leaf is gone or its bytes are altered: unreadable as before
    ]
    if moved:
        steps = [
            {"at_id": row, "to_blob": blob, "to_slot": new.number, "to_gen": new.generation}
            for row, _, new, blob in moved
        ]
        uow.conn.execute(on.store, steps)
    return [(old, new) for _, old, new, _ in moved]


def _highest(vault: Vault) -> int:
    with vault.reading() as conn:
        return max(conn.scalar(query) or 0 for query in _HIGHEST)


def _count(vault: Vault, last: int) -> int:
    with vault.reading() as conn:
        return sum(_counted(conn, query, last) for query in _COUNTS)


def _counted(conn: Connection, query: Any, last: int) -> int:
    return conn.scalar(query, {"last": last}) or 0
