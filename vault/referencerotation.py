"""A brand's reference to somebody replaced by a fresh one, at once or with a grace in which the old one still resolves.

What was granted is bound to the subject and not to the reference, so tokens live on. Without a grace the old reference
is from then on what a stranger's is; with one it resolves until the second named, while searches and events spell the new one.

No rotation lengthens the life of an older reference, and each may shorten it: what was replaced before ends with the
grace asked for now, or earlier if that was its end. Without a grace everything but the fresh reference dies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, delete, select, update

from vault import facts, references
from vault.errors import Conflict, IntegrityFailure, UnknownReference
from vault.references import RANDOM_BYTES
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork

LONGEST_GRACE: Final = 30 * 86_400
MOST_REPLACED: Final = 8  # that may still resolve beside the one in force; of more the oldest die early

_RELATION = metadata.tables["relation"]
_REFERENCE = metadata.tables["reference"]
_LOCKED = (
    select(_RELATION.c.subject_id, _RELATION.c.reference_sealed)
    .where(_RELATION.c.brand == bindparam("of"), _RELATION.c.subject_id.in_(bindparam("subjects", expanding=True)))
    .order_by(_RELATION.c.subject_id)
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Asked for: the brand, its reference, and for how many seconds that one still resolves."""

    brand: str
    reference: str = field(repr=False)
    grace: int


@dataclass(frozen=True, slots=True)
class Rotated:
    """Done: the subject, the reference from now on, and until when the old one resolves (None: it does not)."""

    subject: bytes
    reference: str = field(repr=False)
    until: int | None
    fresh: bool  # False: it was replaced before, and this is what by


def rotate(uow: UnitOfWork, asked: Sequence[Rotation]) -> list[Rotated | UnknownReference]:
    """Replace references, in order. One that was replaced already and still resolves is answered with its successor.

    The caller records `reference.rotated`: it knows the subjects' log keys.
    """
    outcomes: list[Rotated | UnknownReference] = []
    for each in asked:
        (subject,) = references.resolve(uow, each.brand, [each.reference])
        (known,) = (None,) if subject is None else facts.load(uow, each.brand, [subject])
        # Being erased is being nobody, here as everywhere.
        gone = subject is None or known is None or known.facts.erased
        outcomes.append(UnknownReference() if gone or subject is None else _rotate(uow, each, subject))
    return outcomes


def _rotate(uow: UnitOfWork, asked: Rotation, subject: bytes) -> Rotated | UnknownReference:
    keys, brand = uow.vault.keys, asked.brand
    # Locked: of two rotations at once the second finds what the first one made.
    row = uow.conn.execute(_LOCKED, {"of": brand, "subjects": padded([subject])}).first()
    if row is None:
        return UnknownReference()
    (held,) = keys.open(f"relation/{brand}", [(subject, row.reference_sealed)])
    if held is None:
        raise IntegrityFailure
    until = uow.now + asked.grace if asked.grace else None
    current, *replaced = references.split(held)
    if references.encode(current) != asked.reference:
        asked_by = references.decode(asked.reference) or b""
        _end(uow, brand, [asked_by, *replaced], until)
        (mac,) = references.macs(keys, brand, [asked_by])
        ends = uow.conn.scalar(select(_REFERENCE.c.expires_at).where(_REFERENCE.c.mac == mac))
        return Rotated(subject, references.encode(current), ends, fresh=False)
    bits = uow.vault.entropy.bytes(RANDOM_BYTES)
    (new,) = references.macs(keys, brand, [bits])
    (pointer,) = keys.seal(f"pointer/{brand}", [(new, subject)])
    kept = [] if until is None else [current, *replaced][:MOST_REPLACED]
    # Why safe: AES-SIV needs no nonce; beside the row before this one the fresh bits make the message another.
    (sealed,) = keys.seal(f"relation/{brand}", [(subject, b"".join([bits, *kept]))])
    if not _end(uow, brand, [current], until):
        raise Conflict
    _end(uow, brand, [each for each in replaced if each in kept], until)
    _end(uow, brand, [each for each in replaced if each not in kept], None)
    shard = uow.vault.shard_of(subject)
    fresh = {"mac": new, "brand": brand, "shard": shard, "pointer": pointer, "created_at": uow.now}
    uow.conn.execute(_REFERENCE.insert(), fresh)
    mine = (_RELATION.c.subject_id == subject, _RELATION.c.brand == brand)
    uow.conn.execute(update(_RELATION).where(*mine).values(reference_sealed=sealed))
    return Rotated(subject, references.encode(bits), until, fresh=True)


def _end(uow: UnitOfWork, brand: str, bits: Sequence[bytes], until: int | None) -> int:
    """Have references resolve until then at the longest, or not at all from now on. Returns how many were there."""
    if not bits:
        return 0
    ours = _REFERENCE.c.mac.in_(padded(references.macs(uow.vault.keys, brand, bits)))
    if until is None:
        return uow.conn.execute(delete(_REFERENCE).where(ours)).rowcount
    later = (_REFERENCE.c.expires_at.is_(None)) | (_REFERENCE.c.expires_at > until)
    return uow.conn.execute(update(_REFERENCE).where(ours, later).values(expires_at=until)).rowcount
