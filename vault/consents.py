"""Consents: given, withdrawn, objected, each with the evidence that GDPR Art. 7(1) asks for.

Events are append-only and chained (`vault.consentchain`); what holds now is a projection of them. An event always
steps its purpose's epoch, which is what kills outstanding tokens. Two rules decide what an event does to the state:

* a restriction (withdrawal, objection) takes effect whenever it arrives, however late;
* a permission (consent, lifted objection) takes effect only if it is not older than what it would replace.

So neither a lagging clock nor a late import can undo what somebody refused. Withdrawing needs no field that giving
does not need, and needs no notice (Art. 7(3)).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import bindparam, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.bundle import Bundle
from policies.errors import UnknownPurpose as PolicyUnknownPurpose
from policies.model import ConsentStatus
from policies.purposes import Purpose
from vault import consentchain, facts, locked
from vault.consentchain import EventRow, verify_chain
from vault.errors import InvalidFields, UnknownPurpose, UnknownReference, VaultError
from vault.locked import Locked
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, settled

__all__ = ["Change", "ConsentAct", "ConsentEvent", "Notice", "Recorded", "record", "statuses", "verify_chain"]

_EVENT = metadata.tables["consent_event"]
_STATE = metadata.tables["consent_state"]

CLOCK_SKEW: Final = 300  # seconds an event may lie ahead of our clock before we call its time wrong
_DAY: Final = 86_400
# Pseudonyms and codes only: these columns are in clear, so nothing that could spell an address or a name with a space.
_WORD = re.compile(r"[A-Za-z0-9._:/-]+", re.ASCII)
_LONGEST: Final = {"channel": 24, "place": 64, "collector": 64, "jurisdiction": 8}

_STATES_OF = select(
    _STATE.c.subject_id,
    _STATE.c.brand,
    _STATE.c.purpose,
    _STATE.c.state,
    _STATE.c.since_at,
    _STATE.c.until_at,
    _STATE.c.epoch,
    _STATE.c.event_id,
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
    )
)


class ConsentAct(StrEnum):
    """What the person did."""

    GIVEN = "given"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    OBJECTION_LIFTED = "objection_lifted"


_ENTRY_ACT: Final = {
    ConsentAct.GIVEN: Act.CONSENT_GIVEN,
    ConsentAct.WITHDRAWN: Act.CONSENT_WITHDRAWN,
    ConsentAct.OBJECTED: Act.CONSENT_OBJECTED,
    ConsentAct.OBJECTION_LIFTED: Act.CONSENT_OBJECTION_LIFTED,
}
_STATUS: Final = {
    ConsentAct.GIVEN: ConsentStatus.GIVEN,
    ConsentAct.WITHDRAWN: ConsentStatus.WITHDRAWN,
    ConsentAct.OBJECTED: ConsentStatus.OBJECTED,
    ConsentAct.OBJECTION_LIFTED: ConsentStatus.NONE,
}
_RESTRICTIONS: Final = frozenset({ConsentAct.WITHDRAWN, ConsentAct.OBJECTED})


@dataclass(frozen=True, slots=True)
class Notice:
    """Which text the person was shown: it must be one of the bundle's notices."""

    id: str
    version: int
    language: str


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One act of a person, without the person.

    `notice` is required to give a consent. `collector` is a staff pseudonym, `place` a store code. `event_at` is UTC
    seconds, None for now. `jurisdiction` empty means that of the subject's region.
    """

    purpose: str
    act: ConsentAct
    channel: str
    notice: Notice | None = None
    place: str = ""
    collector: str = ""
    event_at: int | None = None
    jurisdiction: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A consent event of the subject behind a brand's reference."""

    reference: str
    brand: str
    system_id: str
    event: ConsentEvent


@dataclass(frozen=True, slots=True)
class Recorded:
    """The event as recorded: its 16-byte id, its log entry, what now stands for the purpose, and the new epoch."""

    event_id: bytes
    entry: bytes
    purpose: str
    state: ConsentStatus
    epoch: int


@dataclass(slots=True)
class _State:
    state: str
    since_at: int
    until_at: int | None
    epoch: int
    event_id: bytes
    stored: bool
    moved: bool = False


def change(uow: UnitOfWork, changes: Sequence[Change]) -> list[Recorded | VaultError]:
    """Record a batch of consent events. An item fails with `UnknownReference`, `UnknownPurpose` or `InvalidFields`."""
    bundle = uow.vault.bundle  # once: a policy load may swap it while the batch runs
    recording = Recording(uow, bundle)
    rows = locked.by_reference(uow, [(each.brand, each.reference) for each in changes])
    recording.load({row.subject for row in rows if isinstance(row, Locked)})
    outcomes: list[Recorded | VaultError] = []
    for asked, row in zip(changes, rows, strict=True):
        if isinstance(row, UnknownReference):
            outcomes.append(row)
        elif purpose_of(bundle, asked.event) is None:
            outcomes.append(UnknownPurpose())
        elif problems := check(bundle, asked.event, uow.now):
            outcomes.append(InvalidFields(tuple(problems)))
        else:
            outcomes.append(recording.add(row, asked.brand, asked.system_id, asked.event))
    recording.flush()
    return outcomes


record = settled(change)


def statuses(uow: UnitOfWork, brand: str, subjects: Sequence[bytes]) -> dict[bytes, Mapping[str, ConsentStatus]]:
    """Return what holds now for each purpose, per subject, at one brand; expiry is already applied."""
    known = facts.load(uow, brand, subjects)
    return {each.subject_id: each.facts.consents for each in known if each is not None}


def purpose_of(bundle: Bundle, event: ConsentEvent) -> Purpose | None:
    """Return the event's purpose, or None if the bundle has no such purpose."""
    try:
        return bundle.purposes.get(event.purpose)
    except PolicyUnknownPurpose:
        return None


def check(bundle: Bundle, event: ConsentEvent, now: int) -> list[tuple[str, str]]:
    """Return the problems of an event as (member, reason); none means that it can be recorded."""
    purpose = purpose_of(bundle, event)
    if purpose is None:
        return [("purpose", "unknown_purpose")]
    found: list[tuple[str, str]] = []
    for name, longest in _LONGEST.items():
        word = getattr(event, name)
        if (word or name == "channel") and not (len(word) <= longest and _WORD.fullmatch(word)):
            found.append((name, "not_a_code"))
    if event.event_at is not None and not 0 <= event.event_at <= now + CLOCK_SKEW:
        found.append(("event_at", "not_in_the_past"))
    notice = event.notice
    if notice is not None and (notice.id, notice.version, notice.language) not in bundle.notices:
        found.append(("notice", "unknown_notice"))
    if event.act is ConsentAct.GIVEN:
        if not purpose.may_need_consent:
            found.append(("purpose", "takes_no_consent"))
        elif notice is None:
            found.append(("notice", "missing"))
        elif notice.id != purpose.notice:
            found.append(("notice", "not_for_this_purpose"))
    return found


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
        self._states: dict[tuple[bytes, str, str], tuple[int, _State]] = {}

    def load(self, subjects: Collection[bytes]) -> None:
        """Read where the chains of `subjects` end, and what stands."""
        if not subjects:
            return
        self._heads.update(consentchain.heads(self._uow, subjects))
        for row in self._uow.conn.execute(_STATES_OF, {"subjects": padded(list(subjects))}).all():
            state = _State(row.state, row.since_at, row.until_at, row.epoch, row.event_id, stored=True)
            self._states[row.subject_id, row.brand, row.purpose] = (0, state)

    def add(self, subject: Locked, brand: str, system_id: str, event: ConsentEvent) -> Recorded:
        """Record one event that `check` has passed, with its log entry."""
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
            previous_hash=self._heads.get(chain, consentchain.GENESIS),
            hash=b"",
        )
        self._heads[chain] = row["hash"] = consentchain.event_hash(row)
        self._events.append(row)
        state = self._project(row, event.act)
        entry = Entry(
            _ENTRY_ACT[event.act],
            Outcome.ALLOW,
            Actor(ActorKind.SYSTEM, system_id),
            pur=purpose.key,
            bas=basis.value,
        )
        return Recorded(
            row["id"],
            uow.record(entry, log_key=subject.log_key),
            purpose.key,
            ConsentStatus(state.state),
            state.epoch,
        )

    def flush(self) -> None:
        """Store the events and the states they moved."""
        conn = self._uow.conn
        insert_rows(conn, _EVENT, self._events)
        moved = [(at, shard, state) for at, (shard, state) in self._states.items() if state.moved]
        steps = [
            {
                "at_subject": subject,
                "at_brand": brand,
                "at_purpose": purpose,
                "to_state": state.state,
                "to_since": state.since_at,
                "to_until": state.until_at,
                "to_epoch": state.epoch,
                "to_event": state.event_id,
            }
            for (subject, brand, purpose), _, state in moved
            if state.stored
        ]
        if steps:
            conn.execute(_STEP, steps)
        made = [
            {
                "subject_id": subject,
                "brand": brand,
                "purpose": purpose,
                "shard": shard,
                "state": state.state,
                "since_at": state.since_at,
                "until_at": state.until_at,
                "epoch": state.epoch,
                "event_id": state.event_id,
            }
            for (subject, brand, purpose), shard, state in moved
            if not state.stored
        ]
        insert_rows(conn, _STATE, made)

    def _notice_hash(self, notice: Notice) -> bytes:
        return self._bundle.notices[notice.id, notice.version, notice.language].hash

    def _project(self, event: EventRow, act: ConsentAct) -> _State:
        at = (event["subject_id"], event["brand"], event["purpose"])
        # A time ahead of our clock counts as now, or the withdrawal that follows could look older than it.
        since = min(event["event_at"], self._uow.now)
        _, state = self._states.get(at, (0, None))
        if state is None:
            state = _State(ConsentStatus.NONE, 0, None, 0, event["id"], stored=False)
            self._states[at] = (event["shard"], state)
        state.epoch += 1
        state.moved = True
        if act in _RESTRICTIONS or (since >= state.since_at and _may_permit(act, state.state)):
            state.state = _STATUS[act]
            # A late restriction must not make the state look old again: an older permission could then replace it.
            state.since_at = max(since, state.since_at)
            state.until_at = event["valid_until"]
            state.event_id = event["id"]
        return state


def _may_permit(act: ConsentAct, state: str) -> bool:
    return act is ConsentAct.GIVEN or state == ConsentStatus.OBJECTED


def _valid_until(purpose: Purpose, act: ConsentAct, event_at: int) -> int | None:
    if act is not ConsentAct.GIVEN or purpose.validity_days is None:
        return None
    return event_at + purpose.validity_days * _DAY
