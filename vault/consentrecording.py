"""The one place where anything about a consent changes: people, rules and jobs all come through `Recording.add`.

An event is chained, projected, logged and, where it takes a permission away, queued for the brand's systems, all in
one unit of work. Events are append-only; each steps its purpose's epoch, which is what kills outstanding tokens.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, select, update

from audit.entry import Act, Actor, ActorKind, Asker, Entry, Outcome
from policies.bundle import Bundle
from policies.model import ConsentStatus
from policies.purposes import Basis, Purpose
from vault import consentchain, contactpoints, outbox, references, suppression
from vault.consentchain import RECORD, EventRow
from vault.consentevents import GIVING, ConsentAct, ConsentEvent, Notice, Who
from vault.consentfold import STANDS, Projected, fold
from vault.contactpoints import Point
from vault.locked import Locked
from vault.outbox import EventKind, Happened
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.suppression import NOES, Said
from vault.unit import UnitOfWork

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
# What takes a permission away: every system of the brand that listens is told.
_FELLING: Final = frozenset(
    {
        ConsentAct.WITHDRAWN,
        ConsentAct.OBJECTED,
        ConsentAct.REFUSED,
        ConsentAct.EXPIRED,
        ConsentAct.INVALIDATED,
        ConsentAct.ENDED,
    }
)


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


_REFUSING: Final = frozenset({ConsentAct.WITHDRAWN, ConsentAct.OBJECTED, ConsentAct.REFUSED})
_LETTING: Final = GIVING | {ConsentAct.OBJECTION_LIFTED}


@dataclass(slots=True)
class _Said:
    """What a person said of a purpose in this unit: whether no, for which addresses by name, and whether yes."""

    refuses: bool = False
    refused: set[str] = field(default_factory=set)
    lets: bool = False


@dataclass(slots=True)
class _State:
    held: Projected
    stored: bool
    shard: int = 0
    moved: bool = False


class Recording:
    """The consent events of one unit of work: chained in memory, stored by one statement per table.

    Subjects made by this unit need no `load`. The rows of all others must be locked by the unit before it.
    """

    __slots__ = ("_bundle", "_events", "_felled", "_heads", "_known", "_said", "_states", "_uow")

    def __init__(self, uow: UnitOfWork, bundle: Bundle) -> None:
        self._uow = uow
        self._bundle = bundle
        self._events: list[EventRow] = []
        self._heads: dict[tuple[bytes, str], bytes] = {}
        self._states: dict[tuple[bytes, str, str], _State] = {}
        self._known: set[bytes] = set()
        self._felled: list[tuple[bytes, str, str]] = []
        self._said: dict[tuple[bytes, str, str], _Said] = {}

    def load(self, subjects: Collection[bytes]) -> None:
        """Read where the chains of `subjects` end, and what stands."""
        if not subjects:
            return
        self._known.update(subjects)
        self._heads.update(consentchain.heads(self._uow, subjects))
        for subject, brand, purpose, *held in self._uow.conn.execute(_STATES_OF, {"subjects": padded(list(subjects))}):
            self._states[subject, brand, purpose] = _State(Projected(*held), stored=True)

    def status(self, subject: bytes, brand: str, purpose: str) -> ConsentStatus:
        """Return the status that the events so far give; expiry is not applied."""
        held = self.held(subject, brand, purpose)
        return ConsentStatus.NONE if held is None else ConsentStatus(held.state)

    def held(self, subject: bytes, brand: str, purpose: str) -> Projected | None:
        """Return what is projected so far, or None before the first event."""
        found = self._states.get((subject, brand, purpose))
        return None if found is None else found.held

    def guarded(self, subject: bytes, brand: str) -> list[str]:
        """Return the purposes for which a guardian's consent stands."""
        return sorted(
            purpose
            for (who, where, purpose), state in self._states.items()
            if (who, where) == (subject, brand) and state.held.state == ConsentStatus.GUARDED
        )

    def refused(self, subject: bytes, brand: str) -> list[str]:
        """Return the purposes that the person says no to."""
        return sorted(
            purpose
            for (who, where, purpose), state in self._states.items()
            if (who, where) == (subject, brand) and state.held.state in NOES
        )

    def add(
        self,
        subject: Locked,
        brand: str,
        system_id: str,
        event: ConsentEvent,
        points: Sequence[Point] = (),
        asker: Asker | None = None,
    ) -> Recorded:
        """Record one event that `check` has passed, with its log entry. `points` are those it is about, if any.

        `asker` is who stands behind the system, if it named them.
        """
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
        if event.act in _FELLING and subject.subject in self._known:
            self._felled.append((subject.subject, brand, purpose.key))
        if event.actor is not Who.SYSTEM:
            said = self._said.setdefault((subject.subject, brand, purpose.key), _Said())
            if event.act in _LETTING:
                said.lets = True
            elif event.act in _REFUSING:
                said.refuses = True
                said.refused.update(row["points"].split())
        entry = Entry(
            _ENTRY_ACT[event.act],
            Outcome.ALLOW,
            Actor(ActorKind.VAULT if event.actor is Who.SYSTEM else ActorKind.SYSTEM, system_id, asker=asker),
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
        self._heed()
        self._tell()

    def _tell(self) -> None:
        """Queue what the brands' systems must hear of, in the same unit."""
        references_of = references.of_pairs(self._uow, [(subject, brand) for subject, brand, _ in self._felled])
        outbox.queue(
            self._uow,
            [
                Happened(brand, reference, EventKind.WITHDRAWN, {"purpose": purpose})
                for (_, brand, purpose), reference in zip(self._felled, references_of, strict=True)
                if reference is not None
            ],
        )

    def _heed(self) -> None:
        """Have the suppression list know what people said, who are here: of those just made nobody has said no before."""
        noes, yeses = [], []
        for at, said in self._said.items():
            held = self._states[at].held
            standing = frozenset(held.points.split())
            if said.refuses and held.state in NOES:
                noes.append(Said(*at))
                continue
            if refused := frozenset(said.refused) - standing:
                noes.append(Said(*at, refused))
            if said.lets and at[0] in self._known and (held.state in STANDS or held.state == ConsentStatus.NONE):
                yeses.append(Said(*at, standing))
        suppression.heed_no(self._uow, self._bundle, noes)
        suppression.heed_yes(self._uow, self._bundle, yeses)

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
