"""Consents and the other legal bases: each act as an event with the evidence that GDPR Art. 7(1) asks for.

Events are append-only and chained (`vault.consentchain`); what holds now is their fold (`vault.consentfold`); how one is
recorded, `vault.consentrecording` says. Withdrawing needs no field that giving does not need, and needs no notice
(Art. 7(3)).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from audit.entry import Asker
from policies.bundle import Bundle
from policies.model import ConsentStatus
from vault import contactpoints, facts, guardians, locked
from vault.consentchain import verify_chain
from vault.consentevents import GIVING, ConsentAct, ConsentEvent, Method, Notice, Source, Who, check, purpose_of
from vault.consentfold import RENEWABLE
from vault.consentrecording import Recorded, Recording
from vault.contactpoints import Point, UnknownContact
from vault.errors import InvalidFields, UnknownPurpose, UnknownReference, VaultError
from vault.locked import Locked
from vault.unit import UnitOfWork, settled

__all__ = [
    "Change",
    "ConsentAct",
    "ConsentEvent",
    "Method",
    "Notice",
    "Recorded",
    "Recording",
    "Source",
    "Who",
    "change",
    "check",
    "record",
    "statuses",
    "verify_chain",
]


@dataclass(frozen=True, slots=True)
class Change:
    """A consent event of the subject behind a brand's reference."""

    reference: str = field(repr=False)
    brand: str
    system_id: str
    event: ConsentEvent
    asker: Asker | None = None  # who stands behind the system, if it named them


def change(uow: UnitOfWork, changes: Sequence[Change]) -> list[Recorded | VaultError]:
    """Record a batch of consent events. An item fails with `UnknownReference`, `UnknownPurpose` or `InvalidFields`."""
    bundle = uow.vault.bundle  # once: a policy load may swap it while the batch runs
    recording = Recording(uow, bundle)
    rows = locked.by_reference(uow, [(each.brand, each.reference) for each in changes])
    subjects = {row.subject for row in rows if isinstance(row, Locked)}
    recording.load(subjects)
    reached = _Reached(uow, bundle, subjects, changes)
    outcomes: list[Recorded | VaultError] = []
    for asked, row in zip(changes, rows, strict=True):
        if isinstance(row, UnknownReference):
            outcomes.append(row)
        elif purpose_of(bundle, asked.event) is None:
            outcomes.append(UnknownPurpose())
        elif problems := check(bundle, asked.event, uow.now):
            outcomes.append(InvalidFields(tuple(problems)))
        else:
            outcomes.append(_apply(recording, reached, row, asked))
    recording.flush()
    return outcomes


record = settled(change)


def _apply(recording: "Recording", reached: "_Reached", row: Locked, asked: Change) -> Recorded | VaultError:
    event = asked.event
    if event.actor is Who.GUARDIAN and (row.subject, asked.brand) not in reached.guarded:
        return InvalidFields((("actor", "guardian_not_linked"),))
    if event.act is ConsentAct.RENEWED and recording.status(row.subject, asked.brand, event.purpose) not in RENEWABLE:
        return InvalidFields((("act", "nothing_to_renew"),))
    try:
        points = reached.points(row.subject, asked.brand, event)
    except UnknownContact as error:
        return InvalidFields((("contact", error.code),))
    return recording.add(row, asked.brand, asked.system_id, event, points, asked.asker)


def statuses(uow: UnitOfWork, brand: str, subjects: Sequence[bytes]) -> dict[bytes, Mapping[str, ConsentStatus]]:
    """Return what holds now for each purpose, per subject, at one brand; expiry is already applied."""
    known = facts.load(uow, brand, subjects)
    return {each.subject_id: each.facts.consents for each in known if each is not None}


class _Reached:
    """What a batch's events need to know besides the chains: addresses on file, guardians. Read only if they ask."""

    def __init__(self, uow: UnitOfWork, bundle: Bundle, subjects: Collection[bytes], changes: Sequence[Change]) -> None:
        self._uow = uow
        self._bundle = bundle
        asked = [(each, purpose_of(bundle, each.event)) for each in changes]
        channels = {purpose.channel for _, purpose in asked if purpose is not None and purpose.channel}
        self._held = contactpoints.held(uow, subjects, [bundle.catalogue.field(each) for each in channels])
        guarding = any(each.event.actor is Who.GUARDIAN for each in changes)
        self.guarded = guardians.guarded(uow, subjects) if guarding else frozenset()

    def points(self, subject: bytes, brand: str, event: ConsentEvent) -> tuple[Point, ...]:
        """Return the points an event is about: the named one; else all on file for a consent, and none for the rest."""
        channel = self._bundle.purposes.get(event.purpose).channel
        if not channel:
            return ()
        of = self._bundle.catalogue.field(channel)
        on_file = self._held.get((subject, brand, of.id), ())
        if event.contact is not None:
            return contactpoints.named(self._uow, subject, brand, of, event.contact, on_file)
        return on_file if event.act in GIVING else ()
