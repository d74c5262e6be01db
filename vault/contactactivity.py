"""When a person last made contact with a brand: from this a prospect's time is counted (CNIL).

What counts is what the person did: a visit, a purchase, a call, a reply, a click. That a message was opened does not:
mail programs open them by themselves. Kept are a time and a word, never what it was about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from audit.entry import Act, Actor, ActorKind, Asker, Entry, Outcome
from vault import locked
from vault.consentevents import CLOCK_SKEW
from vault.errors import InvalidFields, UnknownReference, VaultError
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, settled

_ACTIVITY = metadata.tables["contact_activity"]
_LAST: Final = select(_ACTIVITY.c.subject_id, _ACTIVITY.c.brand, _ACTIVITY.c.last_at).where(
    _ACTIVITY.c.subject_id.in_(bindparam("subjects", expanding=True))
)
_STEP: Final = (
    update(_ACTIVITY)
    .where(_ACTIVITY.c.subject_id == bindparam("at_subject"), _ACTIVITY.c.brand == bindparam("at_brand"))
    .values(last_at=bindparam("to_at"), kind=bindparam("to_kind"))
)


class Kind(StrEnum):
    """What happened."""

    VISIT = "visit"
    PURCHASE = "purchase"
    CALL = "call"
    REPLY = "reply"
    CLICK = "click"
    FORM = "form"
    EMAIL_OPEN = "email_open"


COUNTING: Final = frozenset(Kind) - {Kind.EMAIL_OPEN}


@dataclass(frozen=True, slots=True)
class Activity:
    """A contact with the person behind a reference. `at` is UTC seconds, None for now."""

    reference: str = field(repr=False)
    brand: str
    system_id: str
    kind: Kind
    at: int | None = None
    asker: Asker | None = None  # who stands behind the system, if it named them


def note(uow: UnitOfWork, activities: Sequence[Activity]) -> list[bool | VaultError]:
    """Note contacts; returns whether each counts. An item fails with `UnknownReference` or `InvalidFields`."""
    rows = locked.by_reference(uow, [(each.brand, each.reference) for each in activities])
    subjects = padded(sorted({row.subject for row in rows if isinstance(row, locked.Locked)}))
    known = dict(last(uow.conn, subjects))
    fresh: dict[tuple[bytes, str], dict[str, object]] = {}
    outcomes: list[bool | VaultError] = []
    for asked, row in zip(activities, rows, strict=True):
        if isinstance(row, UnknownReference):
            outcomes.append(row)
            continue
        at = uow.now if asked.at is None else asked.at
        if not 0 <= at <= uow.now + CLOCK_SKEW:
            outcomes.append(InvalidFields((("at", "not_in_the_past"),)))
            continue
        actor = Actor(ActorKind.SYSTEM, asked.system_id, asker=asked.asker)
        uow.record(Entry(Act.CONTACT_NOTED, Outcome.ALLOW, actor), log_key=row.log_key)
        counts = asked.kind in COUNTING
        outcomes.append(counts)
        where = (row.subject, asked.brand)
        if not counts or (where in known and known[where] >= at):
            continue
        if where in known and where not in fresh:
            step = {"at_subject": row.subject, "at_brand": asked.brand, "to_at": at, "to_kind": asked.kind.value}
            uow.conn.execute(_STEP, step)
        else:
            fresh[where] = {
                "subject_id": row.subject,
                "brand": asked.brand,
                "shard": row.shard,
                "last_at": at,
                "kind": asked.kind.value,
            }
        known[where] = at
    insert_rows(uow.conn, _ACTIVITY, list(fresh.values()))
    return outcomes


record = settled(note)


def last(conn: Connection, subjects: Sequence[bytes]) -> Mapping[tuple[bytes, str], int]:
    """Return when each (subject, brand) was last in contact."""
    if not subjects:
        return {}
    return {(row.subject_id, row.brand): row.last_at for row in conn.execute(_LAST, {"subjects": subjects})}
