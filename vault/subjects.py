"""Subjects: taking new ones in, and what a brand may always know of its own reference.

A subject belongs to the group; what is known of it belongs to brands. Each value has a holder, the brand that recorded
it (the controller), and each brand has its own reference. `ingest` writes whole people in batches: values, indexes,
references, consents and one `subject.registered` entry each, with one call per key verb and one statement per table.
Changes of values live in `vault.amendments`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from sqlalchemy import bindparam, select

from audit.entry import Act, Actor, ActorKind, Asker, Entry, Outcome, commitment
from policies.bundle import Bundle
from vault import carried, consents, contactpoints, honey, intake, references, search, suppression
from vault.amendments import Amended, Update, adult_age, is_minor, pages, update
from vault.compartments import Writing
from vault.consentevents import GIVING
from vault.consents import ConsentEvent, Recording, Who
from vault.contactpoints import Point, UnknownContact
from vault.errors import InvalidFields, UnknownReference, VaultError
from vault.intake import Given, Problem, day_of
from vault.keys.service import Slot
from vault.locked import ACTIVE, Locked
from vault.search import Indexed
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.suppression import Said
from vault.unit import UnitOfWork, settled

__all__ = [
    "Amended",
    "Description",
    "Holding",
    "NewSubject",
    "Registered",
    "Update",
    "describe",
    "ingest",
    "register",
    "update",
]

SUBJECT_BYTES: Final = 16
LOG_KEY_BYTES: Final = 32
MOST_CONSENTS: Final = 64  # of one holding

_REGION = re.compile(r"[A-Za-z]{2,8}", re.ASCII)
_SUBJECT = metadata.tables["subject"]
_RELATION = metadata.tables["relation"]

_DESCRIBED = (
    select(_SUBJECT.c.id, _SUBJECT.c.version, _RELATION.c.brand, _RELATION.c.created_at)
    .join(_RELATION, _RELATION.c.subject_id == _SUBJECT.c.id)
    .where(_SUBJECT.c.id.in_(bindparam("subjects", expanding=True)), _SUBJECT.c.state == ACTIVE)
)


@dataclass(frozen=True, slots=True)
class Holding:
    """What one brand knows of a person: inputs per field name (forms: `vault.intake`) and consent events."""

    brand: str
    fields: Mapping[str, object] = field(default_factory=dict, repr=False)
    consents: tuple[ConsentEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class NewSubject:
    """A person the group does not know yet. `region` (letters, e.g. `eu`, `jp`) picks the law that applies."""

    system_id: str
    region: str
    holdings: tuple[Holding, ...]
    honey: bool = False  # nobody: whoever looks at them is frozen (`vault.honey`)
    listed: bool = False  # came with others by an import: their consents answer no earlier objection (`vault.carried`)
    asker: Asker | None = None  # who stands behind the system, if it named them


@dataclass(frozen=True, slots=True)
class Registered:
    """A subject taken in: its id (never leaves the vault), each brand's reference, its version and its log entry."""

    subject: bytes = field(repr=False)
    references: Mapping[str, str] = field(repr=False)
    version: int
    entry: bytes


@dataclass(frozen=True, slots=True)
class Description:
    """What a brand may always know of its own reference. `since` is a month, `YYYY-MM`."""

    reference: str = field(repr=False)
    version: int
    since: str


@dataclass(slots=True)
class _Arrival:
    """A subject whose input has passed every check, on its way into the rows."""

    new: NewSubject
    place: int
    given: list[tuple[str, list[Given]]]  # per holding: brand and values
    row: Locked
    log_leaf: int = -1


def register(uow: UnitOfWork, subjects: Sequence[NewSubject]) -> list[Registered | VaultError]:
    """Take in new subjects. An item fails alone, with `InvalidFields` that lists all its problems."""
    outcomes: list[Registered | VaultError | None] = [None] * len(subjects)
    arrivals: list[_Arrival] = []
    bundle = uow.vault.bundle  # once: a policy load may swap it while the batch runs
    for place, new in enumerate(subjects):
        problems: list[Problem] = []
        given = _read(uow, bundle, new, problems)
        if problems:
            outcomes[place] = InvalidFields(tuple(problems))
        else:
            arrivals.append(_Arrival(new, place, given, _draw(uow, bundle, new, given)))
    if arrivals:
        _store(uow, bundle, arrivals, outcomes)
    return [VaultError() if outcome is None else outcome for outcome in outcomes]


ingest = settled(register)


def describe(uow: UnitOfWork, asked: Sequence[tuple[str, str]]) -> list[Description | VaultError]:
    """Describe the subjects behind (brand, reference) pairs, or `UnknownReference`. Reads no personal value."""
    located = references.locate(uow, asked)
    wanted = list({subject for subject in located if subject is not None})
    rows = uow.conn.execute(_DESCRIBED, {"subjects": padded(wanted)}).all() if wanted else []
    known = {(row.id, row.brand): row for row in rows}
    answers: list[Description | VaultError] = []
    for (brand, reference), subject in zip(asked, located, strict=True):
        row = known.get((subject, brand))
        answers.append(
            UnknownReference() if row is None else Description(reference, row.version, search.month(row.created_at))
        )
    return answers


def _read(uow: UnitOfWork, bundle: Bundle, new: NewSubject, problems: list[Problem]) -> list[tuple[str, list[Given]]]:
    today = day_of(uow.now)
    if not _REGION.fullmatch(new.region):
        problems.append(("region", "not_a_region"))
    brands = [holding.brand for holding in new.holdings]
    if not brands or len(set(brands)) != len(brands):
        problems.append(("holdings", "not_one_per_brand"))
    given = []
    for holding in new.holdings:
        given.append((holding.brand, intake.read(bundle.catalogue, holding.fields, today, problems)))
        if len(holding.consents) > MOST_CONSENTS:
            problems.append(("consents", "too_many"))
            continue
        for position, event in enumerate(holding.consents):
            found = consents.check(bundle, event, uow.now) or _unreached(bundle, event, given[-1][1])
            problems += [(f"consents[{position}].{member}", reason) for member, reason in found]
    return given


def _unreached(bundle: Bundle, event: ConsentEvent, given: Sequence[Given]) -> list[Problem]:
    """Return what a consent cannot have with somebody who is only now taken in: a guardian, an address not given."""
    if event.actor is Who.GUARDIAN:
        return [("actor", "guardian_not_linked")]
    if event.contact is None:
        return []
    of = bundle.catalogue.field(bundle.purposes.get(event.purpose).channel)
    try:
        sought = contactpoints.normal_form(of, event.contact)
    except UnknownContact as error:
        return [("contact", error.code)]
    return (
        [] if any(each.field is of and each.message == sought for each in given) else [("contact", "unknown_contact")]
    )


def _points(bundle: Bundle, event: ConsentEvent, written: Sequence[tuple[Given, Point]]) -> list[Point]:
    """Return the addresses, of those written with it, that a consent is for."""
    channel = bundle.purposes.get(event.purpose).channel
    if not channel or (event.contact is None and event.act not in GIVING):
        return []
    of = bundle.catalogue.field(channel)
    sought = None if event.contact is None else contactpoints.normal_form(of, event.contact)
    return [point for given, point in written if given.field is of and (sought is None or given.message == sought)]


def _draw(uow: UnitOfWork, bundle: Bundle, new: NewSubject, given: Sequence[tuple[str, Sequence[Given]]]) -> Locked:
    # Why safe: the id is random and means nothing; the log key is fresh and used for HMAC over entry ids only.
    gulp = uow.vault.entropy.bytes(SUBJECT_BYTES + LOG_KEY_BYTES)
    subject = gulp[:SUBJECT_BYTES]
    today, region = day_of(uow.now), new.region.lower()
    adult = adult_age(bundle, region, today)
    minor = any(is_minor(each, today, adult) for _, values in given for each in values)
    key = honey.log_key(uow.vault.entropy) if new.honey else gulp[SUBJECT_BYTES:]
    return Locked(subject, uow.vault.shard_of(subject), region, 1, minor, key)


def _store(
    uow: UnitOfWork, bundle: Bundle, arrivals: Sequence[_Arrival], outcomes: list[Registered | VaultError | None]
) -> None:
    writing = Writing(uow)
    recording = Recording(uow, bundle)
    channels = {each.channel for each in bundle.purposes.every if each.channel}
    indexed: list[Indexed] = []
    pairs: list[tuple[bytes, str]] = []
    entries: list[bytes] = []
    for arrival in arrivals:
        row, system_id = arrival.row, arrival.new.system_id
        arrival.log_leaf = writing.own_leaf(row.log_key)
        points: dict[str, list[tuple[Given, Point]]] = {}
        for brand, values in arrival.given:
            pairs.append((row.subject, brand))
            for each in values:
                written = writing.put(row.subject, row.shard, each.field, brand, system_id, each.dated)
                if each.field.name in channels:
                    points.setdefault(brand, []).append((each, Point(each.field.id, written.item, written.version)))
                if each.message is not None:
                    indexed.append(Indexed(row.subject, row.shard, brand, each.field, written.item, each.message))
        entries.append(_record(uow, arrival))
        for holding in arrival.new.holdings:
            # In the order they happened, whatever the order they came in: the projection then ends with the last.
            for event in sorted(holding.consents, key=lambda each: uow.now if each.event_at is None else each.event_at):
                reached = _points(bundle, event, points.get(holding.brand, ()))
                recording.add(row, holding.brand, system_id, event, reached, arrival.new.asker)
    leaves = writing.flush()
    insert_rows(uow.conn, _SUBJECT, [_row(uow, arrival.row, *leaves[arrival.log_leaf]) for arrival in arrivals])
    gulp = uow.vault.entropy.bytes(references.RANDOM_BYTES * len(pairs))
    bits = [gulp[start : start + references.RANDOM_BYTES] for start in range(0, len(gulp), references.RANDOM_BYTES)]
    spelt = references.draft(uow, pairs, bits, [uow.vault.shard_of(subject) for subject, _ in pairs])
    search.index(uow, indexed)
    answers = _carry(uow, bundle, recording, arrivals, indexed)
    recording.flush()
    suppression.heed_yes(uow, bundle, answers)
    place = count()
    for arrival, entry in zip(arrivals, entries, strict=True):
        own = {brand: spelt[next(place)] for brand, _ in arrival.given}
        outcomes[arrival.place] = Registered(arrival.row.subject, own, arrival.row.version, entry)


def _carry(
    uow: UnitOfWork, bundle: Bundle, recording: Recording, arrivals: Sequence[_Arrival], indexed: Sequence[Indexed]
) -> list[Said]:
    """Have the objections come along that the suppression list has for these addresses; return what answers them."""
    met = suppression.met(uow, bundle, indexed)
    of = {arrival.row.subject: arrival for arrival in arrivals} if met else {}
    answers: list[Said] = []
    for (subject, brand), said in met.items():
        arrival = of[subject]
        answers += carried.to_new(uow, recording, arrival.row, brand, said, listed=arrival.new.listed)
    return answers


def _record(uow: UnitOfWork, arrival: _Arrival) -> bytes:
    """Log the registration with the commitment to the log key; more names than one entry takes go into further ones."""
    names = {each.field.name for _, values in arrival.given for each in values}
    first, *rest = pages(names)
    actor = Actor(ActorKind.SYSTEM, arrival.new.system_id, asker=arrival.new.asker)
    key = arrival.row.log_key
    entry = Entry(Act.SUBJECT_REGISTERED, Outcome.ALLOW, actor, first, com=commitment(key))
    recorded = uow.record(entry, log_key=key)
    for page in rest:
        uow.record(Entry(Act.FIELD_WRITTEN, Outcome.ALLOW, actor, page), log_key=key)
    return recorded


def _row(uow: UnitOfWork, row: Locked, slot: Slot, wrapped: bytes) -> dict[str, object]:
    return {
        "id": row.subject,
        "shard": row.shard,
        "state": ACTIVE,
        "restricted": False,
        "minor": row.minor,
        "region": row.region,
        "epoch": 1,
        "version": row.version,
        "log_slot": slot.number,
        "log_generation": slot.generation,
        "log_key": wrapped,
        "created_at": uow.now,
    }
