"""Filters that officers keep under a title, and plans: a report made of one by itself, every so many days.

What a plan makes is made by the vault and waits among the finished reports (`vault.reports.runs`); who takes it away is in
the log. A filter holds a period in days back from when it is made, and words of the register: never a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Row, delete, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.reports.asked import Asked
from vault.errors import InvalidReport, UnknownReport
from vault.reports import running, runs
from vault.store.bulk import insert_rows
from vault.store.tables import SavedReport
from vault.unit import UnitOfWork, Vault

WORDS: Final = frozenset({"brand", "system", "purpose", "staff"})
MOST_DAYS: Final = 3_660
LONGEST_TITLE: Final = 80

_ID: Final = 16
_DAY: Final = 86_400
_SAVED: Final = SavedReport.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class NewSaved:
    """A filter to keep: of which report, over how many days back. `every_days` 0: it is made only when asked for."""

    title: str
    name: str
    days: int
    words: Mapping[str, str]
    every_days: int = 0


@dataclass(frozen=True, slots=True)
class Saved:
    """A kept filter. `by` is the officer who keeps it, `next_at` when its plan is due (UTC seconds; 0 without one)."""

    id: bytes
    new: NewSaved
    by: str
    next_at: int
    created_at: int


def save(vault: Vault, new: NewSaved, actor: Actor) -> Saved:
    """Keep a filter; a plan is due at once. Raises `UnknownReport` and `InvalidReport`."""
    if not 0 < len(new.title) <= LONGEST_TITLE or not new.title.isprintable():
        raise InvalidReport("a title has 1 to 80 printable characters")
    if not 1 <= new.days <= MOST_DAYS or not 0 <= new.every_days <= MOST_DAYS:
        raise InvalidReport("a period and a plan are of whole days, ten years at most")
    if not set(new.words) <= WORDS:
        raise InvalidReport("a kept filter says brand, system, purpose or staff")
    with vault.unit() as uow:
        saved = Saved(vault.entropy.bytes(_ID), new, actor.id, uow.now if new.every_days else 0, uow.now)
        running.check(new.name, asked_of(saved, uow.now))
        row = {
            "id": saved.id,
            "title": new.title,
            "name": new.name,
            "words": orjson.dumps(dict(new.words)).decode(),
            "days": new.days,
            "every_days": new.every_days,
            "next_at": saved.next_at,
            "by": actor.id,
            "created_at": uow.now,
        }
        insert_rows(uow.conn, SavedReport, [row])
        uow.record(_entry(Act.REPORT_SAVED, saved, actor))
        uow.commit()
    return saved


def listed(vault: Vault) -> list[Saved]:
    """List what is kept, by title."""
    with vault.reading() as conn:
        return [_saved(row) for row in conn.execute(select(_SAVED).order_by(_SAVED.c.title, _SAVED.c.id))]


def one(vault: Vault, saved_id: bytes) -> Saved:
    """Return one. Raises `UnknownReport`."""
    with vault.reading() as conn:
        row = conn.execute(select(_SAVED).where(_SAVED.c.id == saved_id)).one_or_none()
    if row is None:
        raise UnknownReport
    return _saved(row)


def forget(vault: Vault, saved_id: bytes, actor: Actor) -> None:
    """Keep a filter no longer; what was made of it stays until it expires. Raises `UnknownReport`."""
    saved = one(vault, saved_id)
    with vault.unit() as uow:
        if not uow.conn.execute(delete(_SAVED).where(_SAVED.c.id == saved_id)).rowcount:
            raise UnknownReport
        uow.record(_entry(Act.REPORT_DROPPED, saved, actor))
        uow.commit()


def asked_of(saved: Saved, now: int) -> Asked:
    """Return what a kept filter asks for at a moment. Raises `InvalidReport` for words that are none."""
    words: dict[str, Any] = dict(saved.new.words)
    try:
        return Asked(max(0, now - saved.new.days * _DAY), now, **words)
    except ValueError as error:
        raise InvalidReport(f"{error}") from None


def queue_due(vault: Vault) -> int:
    """Ask for the report of every plan that is due; returns how many. Of several processes one does it."""
    with vault.reading() as conn:
        due = [
            row.id
            for row in conn.execute(
                select(_SAVED.c.id).where(_SAVED.c.every_days > 0, _SAVED.c.next_at <= vault.clock.now())
            )
        ]
    return sum(_queue(vault, saved_id) for saved_id in due)


def _queue(vault: Vault, saved_id: bytes) -> bool:
    with vault.unit() as uow:
        row = uow.conn.execute(select(_SAVED).where(_SAVED.c.id == saved_id)).one_or_none()
        if row is None or row.next_at > uow.now or not _put_off(uow, row):
            return False
        saved = _saved(row)
        runs.enqueue(uow, saved.new.name, asked_of(saved, uow.now), Actor(ActorKind.VAULT, vault.deployment), saved.id)
        uow.commit()
    return True


def _put_off(uow: UnitOfWork, row: Row[Any]) -> bool:
    # From now, not from when it was due: a service that was off for weeks makes one report and not one a day missed.
    then = {"next_at": uow.now + row.every_days * _DAY}
    mine = (_SAVED.c.id == row.id, _SAVED.c.next_at == row.next_at)
    return bool(uow.conn.execute(update(_SAVED).where(*mine).values(**then)).rowcount)


def _entry(act: Act, saved: Saved, actor: Actor) -> Entry:
    plan = (f"every:{saved.new.every_days}",) if saved.new.every_days else ()
    return Entry(act, Outcome.ALLOW, actor, pol=(f"report:{saved.new.name}", f"saved:{saved.id.hex()}", *plan))


def _saved(row: Row[Any]) -> Saved:
    new = NewSaved(row.title, row.name, row.days, orjson.loads(row.words), row.every_days)
    return Saved(bytes(row.id), new, row.by, row.next_at, row.created_at)
