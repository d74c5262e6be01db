"""What witnesses said of a log, as stored: the last cosignature of each, and every checkpoint that a quorum cosigned."""

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from audit.checkpoint import parse
from audit.cosignature import Cosignature, CosignerKey
from audit.note import split_note
from audit.tables import metadata

_WITNESSES = metadata.tables["log_witness"]
_WITNESSED = metadata.tables["log_witnessed"]


class Kept(NamedTuple):
    """The newest checkpoint with a quorum: its size, when (UTC seconds) it was complete, and the note."""

    size: int
    at: int
    note: str


def seen_by(conn: Connection, shard: int, keys: Iterable[CosignerKey]) -> dict[CosignerKey, int]:
    """Tell the size that each of these witnesses cosigned last, as far as they answered; 0 for the others."""
    rows = conn.execute(select(_WITNESSES.c.witness, _WITNESSES.c.size).where(_WITNESSES.c.shard == shard))
    sizes = {bytes(row.witness): row.size for row in rows}
    return {key: sizes.get(_digest(key), 0) for key in keys}


def lines_at(conn: Connection, shard: int, size: int, keys: Iterable[CosignerKey]) -> dict[CosignerKey, str]:
    """Return the stored lines of these witnesses on the checkpoint of one size."""
    at = (_WITNESSES.c.shard == shard, _WITNESSES.c.size == size)
    rows = conn.execute(select(_WITNESSES.c.witness, _WITNESSES.c.line).where(*at))
    lines = {bytes(row.witness): row.line for row in rows}
    return {key: lines[_digest(key)] for key in keys if _digest(key) in lines}


def keep(conn: Connection, shard: int, size: int, now: int, given: Iterable[Cosignature]) -> None:
    """Keep what each witness said last. Never an older word over a newer one."""
    for each in given:
        mine = (_WITNESSES.c.shard == shard, _WITNESSES.c.witness == _digest(each.key))
        last = conn.scalar(select(_WITNESSES.c.size).where(*mine))
        if last is not None and last > size:
            continue
        conn.execute(delete(_WITNESSES).where(*mine))
        row = {"shard": shard, "witness": _digest(each.key), "size": size, "at": now, "line": each.line}
        conn.execute(insert(_WITNESSES), row)


def keep_witnessed(conn: Connection, shard: int, now: int, note: str) -> bool:
    """Keep a checkpoint with its quorum, once per size; tell whether it was new."""
    size = parse(split_note(note).text).size
    at = (_WITNESSED.c.shard == shard, _WITNESSED.c.size == size)
    if conn.scalar(select(_WITNESSED.c.size).where(*at)) is not None:
        return False
    conn.execute(insert(_WITNESSED), {"shard": shard, "size": size, "at": now, "note": note})
    return True


def newest(conn: Connection, shard: int) -> Kept | None:
    """Return the newest checkpoint that a quorum cosigned."""
    columns = (_WITNESSED.c.size, _WITNESSED.c.at, _WITNESSED.c.note)
    row = conn.execute(
        select(*columns).where(_WITNESSED.c.shard == shard).order_by(_WITNESSED.c.size.desc()).limit(1)
    ).one_or_none()
    return None if row is None else Kept(*row)


def _digest(key: CosignerKey) -> bytes:
    return sha256(key.vkey.encode()).digest()
