"""The act of replacing a brand's reference to somebody (`vault.referencerotation`), asked for with a service token."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from api import trail
from api.acts import Answer, guarded, once
from audit.entry import Act, Entry, Outcome
from vault import facts, honey, outbox
from vault.errors import UnknownReference, VaultError
from vault.outbox import EventKind, Happened
from vault.referencerotation import Rotated, Rotation, rotate
from vault.tokens import Session
from vault.unit import UnitOfWork


@dataclass(frozen=True, slots=True)
class RotationAsked:
    """A reference to replace, and for how many seconds the old one still resolves."""

    reference: str = field(repr=False)
    grace: int


def _rotate(uow: UnitOfWork, asked: Sequence[tuple[Session, RotationAsked]]) -> list[Answer | VaultError]:
    return [_one(uow, session, each) for session, each in asked]


def _one(uow: UnitOfWork, session: Session, asked: RotationAsked) -> Answer | VaultError:
    system, actor = session.system, trail.actor_of(session)
    (done,) = rotate(uow, [Rotation(system.brand, asked.reference, asked.grace)])
    (known,) = facts.load(uow, system.brand, [done.subject]) if isinstance(done, Rotated) else (None,)
    if not isinstance(done, Rotated) or known is None:
        uow.record(Entry(Act.REFERENCE_ROTATED, Outcome.DENY, actor))
        return UnknownReference()
    (key,) = facts.log_keys(uow.vault.keys, [known])
    if refused := honey.spring(uow, [(system, key)]).get(system.id):
        return refused
    uow.record(Entry(Act.REFERENCE_ROTATED, Outcome.ALLOW, actor), log_key=key)
    if done.fresh:
        told: dict[str, str | int] = {"successor": done.reference}
        told |= {} if done.until is None else {"until": done.until}
        outbox.queue(uow, [Happened(system.brand, asked.reference, EventKind.ROTATED, told)])
    return {"reference": done.reference, "until": done.until}


rotations = guarded("subject.write", once(_rotate))
