"""Stored entries read by their place in the log, as readers see them and as they lie there.

A pruned entry keeps its row, its id and its leaf hash; its body is empty. For whoever reads what the log says it is not
there any more (`read`). For whoever recomputes the tree it is (`read_stored`): its hash stands for it.
"""

from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, Select, bindparam, func, select

from audit.tables import metadata

_ENTRIES = metadata.tables["log_entry"]
_SHARD: BindParameter[int] = bindparam("of_shard")
_STORED = (
    select(_ENTRIES.c.idx, _ENTRIES.c.entry_id, _ENTRIES.c.leaf, _ENTRIES.c.body)
    .where(_ENTRIES.c.shard == _SHARD, _ENTRIES.c.idx >= bindparam("start"), _ENTRIES.c.idx < bindparam("end"))
    .order_by(_ENTRIES.c.idx)
)
_READ = _STORED.where(func.length(_ENTRIES.c.body) > 0)
_PLACE = select(_ENTRIES.c.idx).where(_ENTRIES.c.shard == _SHARD, _ENTRIES.c.entry_id == bindparam("of_id"))


class Record(NamedTuple):
    """One stored entry. Only of `read_stored` may the body be empty: it was pruned."""

    idx: int
    entry_id: bytes
    leaf: bytes
    body: bytes


def read(conn: Connection, shard: int, start: int, count: int) -> list[Record]:
    """Return the entries of a stretch of `count` indexes from `start` on, in order; what was pruned is left out.

    A stretch that was pruned gives nothing, wherever it lies: whoever reads on from index 0 begins with
    `audit.pruning.kept_from`.
    """
    return _records(conn, _READ, shard, start, count)


def read_stored(conn: Connection, shard: int, start: int, count: int) -> list[Record]:
    """Return the entries of a stretch as they are stored, in order; those that were pruned with an empty body."""
    return _records(conn, _STORED, shard, start, count)


def index_of(conn: Connection, shard: int, entry_id: bytes) -> int | None:
    """Return the place of an entry in the log, or None if it is not there. A pruned one has its place still."""
    found = conn.scalar(_PLACE, {"of_shard": shard, "of_id": entry_id})
    return None if found is None else int(found)


def _records(conn: Connection, query: Select[Any], shard: int, start: int, count: int) -> list[Record]:
    rows = conn.execute(query, {"of_shard": shard, "start": start, "end": start + count})
    return [Record(*row) for row in rows]
