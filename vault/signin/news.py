"""What an officer is told about the own ways in: tries that failed, and what changed, since they last said they had seen it.

A row per officer and kind, made with the officer, so that a failed try costs the same statement whether there is such an
officer or not. Counts and times, and never from where: that is the log's to say, and the proxy's.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select, update
from sqlmodel import col

from vault.store.bulk import insert_rows
from vault.store.tables import OfficerNews
from vault.unit import UnitOfWork


class News(StrEnum):
    """What there is to tell."""

    SIGNED_IN = "signed_in"
    TRIED = "tried"  # somebody gave the officer's name, or one of the passkeys, and did not get in
    HALF_PROVEN = "half_proven"  # with the right password, and no code that fitted
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a kind
    CODE_SET_UP = "code_set_up"
    INVITED = "invited"  # an operator made a set-up code
    KEY_REGISTERED = "key_registered"  # an operator gave the officer another key to sign with


@dataclass(frozen=True, slots=True)
class Item:
    """One kind: how often since it was seen, when last, and when the time before (UTC seconds)."""

    kind: News
    count: int
    at: int | None
    before_at: int | None


def begin(uow: UnitOfWork, officer_id: str) -> None:
    """Make an officer's rows, with nothing to tell."""
    row = {"officer_id": officer_id, "count": 0, "at": None, "before_at": None}
    insert_rows(uow.conn, OfficerNews, [row | {"kind": each.value} for each in News])


def note(uow: UnitOfWork, officer_id: str, kind: News) -> None:
    """Count one more. Of an officer that there is not nothing is kept."""
    mine = (col(OfficerNews.officer_id) == officer_id) & (col(OfficerNews.kind) == kind.value)
    counted = {"count": col(OfficerNews.count) + 1, "before_at": col(OfficerNews.at), "at": uow.now}
    uow.conn.execute(update(OfficerNews).where(mine).values(**counted))


def of(conn: Connection, officer_id: str) -> dict[News, Item]:
    """Return all there is of an officer, by kind; nothing where nothing ever was."""
    rows = conn.execute(
        select(col(OfficerNews.kind), col(OfficerNews.count), col(OfficerNews.at), col(OfficerNews.before_at)).where(
            col(OfficerNews.officer_id) == officer_id, col(OfficerNews.at).is_not(None)
        )
    )
    found = [Item(News(kind), count, at, before_at) for kind, count, at, before_at in rows]
    return {each.kind: each for each in found}


def unseen(items: dict[News, Item]) -> list[Item]:
    """Return what the officer has not said to have seen: the sign-ins apart, all that happened."""
    return [items[kind] for kind in News if kind is not News.SIGNED_IN and kind in items and items[kind].count]


def seen(uow: UnitOfWork, officer_id: str) -> None:
    """Count anew from here: the officer has seen it."""
    uow.conn.execute(update(OfficerNews).where(col(OfficerNews.officer_id) == officer_id).values(count=0))
