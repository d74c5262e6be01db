"""Idempotency-Key: a write asked for twice happens once, and its second answer is the first one's.

What is kept is a blinded hash of the key, one of the whole request, and a sealed outcome (a reference and a version):
neither a body nor a name, and nothing that outlives the epoch (`vault.remembering`). The row is inserted in the unit of
work of the write itself, so either both are durable or neither. Two requests that race under one key meet at the primary
key: the loser rolls back, runs again (`vault.unit.execute`) and finds the winner's outcome.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, tuple_
from sqlmodel import col

from vault import remembering
from vault.errors import Conflict, IdempotencyMismatch, IntegrityFailure
from vault.remembering import Handle
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import IdempotentRequest
from vault.unit import UnitOfWork

KEPT_SECONDS: Final = 24 * 3600
LONGEST_KEY: Final = 255

KIND: Final = "idempotency"  # of what is remembered

_NAMED: Final = re.compile(rb"ref_[0-9a-z]{26}")

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
    key: str = field(repr=False)
    request: bytes = field(repr=False)

    def __repr__(self) -> str:
        return "<Asked>"


@dataclass(frozen=True, slots=True)
class Claim:
    """First time: do the write, then `finish` this claim in the same unit."""

    system_id: str
    handles: tuple[Handle, ...] = field(repr=False)
    named: frozenset[bytes] = field(repr=False)  # the references that the request spells


@dataclass(frozen=True, slots=True)
class Replay:
    """Done before: answer this and do nothing."""

    status: int
    outcome: bytes = field(repr=False)


def begin(uow: UnitOfWork, asked: Sequence[Asked]) -> list[Claim | Replay | IdempotencyMismatch]:
    """Tell for each request whether it is new, done, or another request under a used key.

    Raises `Conflict` when one key stands twice in the batch: the batch is then split, and the second one is a replay.
    """
    if not asked:
        return []
    made = remembering.handles(uow.vault.keys, KIND, [((each.system_id, each.key), each.request) for each in asked])
    claims = [
        Claim(each.system_id, its, frozenset(_NAMED.findall(each.request)))
        for each, its in zip(asked, made, strict=True)
    ]
    pairs = [(claim.system_id, handle.key) for claim in claims for handle in claim.handles]
    if len(set(pairs)) < len(pairs):
        raise Conflict("idempotent_request")
    held = {(row.system_id, row.key_mac): row for row in uow.conn.execute(_HELD, {"pairs": padded(pairs)})}
    stale = [pair for pair, row in held.items() if row.expires_at <= uow.now]
    if stale:
        uow.conn.execute(_FORGET, [{"of_system": system, "of_key": mac} for system, mac in stale])
    answers: list[Claim | Replay | IdempotencyMismatch] = []
    for claim in claims:
        rows = [(handle, held.get((claim.system_id, handle.key))) for handle in claim.handles]
        known = next(((handle, row) for handle, row in rows if row is not None and row.expires_at > uow.now), None)
        if known is None:
            answers.append(claim)
        elif known[1].request_mac != known[0].content:  # both are keyed hashes: comparing them teaches a caller nothing
            answers.append(IdempotencyMismatch())
        else:
            answers.append(Replay(known[1].status, _unsealed(uow, *known)))
    return answers


def finish(uow: UnitOfWork, outcomes: Sequence[tuple[Claim, int, bytes]]) -> None:
    """Keep (claim, HTTP status, outcome) for a day. An unfinished claim leaves nothing: asked again, it is new.

    Kept under each epoch that was named. Raises `Conflict`, with nothing done, when one of them ended during the unit,
    which then runs again.
    """
    kept = [
        (claim, handle, status, _packed(claim.named | set(_NAMED.findall(outcome)), outcome))
        for claim, status, outcome in outcomes
        for handle in claim.handles
    ]
    kept.sort(key=lambda each: -each[1].epoch)
    sealed = remembering.seal(uow.vault.keys, KIND, [(handle, packed) for _, handle, _, packed in kept])
    rows = [
        {
            "system_id": claim.system_id,
            "key_mac": handle.key,
            "request_mac": handle.content,
            "epoch": handle.epoch,
            "status": status,
            "outcome": outcome,
            "expires_at": uow.now + KEPT_SECONDS,
        }
        for (claim, handle, status, _), outcome in zip(kept, sealed, strict=True)
    ]
    insert_rows(uow.conn, IdempotentRequest, rows)


def named(packed: bytes) -> list[str]:
    """Return the references that a request or its outcome spelt, of what `finish` sealed."""
    return [each.decode() for each in packed.partition(b"\n")[0].split()]


def _packed(references: Iterable[bytes], outcome: bytes) -> bytes:
    return b" ".join(sorted(references)) + b"\n" + outcome


def _unsealed(uow: UnitOfWork, handle: Handle, row: Any) -> bytes:
    (packed,) = remembering.opened(uow.vault.keys, KIND, [(handle, row.outcome)])
    if packed is None:
        raise IntegrityFailure
    return packed.partition(b"\n")[2]
