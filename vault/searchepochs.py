"""Search tokens from one epoch to the next: the whole column, wrapped anew while everybody goes on reading and writing.

A token is wrapped under the index key of an epoch, and that key dies with the epoch's root. Before it does, every row
must have been moved to the next key, or survivors could not be found any more. Moving needs no plaintext.

Two things could leave a row behind. Rows written meanwhile under the old key: from the build on every key service
names the new epoch first, so only units that asked before can still write one, and `settle` waits for them (on
PostgreSQL by a lock that all of them share; on SQLite there is one writer at a time). And a crash: moving is
resumed by asking again which rows are not of the new epoch.
"""

from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select, tuple_

from vault.errors import Conflict, StoreUnavailable
from vault.store.lookup import run, run_many
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

ROWS_PER_UNIT: Final = 5000  # about 0.1 s during which a writer waits; fewer rows dirty nearly as many pages
_PATIENCE: Final = (200, 400, 800, 1600, 3200)  # milliseconds; writers that wait behind us give up after five seconds

_TOKEN: Final = metadata.tables["search_token"]
_KEY: Final = (_TOKEN.c.subject_id, _TOKEN.c.brand, _TOKEN.c.field_id, _TOKEN.c.item)
_START: Final = (b"", "", 0, 0)
_LOCK: Final = "('search_token'::regclass::oid::bigint << 16)"  # unique in this database, whatever else locks

_ELSEWHERE: Final = (
    select(*_KEY, _TOKEN.c.token, _TOKEN.c.epoch)
    .where(
        tuple_(*_KEY) > tuple_(*(bindparam(f"after_{column.name}") for column in _KEY)),
        _TOKEN.c.epoch.in_(bindparam("epochs", expanding=True)),
    )
    .order_by(*_KEY)
    .limit(bindparam("most"))
)
# By hand and straight to the driver: these run for every token there is.
_MOVE_SQLITE: Final = (
    "UPDATE search_token SET token = ?, epoch = ? WHERE subject_id = ? AND brand = ? AND field_id = ? AND item = ?"
)
_MOVE_POSTGRESQL: Final = """
UPDATE search_token AS t SET token = moved.token, epoch = %s
FROM unnest(%b::bytea[], %b::bytea[], %s::text[], %s::smallint[], %s::bigint[])
    AS moved (token, subject_id, brand, field_id, item)
WHERE (t.subject_id, t.brand, t.field_id, t.item) = (moved.subject_id, moved.brand, moved.field_id, moved.item)
"""


def writing(uow: UnitOfWork) -> None:
    """Announce that this unit adds or removes tokens, before it does and before it asks for the epoch.

    Held until the unit ends.
    """
    if uow.conn.dialect.name == "postgresql":
        uow.conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")


def move(vault: Vault) -> int:
    """Move every token to the newest epoch, in small units of work. Returns how many were moved.

    Once it returns no row is left under an older key that is still there, and none can come. Raises `Conflict` when
    writers leave no gap; nothing is lost by asking again.
    """
    new, *older = vault.keys.index_epochs()
    if not older:
        return 0
    moved = _pass(vault, new, older)
    return moved + _settle(vault, new, older)


def left_behind(conn: Connection, epochs: tuple[int, ...]) -> int:
    """Count the tokens whose epoch is none of these: of a database brought back from backup. Nobody can find by them."""
    return conn.scalar(select(func.count()).select_from(_TOKEN).where(_TOKEN.c.epoch.not_in(epochs))) or 0


def _pass(vault: Vault, new: int, older: list[int]) -> int:
    """Walk once through the rows in the order of their keys."""
    moved, after = 0, _START
    while True:
        with vault.unit() as uow:
            rows, after = _batch(uow, new, older, after)
            uow.commit()
        moved += rows
        if rows < ROWS_PER_UNIT:
            return moved


def _settle(vault: Vault, new: int, older: list[int]) -> int:
    """Make sure that none is left once nobody can be writing one, waiting a little longer each time for a gap."""
    for patience in _PATIENCE:
        try:
            with vault.unit() as uow:
                if uow.conn.dialect.name == "postgresql":
                    uow.conn.exec_driver_sql(f"SET LOCAL lock_timeout = {patience:d}")
                    uow.conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                moved, after = 0, _START
                while True:
                    rows, after = _batch(uow, new, older, after)
                    moved += rows
                    if rows < ROWS_PER_UNIT:
                        break
                uow.commit()
        except StoreUnavailable:  # the lock was not to be had
            continue
        return moved
    raise Conflict("search_token")


def _batch(uow: UnitOfWork, new: int, older: list[int], after: tuple[bytes, str, int, int]) -> tuple[int, Any]:
    # Rows that a writer has locked are passed over and left to a later pass: neither waits for the other in a circle.
    query = _ELSEWHERE.with_for_update(skip_locked=True)
    asked: dict[str, Any] = {f"after_{column.name}": value for column, value in zip(_KEY, after, strict=True)}
    asked |= {"epochs": older, "most": ROWS_PER_UNIT}
    rows = uow.conn.execute(query, asked).all()
    if not rows:
        return 0, after
    steps = []
    for epoch in older:
        own = [row for row in rows if row.epoch == epoch]
        moved = uow.vault.keys.reblind([row.token for row in own], epoch, new)
        steps += [(to, *row[: len(_KEY)]) for row, to in zip(own, moved, strict=True)]
    steps.sort()  # in the order of the index of tokens, which the rows are not in
    if uow.conn.dialect.name == "postgresql":
        run(uow.conn, _MOVE_POSTGRESQL, [new, *map(list, zip(*steps, strict=True))])
    else:
        run_many(uow.conn, _MOVE_SQLITE, [(to, new, *at) for to, *at in steps])
    return len(rows), rows[-1][: len(_KEY)]
