"""Time stamps of checkpoints as stored: the authority's responses, and over which checkpoint each is."""

from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from audit.tables import metadata

_STAMPS = metadata.tables["log_timestamp"]
_CHECKPOINTS = metadata.tables["log_checkpoint"]


class Stamped(NamedTuple):
    """The newest time stamp: of which size, kept when (UTC seconds), over which checkpoint, and the response (DER)."""

    size: int
    at: int
    note: str
    response: bytes


def newest(conn: Connection, shard: int) -> Stamped | None:
    """Return the newest time stamp with its checkpoint."""
    row = conn.execute(
        select(_STAMPS.c.size, _STAMPS.c.at, _CHECKPOINTS.c.note, _STAMPS.c.token)
        .join(_CHECKPOINTS, (_CHECKPOINTS.c.shard == _STAMPS.c.shard) & (_CHECKPOINTS.c.size == _STAMPS.c.size))
        .where(_STAMPS.c.shard == shard)
        .order_by(_STAMPS.c.size.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Stamped(row[0], row[1], row[2], bytes(row[3]))


def keep(conn: Connection, shard: int, size: int, now: int, token: bytes) -> None:
    """Keep a response, once per size: another process may have been faster."""
    at = (_STAMPS.c.shard == shard, _STAMPS.c.size == size)
    if conn.scalar(select(_STAMPS.c.size).where(*at)) is None:
        conn.execute(insert(_STAMPS), {"shard": shard, "size": size, "at": now, "token": token})
