"""Idempotency-Key: a write asked for twice happens once, and its second answer is the first one's.

What is kept is a keyed hash of the key, a keyed hash of the whole request, and a sealed outcome (a reference and a
version): neither a body nor a name. The row is inserted in the unit of work of the write itself, so either both are
durable or neither. Two requests that race under one key meet at the primary key: the loser rolls back, runs again
(`vault.unit.execute`) and finds the winner's outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, delete, select, tuple_
from sqlmodel import col

from vault.errors import Conflict, IdempotencyMismatch, IntegrityFailure
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import IdempotentRequest
from vault.unit import UnitOfWork

KEPT_SECONDS: Final = 24 * 3600
LONGEST_KEY: Final = 255

_KEY_LABEL: Final = "idempotency/key/1"
_REQUEST_LABEL: Final = "idempotency/request/1"
_OUTCOME_LABEL: Final = "idempotency/outcome/1"

_HELD: Final = select(
    col(IdempotentRequest.system_id),
    col(IdempotentRequest.key_mac),
    col(IdempotentRequest.request_mac),
    col(IdempotentRequest.status),
    col(IdempotentRequest.outcome),
    col(IdempotentRequest.expires_at),
).where(
    tuple_(col(IdempotentRequest.system_id), col(IdempotentRequest.key_mac)).in_(bindparam("pairs", expanding=True))
)
_FORGET: Final = delete(IdempotentRequest).where(
    col(IdempotentRequest.system_id) == bindparam("of_system"), col(IdempotentRequest.key_mac) == bindparam("of_key")
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A write under an Idempotency-Key. `request` is everything that makes it that request: method, path, body."""

    system_id: str
    key: str
    request: bytes

    def __repr__(self) -> str:
        return "<Asked>"


@dataclass(frozen=True, slots=True)
class Claim:
    """First time: do the write, then `finish` this claim in the same unit."""

    system_id: str
    key_mac: bytes
    request_mac: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """Done before: answer this and do nothing."""

    status: int
    outcome: bytes


def begin(uow: UnitOfWork, asked: Sequence[Asked]) -> list[Claim | Replay | IdempotencyMismatch]:
    """Tell for each request whether it is new, done, or another request under a used key.

    Raises `Conflict` when one key stands twice in the batch: the batch is then split, and the second one is a replay.
    """
    if not asked:
        return []
    claims = _claims(uow, asked)
    if len({(claim.system_id, claim.key_mac) for claim in claims}) < len(claims):
        raise Conflict("idempotent_request")
    pairs = padded([(claim.system_id, claim.key_mac) for claim in claims])
    held = {(row.system_id, row.key_mac): row for row in uow.conn.execute(_HELD, {"pairs": pairs})}
    stale = [pair for pair, row in held.items() if row.expires_at <= uow.now]
    if stale:
        uow.conn.execute(_FORGET, [{"of_system": system, "of_key": mac} for system, mac in stale])
    answers: list[Claim | Replay | IdempotencyMismatch] = []
    for claim in claims:
        row = held.get((claim.system_id, claim.key_mac))
        if row is None or row.expires_at <= uow.now:
            answers.append(claim)
        elif row.request_mac != claim.request_mac:  # both are keyed hashes: comparing them teaches a caller nothing
            answers.append(IdempotencyMismatch())
        else:
            answers.append(Replay(row.status, _unsealed(uow, claim, row.outcome)))
    return answers


def finish(uow: UnitOfWork, outcomes: Sequence[tuple[Claim, int, bytes]]) -> None:
    """Keep (claim, HTTP status, outcome) for a day. An unfinished claim leaves nothing: asked again, it is new."""
    sealed = uow.vault.keys.seal(_OUTCOME_LABEL, [(_context(claim), outcome) for claim, _, outcome in outcomes])
    rows = [
        {
            "system_id": claim.system_id,
            "key_mac": claim.key_mac,
            "request_mac": claim.request_mac,
            "status": status,
            "outcome": outcome,
            "expires_at": uow.now + KEPT_SECONDS,
        }
        for (claim, status, _), outcome in zip(outcomes, sealed, strict=True)
    ]
    insert_rows(uow.conn, IdempotentRequest, rows)


def _claims(uow: UnitOfWork, asked: Sequence[Asked]) -> list[Claim]:
    keys = uow.vault.keys
    # Why safe: a system id is no longer than its length prefix can say, so no two pairs make the same message.
    key_macs = keys.mac(
        _KEY_LABEL, [bytes([len(one.system_id.encode())]) + (one.system_id + one.key).encode() for one in asked]
    )
    request_macs = keys.mac(_REQUEST_LABEL, [mac + one.request for mac, one in zip(key_macs, asked, strict=True)])
    return [
        Claim(one.system_id, key_mac, request_mac)
        for one, key_mac, request_mac in zip(asked, key_macs, request_macs, strict=True)
    ]


def _unsealed(uow: UnitOfWork, claim: Claim, outcome: bytes) -> bytes:
    (opened,) = uow.vault.keys.open(_OUTCOME_LABEL, [(_context(claim), outcome)])
    if opened is None:
        raise IntegrityFailure
    return opened


def _context(claim: Claim) -> bytes:
    # Binds the outcome to its row: moved to another key or request, it does not open.
    return claim.key_mac + claim.request_mac
