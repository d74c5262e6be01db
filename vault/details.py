"""Details of entries, sealed under the person's log key: they are read with it and go with it.

A row names the entry and nobody: whose it is, only the log key tells, as for the entry itself. The key dies with the
person's erasure and its leaf with the epoch, and from then on no copy of the row opens, in no backup; the entry's
commitment stays, and says nothing. Rows go when they are old (`forget`), or when their entries are pruned (`drop`).
"""

import hmac
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from audit.detail import SALT_SIZE, detail_commitment, write_detail
from vault.errors import IntegrityFailure
from vault.keys.message import bind, open_message, seal_message
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import LogDetail

LARGEST: Final = 16_384  # bytes of one
AT_ONCE: Final = 10_000  # forgotten in one unit

_BUCKET: Final = 256  # a row's length shall say little of what is in it
_KEY_LABEL: Final = b"ecrin/audit/detail/key/v1\x00"
_CONTEXT: Final = b"ecrin/audit/detail/row/v1"
_CHUNK: Final = 500
_DETAIL: Final = LogDetail.__table__  # type: ignore[attr-defined]
_OF: Final = select(_DETAIL.c.entry_id, _DETAIL.c.sealed).where(
    _DETAIL.c.entry_id.in_(bindparam("ids", expanding=True))
)


class Kept(NamedTuple):
    """A sealed detail before it is stored: the entry's commitment to it, and its row."""

    dc: bytes
    row: Mapping[str, Any]

    def __repr__(self) -> str:
        return "Kept(…)"


class Opened(NamedTuple):
    """A detail with the salt that proves it."""

    salt: bytes
    detail: bytes

    def __repr__(self) -> str:
        return "Opened(…)"


def seal(deployment: str, log_key: bytes, entry_id: bytes, content: Mapping[str, Any], salt: bytes, at: int) -> Kept:
    """Seal a detail for its entry. Raises `ValueError` for one that is too large. `salt`: 32 random bytes of its own."""
    detail = write_detail(content)
    if len(detail) > LARGEST:
        raise ValueError("the detail is too large")
    plain = salt + len(detail).to_bytes(4, "big") + detail
    plain += bytes(-len(plain) % _BUCKET)
    sealed = seal_message(_key(log_key, entry_id), _context(deployment, entry_id), plain)
    return Kept(detail_commitment(salt, detail), {"entry_id": entry_id, "sealed": sealed, "at": at})


def store(conn: Connection, kept: Collection[Kept]) -> None:
    """Store details, in the transaction of their entries."""
    insert_rows(conn, LogDetail, [each.row for each in kept])


def opened(conn: Connection, deployment: str, log_key: bytes, entry_ids: Collection[bytes]) -> dict[bytes, Opened]:
    """Open the details of one person's entries, by entry id; those that are gone are left out. Raises `IntegrityFailure`.

    Whoever calls this has recorded who reads them, durably, before.
    """
    found = {}
    wanted = sorted(entry_ids)
    for start in range(0, len(wanted), _CHUNK):
        for row in conn.execute(_OF, {"ids": padded(wanted[start : start + _CHUNK])}):
            entry_id = bytes(row.entry_id)
            plain = open_message(_key(log_key, entry_id), _context(deployment, entry_id), bytes(row.sealed))
            salt, size = plain[:SALT_SIZE], int.from_bytes(plain[SALT_SIZE : SALT_SIZE + 4], "big")
            detail = plain[SALT_SIZE + 4 : SALT_SIZE + 4 + size]
            if len(detail) != size:
                raise IntegrityFailure
            found[entry_id] = Opened(salt, detail)
    return found


def drop(conn: Connection, entry_ids: Sequence[bytes]) -> int:
    """Delete the details of these entries, whose bodies are pruned. Returns how many there were."""
    gone = 0
    for start in range(0, len(entry_ids), _CHUNK):
        these = padded(entry_ids[start : start + _CHUNK])
        gone += conn.execute(delete(_DETAIL).where(_DETAIL.c.entry_id.in_(these))).rowcount
    return gone


def forget(conn: Connection, before: int, most: int = AT_ONCE) -> int:
    """Delete at most so many details of entries older than this (UTC seconds); the entries stay. Returns how many."""
    old = select(_DETAIL.c.entry_id).where(_DETAIL.c.at < before).limit(most)
    return conn.execute(delete(_DETAIL).where(_DETAIL.c.entry_id.in_(old))).rowcount


def _key(log_key: bytes, entry_id: bytes) -> bytes:
    # Why safe: HMAC under a random key of 32 bytes, with a label of its own; each entry's detail has a key of its own.
    return hmac.digest(log_key, _KEY_LABEL + entry_id, "sha256")


def _context(deployment: str, entry_id: bytes) -> bytes:
    # Bound to the entry: a row copied beside another entry opens for nobody.
    return bind(_CONTEXT, deployment.encode(), entry_id)
