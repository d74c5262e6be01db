"""Attestations that were given out, and whether each still stands (Token Status List).

An attestation is shown to somebody who does not ask us, so it can only die by a public list of bits. Each has a place
in a list: one list per brand and day, the place drawn at random, so that neither tells who was attested or when. A bit
is not written: it is what the counters say. An attestation stands while the epochs it was given under are those of
now, so the unit that withdraws, restricts, erases or disables has set every bit it concerns, and none can be forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, select
from sqlmodel import col

from policies.errors import PolicyError
from policies.purposes import Purposes
from vault.errors import Overloaded
from vault.store.bulk import insert_rows
from vault.store.tables import Attestation, ConsentState, Subject, System
from vault.systems import SystemStatus
from vault.unit import UnitOfWork

CAPACITY: Final = 1 << 17  # places of a list: 16 KiB of bits, some hundred bytes compressed while few are set
LONGEST_SECONDS: Final = 86_400
_DAY: Final = 86_400
_NAME_BYTES: Final = 16
_TRIES: Final = 16


@dataclass(frozen=True, slots=True)
class NewAttestation:
    """One to enter: whom it is about, for whom, and the epochs it stands by."""

    subject_id: bytes
    brand: str
    purpose: str
    system_id: str
    system_epoch: int
    subject_epoch: int
    consent_epoch: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attestation's bit is: the list's name (32 hexadecimal digits) and the index in it."""

    list: str
    index: int


def enter(uow: UnitOfWork, new: Sequence[NewAttestation]) -> list[Place]:
    """Give each attestation a place. Raises `Overloaded` when a day's list is all but full: nothing was entered."""
    places = []
    for each in new:
        # Keyed, so that a list's name tells neither brand nor day; one call for a handful of attestations.
        (mac,) = uow.vault.keys.mac("attestation/list", [f"{each.brand}/{uow.now // _DAY}".encode()])
        name = mac[:_NAME_BYTES].hex()
        index = _free(uow, name)
        row = {"list": name, "place": index, "shard": uow.vault.shard_of(each.subject_id)}
        row |= {member: getattr(each, member) for member in NewAttestation.__slots__}
        insert_rows(uow.conn, Attestation, [row])  # a race for one place is a Conflict: the unit runs again
        places.append(Place(name, index))
    return places


def _free(uow: UnitOfWork, name: str) -> int:
    for _ in range(_TRIES):
        index = int.from_bytes(uow.vault.entropy.bytes(4)) % CAPACITY  # why safe: CAPACITY divides 2**32
        taken = select(col(Attestation.place)).where(col(Attestation.list) == name, col(Attestation.place) == index)
        if uow.conn.execute(taken).first() is None:
            return index
    raise Overloaded


def fallen(conn: Connection, purposes: Purposes, name: str) -> list[int] | None:
    """Return the places of a list whose attestations stand no more; None where there is no such list."""
    own = col(Attestation.list) == name
    rows = conn.execute(
        select(
            col(Attestation.place),
            col(Attestation.subject_id),
            col(Attestation.purpose),
            col(Attestation.system_epoch),
            col(Attestation.subject_epoch),
            col(Attestation.consent_epoch),
            col(System.epoch),
            col(System.status),
            col(Subject.epoch),
            col(Subject.state),
            col(Subject.restricted),
        )
        .outerjoin(System, col(System.id) == col(Attestation.system_id))
        .outerjoin(Subject, col(Subject.id) == col(Attestation.subject_id))
        .where(own)
    ).all()
    if not rows:
        return None
    same = and_(
        col(ConsentState.subject_id) == col(Attestation.subject_id), col(ConsentState.brand) == col(Attestation.brand)
    )
    counters = select(col(ConsentState.subject_id), col(ConsentState.purpose), col(ConsentState.epoch))
    consents = {
        (subject, purpose): epoch
        for subject, purpose, epoch in conn.execute(counters.join(Attestation, same).where(own).distinct())
    }

    def stands(subject: bytes, purpose: str, then: tuple[int, int, int], now: tuple[object, ...]) -> bool:
        system_epoch, status, subject_epoch, state, restricted = now
        try:
            consent_epoch = sum(consents.get((subject, each.key), 0) for each in purposes.path(purpose))
        except PolicyError:  # the bundle has dropped the purpose
            return False
        return (
            then == (system_epoch, subject_epoch, consent_epoch)
            and status == SystemStatus.ACTIVE
            and state == "active"
            and not restricted
        )

    return [
        place for place, subject, purpose, a, b, c, *now in rows if not stands(subject, purpose, (a, b, c), (*now,))
    ]
