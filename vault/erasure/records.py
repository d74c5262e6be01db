"""Erasures under way, read with their leaves and the rows of their subjects locked.

Whoever changes what becomes of a leaf, in the database or on the keystore's queue, holds the row of its subject: a
request, a hold, an epoch run. So no two of them ever decide on different knowledge.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from policies.catalogue import Catalogue
from policies.errors import UnknownField
from vault.erasure.keeping import name_of
from vault.keys.service import Slot
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork

LOG_LEAF: Final = 0  # the category of the leaf that wraps the subject's log key

_SUBJECT: Final = metadata.tables["subject"]
_ERASURE: Final = metadata.tables["erasure"]
_LEAF: Final = metadata.tables["erasure_leaf"]

_LOCK: Final = (
    select(
        _SUBJECT.c.id,
        _SUBJECT.c.shard,
        _SUBJECT.c.state,
        _SUBJECT.c.log_slot,
        _SUBJECT.c.log_generation,
        _SUBJECT.c.log_key,
    )
    .where(_SUBJECT.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_SUBJECT.c.id)
    .with_for_update()
)
_PENDING: Final = (
    select(_ERASURE)
    .where(_ERASURE.c.id.in_(bindparam("ids", expanding=True)), _ERASURE.c.state != "done")
    .order_by(_ERASURE.c.id)
)
_WHOSE: Final = select(_ERASURE.c.subject_id).where(_ERASURE.c.id.in_(bindparam("ids", expanding=True)))
_LEAVES: Final = select(_LEAF).where(_LEAF.c.erasure_id.in_(bindparam("ids", expanding=True)))
_NEXT: Final = (
    select(_ERASURE.c.id)
    .where(_ERASURE.c.state.in_(("requested", "partial")), _ERASURE.c.id > bindparam("after"))
    .order_by(_ERASURE.c.id)
    .limit(bindparam("most"))
)
_OF_SUBJECT: Final = select(_ERASURE.c.id).where(
    _ERASURE.c.subject_id == bindparam("subject"), _ERASURE.c.state != "done"
)
_MARK: Final = (
    update(_LEAF)
    .where(
        _LEAF.c.erasure_id == bindparam("of_erasure"),
        _LEAF.c.slot == bindparam("of_slot"),
        _LEAF.c.generation == bindparam("of_generation"),
    )
    .values(state=bindparam("to_state"))
)
_MOVE: Final = update(_ERASURE).where(_ERASURE.c.id == bindparam("of_erasure")).values(state=bindparam("to_state"))


class Scope(StrEnum):
    """How much of a subject an erasure takes."""

    SUBJECT = "subject"
    CATEGORY = "category"
    FIELD = "field"


class Cause(StrEnum):
    """Why: the subject asked (GDPR Art. 17), or the time of the catalogue is over (Art. 5(1)(e))."""

    REQUEST = "request"
    RETENTION = "retention"


class ErasureState(StrEnum):
    """Requested: everything it takes is queued. Partial: something is kept back. Done: destroyed, all of it."""

    REQUESTED = "requested"
    PARTIAL = "partial"
    DONE = "done"


class LeafState(StrEnum):
    """What becomes of a leaf."""

    QUEUED = "queued"
    KEPT = "kept"
    DESTROYED = "destroyed"


@dataclass(slots=True)
class Leaf:
    """A leaf that an erasure takes; `category_id` is `LOG_LEAF` for that of the log key."""

    category_id: int
    slot: Slot
    state: LeafState


@dataclass(frozen=True, slots=True)
class Person:
    """A subject's row, locked. `log_key` is wrapped."""

    subject: bytes
    shard: int
    state: str
    log_slot: Slot
    log_key: bytes = field(repr=False)


@dataclass(slots=True)
class Pending:
    """An erasure that is not done, with its leaves. `person` is None when the subject's row is not there any more."""

    id: bytes
    shard: int
    subject: bytes
    scope: Scope
    category_id: int
    field_id: int
    through: int
    commitment: bytes
    state: ErasureState
    person: Person | None
    leaves: list[Leaf]

    @property
    def waits(self) -> bool:
        """Whether it is a field whose values could not be deleted yet."""
        return self.scope is Scope.FIELD and not self.leaves


def lock_people(uow: UnitOfWork, subjects: Collection[bytes]) -> dict[bytes, Person]:
    """Lock the rows of subjects in whatever state, in one order."""
    if not subjects:
        return {}
    rows = uow.conn.execute(_LOCK, {"ids": padded(sorted(subjects))})
    return {row[0]: Person(*row[:3], Slot(row[3], row[4]), row[5]) for row in rows}


def log_keys(uow: UnitOfWork, people: Sequence[Person]) -> dict[bytes, bytes | None]:
    """Open the log keys that are still there."""
    keys = uow.vault.keys.unwrap([(each.log_slot, each.log_key) for each in people]) if people else []
    return {each.subject: key for each, key in zip(people, keys, strict=True)}


def next_ids(conn: Connection, after: bytes, most: int) -> list[bytes]:
    """List erasures that are not done, in the order of their ids."""
    return list(conn.scalars(_NEXT, {"after": after, "most": most}))


def ids_of(conn: Connection, subject: bytes) -> list[bytes]:
    """List the erasures of a subject that are not done."""
    return list(conn.scalars(_OF_SUBJECT, {"subject": subject}))


def lock_pending(uow: UnitOfWork, ids: Sequence[bytes]) -> list[Pending]:
    """Lock the subjects of erasures, then read those that are still not done."""
    if not ids:
        return []
    keys = {"ids": padded(list(ids))}
    people = lock_people(uow, {each for each in uow.conn.scalars(_WHOSE, keys) if each is not None})
    leaves: dict[bytes, list[Leaf]] = {}
    for row in uow.conn.execute(_LEAVES, keys):
        leaf = Leaf(row.category_id, Slot(row.slot, row.generation), LeafState(row.state))
        leaves.setdefault(row.erasure_id, []).append(leaf)
    return [
        Pending(
            row.id,
            row.shard,
            row.subject_id,
            Scope(row.scope),
            row.category_id,
            row.field_id,
            row.through,
            row.commitment,
            ErasureState(row.state),
            people.get(row.subject_id),
            leaves.get(row.id, []),
        )
        for row in uow.conn.execute(_PENDING, keys)
        if row.subject_id is not None
    ]


def mark(uow: UnitOfWork, leaves: Sequence[tuple[Pending, Leaf]]) -> None:
    """Store the states of leaves."""
    if leaves:
        steps: list[dict[str, Any]] = [
            {
                "of_erasure": pending.id,
                "of_slot": leaf.slot.number,
                "of_generation": leaf.slot.generation,
                "to_state": leaf.state.value,
            }
            for pending, leaf in leaves
        ]
        uow.conn.execute(_MARK, steps)


def move(uow: UnitOfWork, erasures: Sequence[Pending]) -> None:
    """Store the states of erasures."""
    if erasures:
        uow.conn.execute(_MOVE, [{"of_erasure": each.id, "to_state": each.state.value} for each in erasures])


def leaf_row(erasure: bytes, leaf: Leaf) -> dict[str, Any]:
    """Return a row of `erasure_leaf`."""
    return {
        "erasure_id": erasure,
        "slot": leaf.slot.number,
        "generation": leaf.slot.generation,
        "category_id": leaf.category_id,
        "state": leaf.state.value,
    }


def what_log(catalogue: Catalogue, scope: Scope, category_id: int, field_id: int) -> tuple[str, ...]:
    """Name what is erased, for the log: nothing for a whole subject, `category:contact`, or a field's name."""
    if scope is Scope.SUBJECT:
        return ()
    if scope is Scope.CATEGORY:
        return (f"category:{name_of(catalogue, category_id)}",)
    try:
        return (catalogue.field_by_id(field_id).name,)
    except UnknownField:
        return (f"field:{field_id}",)
