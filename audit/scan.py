"""The log read in long stretches, straight from the driver: what the ORM's layer adds to each row took half of the time."""

from typing import Any, Final

from sqlalchemy import Connection

_BODIES: Final = "SELECT idx, leaf, body FROM log_entry WHERE shard = {0} AND idx >= {0} AND idx < {0} AND length(body) > 0 ORDER BY idx"


def bodies(conn: Connection, shard: int, start: int, count: int) -> list[tuple[int, bytes, bytes]]:
    """Return up to `count` entries from index `start` on, in order, as (index, leaf hash, body); what was pruned is left out.

    A driver's errors pass through, as from `audit.ledger`.
    """
    driver: Any = conn.connection.driver_connection
    if conn.dialect.name == "postgresql":
        found = driver.cursor(binary=True).execute(_BODIES.format("%s"), (shard, start, start + count))
    else:
        found = driver.execute(_BODIES.format("?"), (shard, start, start + count))
    return list(found.fetchall())
