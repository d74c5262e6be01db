"""Proofs are good once: DPoP proofs and client assertions, burned by hash (RFC 9449 §11.1, RFC 7523 §3).

A proof is burned in the unit of work of the act it paid for: if that rolls back, the proof was never used.

The statement runs with every request, so it is plain text: building a Core insert of many rows, or its cache key, costs
five to ten times what the database takes for it. PostgreSQL gets the sets as arrays, so one text is prepared once;
SQLite gets them as rows, their number padded to a power of two.
"""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Final

from sqlalchemy import Connection

from vault.store.keysets import padded
from vault.store.lookup import run
from vault.unit import UnitOfWork

_CHUNK: Final = 1000  # rows per statement; SQLite takes 32,766 parameters

_BURN_POSTGRESQL: Final = """
INSERT INTO seen_proof (hash, expires_at)
SELECT * FROM unnest(%s::bytea[], %s::bigint[])
ON CONFLICT DO NOTHING RETURNING hash
"""


def claim_proof(uow: UnitOfWork, proof_hash: bytes, expires_at: int) -> bool:
    """Burn one proof or client assertion (16-byte hash): True the first time, False ever after."""
    return claim_proofs(uow, [(proof_hash, expires_at)])[0]


def claim_proofs(uow: UnitOfWork, proofs: Sequence[tuple[bytes, int]]) -> list[bool]:
    """Burn (16-byte hash, expiry) pairs: True for each that was new. Of equal ones in a batch the first wins."""
    # Sorted: two units that burn the same proofs wait for each other in one order, and cannot deadlock.
    pending = sorted(dict(reversed(proofs)).items())
    new: set[bytes] = set()
    for start in range(0, len(pending), _CHUNK):
        new |= _burn(uow.conn, pending[start : start + _CHUNK])
    answers = []
    for proof_hash, _ in proofs:
        answers.append(proof_hash in new)
        new.discard(proof_hash)
    return answers


def _burn(conn: Connection, proofs: Sequence[tuple[bytes, int]]) -> set[bytes]:
    if conn.dialect.name == "postgresql":
        hashes, expiries = map(list, zip(*proofs, strict=True))
        return {row[0] for row in run(conn, _BURN_POSTGRESQL, (hashes, expiries))}
    rows = padded(proofs)
    return {row[0] for row in run(conn, _burn_sqlite(len(rows)), tuple(chain.from_iterable(rows))).fetchall()}


@cache
def _burn_sqlite(count: int) -> str:
    rows = ", ".join(["(?, ?)"] * count)
    insert = "INSERT INTO seen_proof (hash, expires_at) VALUES"
    return f"{insert} {rows} ON CONFLICT DO NOTHING RETURNING hash"
