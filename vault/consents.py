"""Consents and the other legal bases: each act as an event with the evidence that GDPR Art. 7(1) asks for.

Events are append-only and chained (`vault.consentchain`); what holds now is their fold (`vault.consentfold`). An event
always steps its purpose's epoch, which is what kills outstanding tokens. Withdrawing needs no field that giving does
not need, and needs no notice (Art. 7(3)).

`Recording.add` is the one place where anything about a consent changes: people, rules and jobs all come through it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.bundle import Bundle
from policies.model import ConsentStatus
from policies.purposes import Basis, Purpose
from vault import consentchain, contactpoints, facts, guardians, locked
from vault.consentchain import RECORD, EventRow, verify_chain
from vault.consentevents import GIVING, ConsentAct, ConsentEvent, Method, Notice, Source, Who, check, purpose_of
from vault.consentfold import RENEWABLE, Projected, fold
from vault.contactpoints import Point, UnknownContact
from vault.errors import InvalidFields, UnknownPurpose, UnknownReference, VaultError
from vault.locked import Locked
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
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

_EVENT = metadata.tables["consent_event"]
_STATE = metadata.tables["consent_state"]

_DAY: Final = 86_400

_STATES_OF = select(
    _STATE.c.subject_id,
    _STATE.c.brand,
    _STATE.c.purpose,
    _STATE.c.state,
    _STATE.c.since_at,
    _STATE.c.until_at,
    _STATE.c.epoch,
    _STATE.c.event_id,
    _STATE.c.notice_version,
    _STATE.c.points,
).where(_STATE.c.subject_id.in_(bindparam("subjects", expanding=True)))
_STEP = (
    update(_STATE)
    .where(
        _STATE.c.subject_id == bindparam("at_subject"),
        _STATE.c.brand == bindparam("at_brand"),
        _STATE.c.purpose == bindparam("at_purpose"),
    )
    .values(
        state=bindparam("to_state"),
        since_at=bindparam("to_since"),
        until_at=bindparam("to_until"),
        epoch=bindparam("to_epoch"),
        event_id=bindparam("to_event"),
        notice_version=bindparam("to_notice"),
        points=bindparam("to_points"),
    )
)

_ENTRY_ACT: Final = {
    ConsentAct.REQUESTED: Act.CONSENT_REQUESTED,
    ConsentAct.REFUSED: Act.CONSENT_REFUSED,
    ConsentAct.GIVEN: Act.CONSENT_GIVEN,
    ConsentAct.RENEWED: Act.CONSENT_RENEWED,
    ConsentAct.WITHDRAWN: Act.CONSENT_WITHDRAWN,
    ConsentAct.EXPIRED: Act.CONSENT_EXPIRED,
    ConsentAct.INVALIDATED: Act.CONSENT_INVALIDATED,
    ConsentAct.OBJECTED: Act.CONSENT_OBJECTED,
    ConsentAct.OBJECTION_LIFTED: Act.CONSENT_OBJECTION_LIFTED,
    ConsentAct.ESTABLISHED: Act.BASIS_ESTABLISHED,
    ConsentAct.ENDED: Act.BASIS_ENDED,
}


@dataclass(frozen=True, slots=True)
class Change:
    """A consent event of the subject behind a brand's reference."""

    reference: str
    brand: str
    system_id: str
    event: ConsentEvent


@dataclass(frozen=True, slots=True)
class Recorded:
    """The event as recorded: its 16-byte id, its log entry, what now stands for the purpose, and the new epoch.

    `contacts` counts the contact points that are covered now; None where the purpose has no channel.
    """

    event_id: bytes
    entry: bytes
    purpose: str
    state: ConsentStatus
    epoch: int
    contacts: int | None = None


@dataclass(slots=True)
class _State:
    held: Projected
    stored: bool
    shard: int = 0
    moved: bool = False


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
    return recording.add(row, asked.brand, asked.system_id, event, points)


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


class Recording:
    """The consent events of one unit of work: chained in memory, stored by one statement per table.

    Subjects made by this unit need no `load`. The rows of all others must be locked by the unit before it.
    """

    __slots__ = ("_bundle", "_events", "_heads", "_states", "_uow")

    def __init__(self, uow: UnitOfWork, bundle: Bundle) -> None:
        self._uow = uow
        self._bundle = bundle
        self._events: list[EventRow] = []
        self._heads: dict[tuple[bytes, str], bytes] = {}
        self._states: dict[tuple[bytes, str, str], _State] = {}

    def load(self, subjects: Collection[bytes]) -> None:
        """Read where the chains of `subjects` end, and what stands."""
        if not subjects:
            return
        self._heads.update(consentchain.heads(self._uow, subjects))
        for subject, brand, purpose, *held in self._uow.conn.execute(_STATES_OF, {"subjects": padded(list(subjects))}):
            self._states[subject, brand, purpose] = _State(Projected(*held), stored=True)

    def status(self, subject: bytes, brand: str, purpose: str) -> ConsentStatus:
        """Return the status that the events so far give; expiry is not applied."""
        found = self._states.get((subject, brand, purpose))
        return ConsentStatus.NONE if found is None else ConsentStatus(found.held.state)

    def add(
        self, subject: Locked, brand: str, system_id: str, event: ConsentEvent, points: Sequence[Point] = ()
    ) -> Recorded:
        """Record one event that `check` has passed, with its log entry. `points` are those it is about, if any."""
        uow = self._uow
        purposes = self._bundle.purposes
        purpose = purposes.get(event.purpose)
        jurisdiction = event.jurisdiction or purposes.jurisdiction(subject.region)
        basis = purpose.basis_in(jurisdiction)
        event_at = uow.now if event.event_at is None else event.event_at
        notice = event.notice
        chain = (subject.subject, brand)
        row = EventRow(
            id=uow.vault.entropy.bytes(16),
            shard=subject.shard,
            subject_id=subject.subject,
            brand=brand,
            purpose=purpose.key,
            purpose_version=purpose.version,
            state=event.act.value,
            basis=basis.value,
            jurisdiction=jurisdiction,
            notice="" if notice is None else notice.id,
            notice_version=0 if notice is None else notice.version,
            notice_language="" if notice is None else notice.language,
            notice_hash=bytes(32) if notice is None else self._notice_hash(notice),
            channel=event.channel,
            place=event.place,
            collector=event.collector,
            system_id=system_id,
            event_at=event_at,
            recorded_at=uow.now,
            valid_until=_valid_until(purpose, event.act, event_at),
            record=RECORD,
            method=event.method.value,
            explicit=_explicit(event, basis),
            actor=event.actor.value,
            source=event.source.value,
            evidence_hash=event.evidence_hash or bytes(32),
            recipients=" ".join(purpose.recipients),
            points=contactpoints.written(points),
            previous_hash=self._heads.get(chain, consentchain.GENESIS),
            hash=b"",
        )
        self._heads[chain] = row["hash"] = consentchain.event_hash(row)
        self._events.append(row)
        held = self._project(row)
        entry = Entry(
            _ENTRY_ACT[event.act],
            Outcome.ALLOW,
            Actor(ActorKind.VAULT if event.actor is Who.SYSTEM else ActorKind.SYSTEM, system_id),
            pur=purpose.key,
            bas=basis.value,
        )
        return Recorded(
            row["id"],
            uow.record(entry, log_key=subject.log_key),
            purpose.key,
            ConsentStatus(held.state),
            held.epoch,
            len(held.points.split()) if purpose.channel else None,
        )

    def flush(self) -> None:
        """Store the events and the states they moved."""
        conn = self._uow.conn
        insert_rows(conn, _EVENT, self._events)
        moved = [(at, state) for at, state in self._states.items() if state.moved]
        steps = [
            {
                "at_subject": subject,
                "at_brand": brand,
                "at_purpose": purpose,
                "to_state": state.held.state,
                "to_since": state.held.since_at,
                "to_until": state.held.until_at,
                "to_epoch": state.held.epoch,
                "to_event": state.held.event_id,
                "to_notice": state.held.notice_version,
                "to_points": state.held.points,
            }
            for (subject, brand, purpose), state in moved
            if state.stored
        ]
        if steps:
            conn.execute(_STEP, steps)
        made = [
            {
                "subject_id": subject,
                "brand": brand,
                "purpose": purpose,
                "shard": state.shard,
                "state": state.held.state,
                "since_at": state.held.since_at,
                "until_at": state.held.until_at,
                "epoch": state.held.epoch,
                "event_id": state.held.event_id,
                "notice_version": state.held.notice_version,
                "points": state.held.points,
            }
            for (subject, brand, purpose), state in moved
            if not state.stored
        ]
        insert_rows(conn, _STATE, made)

    def _notice_hash(self, notice: Notice) -> bytes:
        return self._bundle.notices[notice.id, notice.version, notice.language].hash

    def _project(self, event: EventRow) -> Projected:
        at = (event["subject_id"], event["brand"], event["purpose"])
        state = self._states.get(at)
        if state is None:
            state = self._states[at] = _State(Projected(), stored=False, shard=event["shard"])
        fold(state.held, event)
        state.moved = True
        return state.held


def _explicit(event: ConsentEvent, basis: Basis) -> bool:
    if event.act not in GIVING:
        return False
    return basis is Basis.EXPLICIT_CONSENT if event.explicit is None else event.explicit


def _valid_until(purpose: Purpose, act: ConsentAct, event_at: int) -> int | None:
    if act not in GIVING or purpose.validity_days is None:
        return None
    return event_at + purpose.validity_days * _DAY
