"""Search tokens from one epoch to the next: the whole column, wrapped anew while everybody goes on reading and writing.

A token is wrapped under the index key of an epoch, and that key dies with the epoch's root. Before it does, every row
must have been moved to the next key, or survivors could not be found any more. Moving needs no plaintext.

Two things could leave a row behind. Rows written meanwhile under the old key: from the build on every key service
names the new epoch first, so only units that asked before can still write one, and `settle` waits for them (on
PostgreSQL by a lock that all of them share; on SQLite there is one writer at a time). And a crash: moving is
resumed by asking again which rows are not of the new epoch.

What a move costs is not the cipher, 0.1 us a token, but the index: each token leaves one random page of it and comes to
another (ADR 0043). So a unit moves many tokens at once, in one statement, while its pages are kept in memory.
"""

import time
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from vault.errors import KeyHolderUnavailable, StoreFull, StoreUnavailable
from vault.store.lookup import mapped, roomy, run
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

ROWS_PER_UNIT: Final = 20_000  # about 0.2 s during which a writer waits; fewer rows dirty nearly as many pages
GAP: Final = 0.11  # seconds between units on SQLite, where a writer that waits looks every tenth of a second
_PATIENCE: Final = (200, 400, 800, 1600, 3200)  # milliseconds; writers that wait behind us give up after five seconds

_TOKEN: Final = metadata.tables["search_token"]
_At = tuple[object, ...]  # the key of a row: subject, brand, field, item
_START: Final[_At] = (b"", "", 0, 0)
_LOCK: Final = "('search_token'::regclass::oid::bigint << 16)"  # unique in this database, whatever else locks

_ANY: Final = select(_TOKEN.c.item).where(_TOKEN.c.epoch == bindparam("epoch")).limit(1)
# By hand and straight to the driver: these run for every token there is.
_READ: Final = """
SELECT token, subject_id, brand, field_id, item FROM search_token
WHERE (subject_id, brand, field_id, item) > (?, ?, ?, ?) AND epoch = ?
ORDER BY subject_id, brand, field_id, item LIMIT ?
"""
# One statement walks the rows that were read, and asks for what each token becomes: nothing is looked up by its key.
_MOVE: Final = """
UPDATE search_token SET token = moved(token), epoch = ?
WHERE (subject_id, brand, field_id, item) > (?, ?, ?, ?) AND (subject_id, brand, field_id, item) <= (?, ?, ?, ?)
    AND epoch = ?
"""
# Rows that a writer has locked are passed over and left to a later pass: neither waits for the other in a circle. What
# is locked stays where it is, so the rows are found again by their places.
_LOCK_POSTGRESQL: Final = """
SELECT token, subject_id, brand, field_id, item, ctid::text FROM search_token
WHERE (subject_id, brand, field_id, item) > (%s, %s, %s, %s) AND epoch = %s
ORDER BY subject_id, brand, field_id, item LIMIT %s FOR UPDATE SKIP LOCKED
"""
_MOVE_POSTGRESQL: Final = """
UPDATE search_token AS t SET token = moved.token, epoch = %s
FROM unnest(%b::bytea[], %s::tid[]) AS moved (token, place) WHERE t.ctid = moved.place
"""


def writing(uow: UnitOfWork) -> None:
    """Announce that this unit adds or removes tokens, before it does and before it asks for the epoch.

    Held until the unit ends.
    """
    if uow.conn.dialect.name == "postgresql":
        uow.conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")


def move(vault: Vault, most: int = ROWS_PER_UNIT) -> int:
    """Move every token to the newest epoch, `most` of them in a unit of work. Returns how many were moved.

    Once it returns no row is left under an older key that is still there, and none can come. Raises `StoreUnavailable`
    when writers leave no gap, or of whatever else keeps the store away; nothing is lost by asking again.
    """
    new, *older = vault.keys.index_epochs()
    return sum(_pass(vault, new, old, most) + _settle(vault, new, old, most) for old in older)


def left_behind(conn: Connection, epochs: tuple[int, ...]) -> int:
    """Count the tokens whose epoch is none of these: of a database brought back from backup. Nobody can find by them."""
    return conn.scalar(select(func.count()).select_from(_TOKEN).where(_TOKEN.c.epoch.not_in(epochs))) or 0


def _pass(vault: Vault, new: int, old: int, most: int) -> int:
    """Walk once through the rows in the order of their keys."""
    moved, after = 0, _START
    while True:
        with vault.unit() as uow, roomy(uow.conn):
            rows, after = _batch(uow, new, old, after, most)
            uow.commit()
        moved += rows
        if rows < most:
            return moved
        if vault.engine.dialect.name == "sqlite":
            time.sleep(GAP)  # the file's one writer would come back before anybody who waits has looked again


def _settle(vault: Vault, new: int, old: int, most: int) -> int:
    """Make sure that none is left once nobody can be writing one, waiting a little longer each time for a gap."""
    for patience in _PATIENCE[:-1]:
        try:
            return _settled(vault, new, old, most, patience)
        except (StoreFull, KeyHolderUnavailable):
            raise  # waiting makes no room, and no keys
        except StoreUnavailable:  # the lock was not to be had, or the store is away: the same error
            continue
    return _settled(vault, new, old, most, _PATIENCE[-1])


def _settled(vault: Vault, new: int, old: int, most: int, patience: int) -> int:
    """Move what is left while nobody else writes. Raises `StoreUnavailable` when there is no gap in so many ms."""
    with vault.unit() as uow:
        if uow.conn.dialect.name == "postgresql":
            uow.conn.exec_driver_sql(f"SET LOCAL lock_timeout = {patience:d}")
            uow.conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        moved, after = 0, _START
        # Asked first, and in whatever order: nearly always there is none, and everybody waits for the answer.
        rows = most if uow.conn.execute(_ANY, {"epoch": old}).first() else 0
        while rows == most:
            rows, after = _batch(uow, new, old, after, most)
            moved += rows
        uow.commit()
    return moved


def _batch(uow: UnitOfWork, new: int, old: int, after: _At, most: int) -> tuple[int, _At]:
    """Move the next rows behind `after`. Returns how many there were, and where they end."""
    on_postgresql = uow.conn.dialect.name == "postgresql"
    asked = [*after, old, most]
    rows = run(uow.conn, _LOCK_POSTGRESQL if on_postgresql else _READ, asked).fetchall()
    if not rows:
        return 0, after
    tokens, last = [row[0] for row in rows], tuple(rows[-1][1:5])
    moved = uow.vault.keys.reblind(tokens, old, new)
    if on_postgresql:
        # In the order of the index of tokens, which the rows are not in.
        steps = sorted(zip(moved, (row[5] for row in rows), strict=True))
        run(uow.conn, _MOVE_POSTGRESQL, [new, *map(list, zip(*steps, strict=True))])
    else:
        with mapped(uow.conn, "moved", dict(zip(tokens, moved, strict=True))):
            run(uow.conn, _MOVE, [new, *after, *last, old])
    return len(rows), last
