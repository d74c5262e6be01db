"""Anchoring the log in time: a token of a time-stamping authority (RFC 3161) over the newest checkpoint, each hour."""

from collections.abc import Callable
from typing import Final

from audit import ledger, stamped
from audit.checkpoint import parse
from audit.note import split_note
from audit.stamp import stamped_bytes
from audit.stamped import Stamped
from vault import logkeys
from vault.store.engine import translate
from vault.unit import Vault

TURN_SECONDS: Final = 3600.0

Stamp = Callable[[bytes], bytes]
"""Has bytes time-stamped and gives the authority's response (DER), checked; raises `TimestampRefused`."""


def turn(vault: Vault, stamp: Stamp, shard: int = 0) -> int | None:
    """Have the newest checkpoint stamped and keep the token; return its size, None if it has one already."""
    with vault.reading() as conn:
        note = ledger.latest_checkpoint(conn, shard)
        last = stamped.newest(conn, shard)
        keys = logkeys.known(vault, conn, shard)
    if note is None:
        return None
    size = parse(split_note(note).text).size
    if last is not None and last.size == size:
        return None
    token = stamp(stamped_bytes(note, keys))  # no transaction is open while somebody else is waited for
    with translate(), vault.engine.connect() as conn, conn.begin():
        stamped.keep(conn, shard, size, vault.clock.now(), token)
    return size


def newest(vault: Vault, shard: int = 0) -> Stamped | None:
    """Return the newest time stamp with its checkpoint, or None."""
    with vault.reading() as conn:
        return stamped.newest(conn, shard)
