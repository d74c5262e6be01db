"""Holds: somebody forbids the destruction of a subject's data, in one category or in all, until it is released.

A hold stops an erasure wherever it is: before it is asked for, on the queue, and even when the next epoch is built and
only the old root's destruction is left. It does not open what an erasure closed: held data is kept, not used. Reasons
are codes; who a hold is about stands nowhere but in its row, which goes with the subject.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from audit.entry import Act, Actor, Entry, Outcome
from vault.erasure import keeping, records
from vault.erasure.records import LOG_LEAF, LeafState, Pending, Scope
from vault.erasure.settling import settle_in, settle_these
from vault.errors import UnknownHold, UnknownReference
from vault.keys.service import Slot
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import Vault

HOLD_BYTES: Final = 16

_HOLD: Final = metadata.tables["hold"]
_ALL: Final = select(_HOLD).order_by(_HOLD.c.placed_at, _HOLD.c.id)
_ONE: Final = select(_HOLD).where(_HOLD.c.id == bindparam("of_hold"), _HOLD.c.released_at.is_(None))
_RELEASE: Final = (
    update(_HOLD)
    .where(_HOLD.c.id == bindparam("of_hold"), _HOLD.c.released_at.is_(None))
    .values(released_by=bindparam("by"), released_at=bindparam("at"))
)


class HoldReason(StrEnum):
    """Why: GDPR Art. 17(3) names what erasure gives way to."""

    LEGAL_CLAIM = "legal_claim"  # Art. 17(3)(e)
    AUTHORITY_ORDER = "authority_order"  # Art. 17(3)(b)
    DISPUTE = "dispute"
    FRAUD_INQUIRY = "fraud_inquiry"
    PRODUCT_SAFETY = "product_safety"


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as listed. `category` is empty for every category."""

    id: str
    category: str
    reason: str
    placed_by: str
    placed_at: int
    released_by: str | None
    released_at: int | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A hold that stands. `saved` are categories of an erasure under way that it stopped, `late` those it could not."""

    hold: str
    saved: tuple[str, ...] = field(default=())
    late: tuple[str, ...] = field(default=())


def place(vault: Vault, subject: bytes, reason: HoldReason, actor: Actor, category: str | None = None) -> Placed:
    """Place a hold on a subject in whatever state. Raises `UnknownReference`, or `UnknownCategory` of the policies."""
    catalogue = vault.bundle.catalogue
    category_id = keeping.EVERY_CATEGORY if category is None else catalogue.category(category).id
    with vault.unit() as uow:
        person = records.lock_people(uow, [subject]).get(subject)
        if person is None:
            raise UnknownReference
        hold = vault.entropy.bytes(HOLD_BYTES)
        row: dict[str, Any] = {
            "id": hold,
            "shard": person.shard,
            "subject_id": subject,
            "category_id": category_id,
            "reason": reason.value,
            "placed_by": actor.id,
            "placed_at": uow.now,
            "released_by": None,
            "released_at": None,
        }
        insert_rows(uow.conn, _HOLD, [row])
        names = () if category is None else (f"category:{category}",)
        key = records.log_keys(uow, [person])[subject]
        uow.record(Entry(Act.HOLD_PLACED, Outcome.ALLOW, actor, names, pol=(f"hold.{reason}",)), log_key=key)
        # In the same unit and under the same lock: no epoch run can decide in between. The leaves come off the queue
        # before the commit; if that fails they are only kept a little longer than they had to be.
        pending = records.lock_pending(uow, records.ids_of(uow.conn, subject))
        queued = _queued(pending, category_id)
        settle_in(uow, pending)
        late = _queued(pending, category_id)
        uow.commit()
    saved = {keeping.name_of(catalogue, each) for slot, each in queued.items() if slot not in late}
    return Placed(
        hold.hex(), tuple(sorted(saved)), tuple(sorted({keeping.name_of(catalogue, e) for e in late.values()}))
    )


def release(vault: Vault, hold: str, actor: Actor) -> None:
    """Release a hold. Erasures that it stopped go on with the next epoch change. Raises `UnknownHold`."""
    try:
        at = {"of_hold": bytes.fromhex(hold)}
    except ValueError:
        raise UnknownHold from None
    with vault.unit() as uow:
        row = uow.conn.execute(_ONE, at).one_or_none()
        person = None if row is None else records.lock_people(uow, [row.subject_id]).get(row.subject_id)
        if row is None or person is None:
            raise UnknownHold
        if uow.conn.execute(_RELEASE, at | {"by": actor.id, "at": uow.now}).rowcount != 1:
            raise UnknownHold
        category = keeping.name_of(vault.bundle.catalogue, row.category_id)
        names = () if row.category_id == keeping.EVERY_CATEGORY else (f"category:{category}",)
        entry = Entry(Act.HOLD_RELEASED, Outcome.ALLOW, actor, names, pol=(f"hold.{row.reason}",))
        uow.record(entry, log_key=records.log_keys(uow, [person])[person.subject])
        ids = records.ids_of(uow.conn, person.subject)
        uow.commit()
    settle_these(vault, ids)


def listed(vault: Vault, *, released: bool = False) -> list[Hold]:
    """List the holds that stand, or all of them; oldest first."""
    catalogue = vault.bundle.catalogue
    with vault.reading() as conn:
        rows = conn.execute(_ALL if released else _ALL.where(_HOLD.c.released_at.is_(None))).all()
    return [
        Hold(
            row.id.hex(),
            "" if row.category_id == keeping.EVERY_CATEGORY else keeping.name_of(catalogue, row.category_id),
            row.reason,
            row.placed_by,
            row.placed_at,
            row.released_by,
            row.released_at,
        )
        for row in rows
    ]


def _queued(pending: Iterable[Pending], category_id: int) -> dict[Slot, int]:
    """Return the queued leaves, with their categories, that a hold on this category (or on all) is about."""
    return {
        leaf.slot: leaf.category_id
        for each in pending
        if each.scope is not Scope.FIELD
        for leaf in each.leaves
        if leaf.state is LeafState.QUEUED
        and leaf.category_id != LOG_LEAF
        and category_id in {keeping.EVERY_CATEGORY, leaf.category_id}
    }
