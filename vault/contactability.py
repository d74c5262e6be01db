"""May this person be contacted now, and how? Answered without an address, and without the wishes that decide it.

Three things must hold: no floor refuses the purpose; where the purpose has a channel, an address on file is covered;
and the person's own wishes let it be (`policies.contactability`). Wishes are opened under a grant after the entry that
records the question is durable, and what they say leaves only as guidance. Wishes that do not open leave a second entry,
with the outcome `error`, as a disclosure's values do.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, select

from audit.entry import Act, Actor, ActorKind, Asker, Entry, Outcome
from policies.contactability import Channel, evaluate
from policies.decision import Grant, grant_wishes
from policies.errors import UnknownPurpose as PolicyUnknownPurpose
from policies.model import Caller, DecisionRequest
from policies.purposes import Basis, Purpose
from vault import contactpoints, disclosure, facts, metered, references
from vault.errors import IntegrityFailure, Refused, UnknownPurpose, UnknownReference, VaultError
from vault.facts import Known
from vault.metered import Question
from vault.revealed import Revealed
from vault.staff import staff_hashes
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.systems import SystemRecord
from vault.unit import Commit, UnitOfWork, Vault, record_apart

NOT_PERMITTED: Final = "not_permitted"  # no floor is named: some must not be
NO_CONTACT: Final = "no_contact"
_OTHER_CHANNEL: Final = "channel"
_FIELDS: Final = {Channel.EMAIL: "email", Channel.PHONE: "phone", Channel.TEXT_MESSAGE: "phone"}

_STATE = metadata.tables["consent_state"]
_POINTS: Final = select(_STATE.c.subject_id, _STATE.c.brand, _STATE.c.purpose, _STATE.c.points).where(
    _STATE.c.subject_id.in_(bindparam("subjects", expanding=True))
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question of a system about somebody its brand knows. `staff`: a pseudonym, or empty."""

    system: SystemRecord
    reference: str = field(repr=False)
    purpose: str
    channel: Channel
    staff: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether, and if not why not; in which language, and what to mind."""

    allowed: bool
    why: tuple[str, ...] = field(default=(), repr=False)
    language: str = field(default="", repr=False)
    mind: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class _Granted:
    grant: Grant
    entry: bytes
    said: Entry = field(repr=False)
    log_key: bytes = field(repr=False)
    barred: tuple[str, ...]  # what stands against it besides wishes


def ask(uow: UnitOfWork, asks: Sequence[Ask]) -> Callable[[Commit], list[Answer | VaultError]]:
    """Weigh a batch. An item fails with `UnknownReference`, `UnknownPurpose`, `IntegrityFailure`, or as metered."""
    located = references.locate(uow, [(each.system.brand, each.reference) for each in asks])
    loaded = facts.load_each(
        uow, [(each.system.brand, subject or b"") for each, subject in zip(asks, located, strict=True)]
    )
    known = [None if each is None or each.facts.erased or not each.facts.known_to_brand else each for each in loaded]
    present = [each for each in known if each is not None]
    keys = dict(zip([each.subject_id for each in present], facts.log_keys(uow.vault.keys, present), strict=True))
    hashes = staff_hashes(uow.vault.keys, [(each.system.brand, each.staff) for each in asks])
    questions = [
        Question(asked.system, each.subject_id, keys[each.subject_id], asked.purpose, who)
        for asked, each, who in zip(asks, known, hashes, strict=True)
        if each is not None
    ]
    charged = iter(metered.charge(uow, questions))
    actors = [
        Actor(ActorKind.SYSTEM, asked.system.id, asker=Asker(asked.system.brand, bytes.fromhex(who)))
        for asked, who in zip(asks, hashes, strict=True)
    ]
    weighing = _Weighing(uow, set(keys))
    items: list[_Granted | Answer | VaultError] = []
    for asked, each, actor in zip(asks, known, actors, strict=True):
        if each is None:
            items.append(UnknownReference())
        elif (refused := next(charged)) is not None:
            items.append(_turned_away(uow, actor, refused, keys[each.subject_id]))
        else:
            items.append(weighing.begin(asked, actor, each, keys[each.subject_id]))
    granted = [each for each in items if isinstance(each, _Granted)]
    selection = disclosure.select(uow, [each.grant for each in granted])

    def finish(commit: Commit) -> list[Answer | VaultError]:
        try:
            opened = disclosure.reveal(uow.vault, commit, selection, [each.entry for each in granted])
        except VaultError as error:
            record_apart(uow.vault, [_failed(each, error) for each in granted])
            raise
        unread = [(each, error) for each, part in zip(granted, opened, strict=True) for _, error in part.failures()]
        record_apart(uow.vault, [_failed(each, error) for each, error in unread])
        wishes = iter(opened)
        return [
            _weighed(uow.vault, asked, item.barred, next(wishes)) if isinstance(item, _Granted) else item
            for asked, item in zip(asks, items, strict=True)
        ]

    return finish


class _Weighing:
    """What a batch needs to know of addresses and consents, read once."""

    def __init__(self, uow: UnitOfWork, subjects: set[bytes]) -> None:
        self._uow = uow
        self._bundle = bundle = uow.vault.bundle
        fields = [bundle.catalogue.fields[each] for each in {p.channel for p in bundle.purposes.every if p.channel}]
        self._held = contactpoints.held(uow, subjects, fields)
        self._covered: dict[tuple[bytes, str, str], set[str]] = {}
        if subjects:
            for row in uow.conn.execute(_POINTS, {"subjects": padded(sorted(subjects))}):
                self._covered[row.subject_id, row.brand, row.purpose] = set(row.points.split())

    def begin(self, asked: Ask, actor: Actor, known: Known, log_key: bytes) -> _Granted | Answer | VaultError:
        try:
            purpose = self._bundle.purposes.get(asked.purpose)
        except PolicyUnknownPurpose:
            return UnknownPurpose()
        system = asked.system
        caller = Caller(system.id, system.brand, system.purposes, bool(asked.staff))
        request = DecisionRequest(caller, known.facts, asked.purpose, ())
        grant = grant_wishes(request, self._bundle, known.subject_id)
        basis = purpose.basis_in(self._bundle.purposes.jurisdiction(known.facts.region))
        entry = Entry(
            Act.CONTACT_EVALUATED,
            Outcome.DENY if grant is None else Outcome.ALLOW,
            actor,
            pur=purpose.key,
            bas=basis.value,
        )
        recorded = self._uow.record(entry, log_key=log_key)
        if grant is None:
            return Answer(allowed=False, why=(NOT_PERMITTED,))
        return _Granted(grant, recorded, entry, log_key, self._barred(asked, purpose, basis, known.subject_id))

    def _barred(self, asked: Ask, purpose: Purpose, basis: Basis, subject: bytes) -> tuple[str, ...]:
        if not purpose.channel:
            return ()
        if _FIELDS.get(asked.channel) != purpose.channel:
            return (_OTHER_CHANNEL,)
        of = self._bundle.catalogue.field(purpose.channel)
        held = {str(each) for each in self._held.get((subject, asked.system.brand, of.id), ())}
        if basis.needs_consent:
            held &= self._covered.get((subject, asked.system.brand, purpose.key), set())
        return () if held else (NO_CONTACT,)


def _failed(item: _Granted, error: VaultError) -> tuple[Entry, bytes]:
    # No wish is named: which of them this person has is not the log's to tell.
    said, why = item.said, (f"failed.{error.code}",)
    entry = Entry(said.act, Outcome.ERROR, said.actor, pur=said.pur, bas=said.bas, pol=why)
    return entry, item.log_key


def _turned_away(uow: UnitOfWork, actor: Actor, refused: VaultError, log_key: bytes) -> VaultError:
    why = refused.audit if isinstance(refused, Refused) else refused.code
    entry = Entry(Act.CONTACT_EVALUATED, Outcome.DENY, actor, pol=(f"contact.{why}",))
    uow.record(entry, log_key=log_key)
    return refused


def _weighed(vault: Vault, asked: Ask, barred: tuple[str, ...], revealed: Revealed) -> Answer | VaultError:
    wishes: dict[str, list[object]] = {}
    for name, part in revealed:
        if isinstance(part, IntegrityFailure):
            return part  # a wish that does not open must not count as one that was never made
        if part.present:
            value = part.value
            wishes[name] = [_value(each) for each in value] if isinstance(value, list) else [value]
    guidance = evaluate(wishes, asked.channel, _local(vault, wishes), asked.staff)
    why = tuple(dict.fromkeys((*barred, *guidance.why)))
    return Answer(not why, why, guidance.language, guidance.mind)


def _value(item: object) -> object:
    return item["value"] if isinstance(item, Mapping) else item


def _local(vault: Vault, wishes: Mapping[str, Sequence[object]]) -> dt.datetime | None:
    for zone in wishes.get("contact_zone", ()):
        try:
            return dt.datetime.fromtimestamp(vault.clock.now(), ZoneInfo(str(zone)))
        except (KeyError, ValueError, OSError):  # not a zone, or none that this host knows
            return None
    return None
