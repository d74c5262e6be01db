"""Receipt: a request comes in from a brand's system, from the portal or by an officer, and its clock begins.

Receipt is confirmed at once, by the answer itself. What a brand says of who asks counts as far as the brand can know it;
a code is our own to check (`vault.requests.codes`), and who acts for somebody else is never taken as that person: then
the person is asked, at a contact point on file.

A request for what is asked for already becomes a duplicate of it and leads to nothing by itself: whoever files it gains
no identity by the first one's, and the first gains none by it. Only one that is at least as well proven makes a
duplicate, so that a stranger cannot stand in the way of the person with a request of theirs. What says something of its
own is none: a second complaint is another complaint, and a second correction corrects something else, or differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from audit.entry import Act, Actor, ActorKind, Entry
from audit.entry import Outcome as Ended
from policies.bundle import Bundle
from policies.catalogue import FieldKind
from policies.deadlines import Clock, due_at
from policies.errors import PolicyError
from policies.purposes import Basis
from policies.rights import DEFAULT, Assurance, Right
from vault import guardians, locked, restrictions
from vault.errors import InvalidFields, Refused, UnknownReference, VaultError
from vault.locked import Locked
from vault.ownleaf import Sealed
from vault.requests import content, contesting, records, stopping
from vault.requests.content import Content
from vault.requests.records import Outcome, Request, Requester, Source, Wanted
from vault.requests.states import Move, State
from vault.requests.steps import By, Held, by_vault, note, take
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import UnitOfWork, settled

MOST_OPEN: Final = 20  # of one person at one brand: more is a flood, and nobody's right
MOST_NAMES: Final = 64
LANGUAGES: Final = ("en", "fr")

_HASH: Final = 32
_REQUEST: Final = metadata.tables["subject_request"]
# What a brand can know of who stands before it. A code is ours.
_A_BRAND_KNOWS: Final = frozenset({Assurance.NONE, Assurance.PURCHASE, Assurance.SIGNED_IN, Assurance.DOCUMENT})
_ABOUT_PURPOSES: Final = frozenset({Right.OBJECTION, Right.CONSENT_WITHDRAWAL, Right.DECISION_REVIEW})
_SAYS_SOMETHING: Final = frozenset({Right.RECTIFICATION, Right.COMPLAINT, Right.DECISION_REVIEW})
_OPEN_BASES: Final = frozenset({Basis.CONSENT, Basis.EXPLICIT_CONSENT})


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as it came in, of the subject behind a brand's reference.

    `names`: of an erasure or an access, categories (none: everything); of a restriction its ground; of an objection, a
    withdrawal or a review, purposes; of a rectification none, its fields are in `content.values` (forms: `vault.intake`; of an
    entry of a journal `[{"item": …, "value": …}]` with the members that are wrong, or null to have it taken out).
    `jurisdiction`: where else the person says that they live; it counts only where it brings the answer forward. `mandate_hash` is SHA-256 of the mandate that whoever took it in keeps.
    """

    reference: str = field(repr=False)
    brand: str
    right: Right
    by: By
    source: Source
    assurance: Assurance = Assurance.NONE
    requester: Requester = Requester.SELF
    names: tuple[str, ...] = ()
    content: Content = field(default_factory=Content, repr=False)
    language: str = "en"
    jurisdiction: str = ""
    mandate_hash: bytes | None = None


@dataclass(slots=True)
class _Arrival:
    ask: Ask
    person: Locked
    assurance: Assurance
    request_id: bytes
    sealed: Sealed | None = field(default=None, repr=False)


def receive(uow: UnitOfWork, asked: Sequence[Ask]) -> list[Request | VaultError]:
    """Take in requests. An item fails alone: `UnknownReference`, `InvalidFields`, or `Refused` for a flood."""
    people = locked.by_reference(uow, [(each.brand, each.reference) for each in asked])
    minors = {each.subject for each in people if isinstance(each, Locked)}
    guarded = (
        guardians.guarded(uow, minors) if any(each.requester is Requester.GUARDIAN for each in asked) else frozenset()
    )
    answers: list[Request | VaultError] = []
    for ask, person in zip(asked, people, strict=True):
        if isinstance(person, UnknownReference):
            answers.append(person)
            continue
        problems = _problems(uow.vault.bundle, ask)
        if ask.requester is Requester.GUARDIAN and not (person.minor and (person.subject, ask.brand) in guarded):
            problems.append(("requester", "guardian_not_linked"))
        answers.append(InvalidFields(tuple(problems)) if problems else _take_in(uow, ask, person))
    return answers


received = settled(receive)


def _take_in(uow: UnitOfWork, ask: Ask, person: Locked) -> Request | VaultError:
    standing = records.listed(uow.conn, Wanted(brand=ask.brand, subject=person.subject, open_only=True))
    if len(standing) >= MOST_OPEN:
        return Refused("too_many_requests")
    assurance = ask.assurance if ask.requester is not Requester.AGENT else Assurance.NONE
    # Why safe: 128 random bits name the request; whoever is given the id still has to be its brand, or an officer.
    request_id = uow.vault.entropy.bytes(records.ID_BYTES)
    names = ask.names
    if ask.right is Right.RECTIFICATION:
        names = contesting.spelt(contesting.coordinates(uow.vault.bundle.catalogue, ask.content.values))
    first = next((each for each in standing if _same(each, ask) and each.assurance.rank >= assurance.rank), None)
    state = State.RECEIVED if first is None else State.DUPLICATE
    (sealed,) = [None] if first is not None else content.seal(uow, [(person.subject, request_id, ask.content)])
    rights = uow.vault.bundle.rights
    jurisdiction = _law(uow, ask, person)
    rule = records.rule_at(rights, ask.right, jurisdiction, uow.now)
    row: dict[str, Any] = {
        "id": request_id,
        "shard": person.shard,
        "subject_id": person.subject,
        "brand": ask.brand,
        "kind": ask.right.value,
        "jurisdiction": jurisdiction,
        "names": " ".join(sorted(set(names))),
        "source": ask.source.value,
        "received_by": ask.by.actor.id,
        "requester": ask.requester.value,
        "mandate_hash": ask.mandate_hash,
        "language": ask.language,
        "assurance": assurance.value,
        "state": state.value,
        "held_from": "",
        "outcome": (Outcome.OPEN if first is None else Outcome.DUPLICATE).value,
        "ground": "",
        "kept": "",
        "received_at": uow.now,
        "extended": False,
        "paused_days": 0,
        "paused_at": None,
        "due_at": due_at(rule, Clock(uow.now), uow.now),
        "answered_at": None if first is None else uow.now,
        "closed_at": None if first is None else uow.now,
        "duplicate_of": None if first is None else first.id,
        "erasures": "",
        "version": 1,
    }
    insert_rows(uow.conn, _REQUEST, [row | content.columns(sealed)])
    if ask.right is Right.RECTIFICATION:
        contesting.contest(uow, person.subject, person.shard, ask.brand, request_id, ask.content.values)
    said = (f"assurance:{assurance}", f"requester:{ask.requester}")
    note(uow, request_id, 1, Move.RECEIVE, state, ask.by.actor, said)
    pol = (f"request:{request_id.hex()}", f"right:{ask.right}", f"state:{state}", *said)
    uow.record(Entry(Act.REQUEST_RECEIVED, Ended.ALLOW, ask.by.actor, pol=pol), log_key=person.log_key)
    held = Held(records.get(uow.conn, request_id), person)
    if first is not None:
        return held.request
    held = take(uow, held, Move.ACKNOWLEDGE, by_vault(uow.vault))
    if assurance.rank >= required(uow.vault.bundle, held.request).rank:
        held = take(uow, held, Move.ACCEPT_IDENTITY, by_vault(uow.vault), said=(f"assurance:{assurance}",))
        held = stopping.at_once(uow, held, ask.reference)
    return held.request


def required(bundle: Bundle, request: Request) -> Assurance:
    """Return the rung that a request needs. For an agent the person is asked, whatever a right needs of the person.

    To stop something an agent's mandate is enough where the person's own word would be.
    """
    rung = bundle.rights.required(request.right)
    if request.requester is Requester.AGENT and rung is not Assurance.NONE:
        return max(rung, Assurance.CODE, key=lambda each: each.rank)
    return rung


def _same(standing: Request, ask: Ask) -> bool:
    return (
        standing.right is ask.right
        and standing.names == tuple(sorted(set(ask.names)))
        and ask.right not in _SAYS_SOMETHING
    )


def _problems(bundle: Bundle, ask: Ask) -> list[tuple[str, str]]:
    found = ask.content.problems()
    if ask.source is not Source.OFFICER and ask.by.actor.kind is ActorKind.OFFICER:
        found.append(("source", "not_an_officer"))
    if ask.source is Source.BRAND and ask.assurance not in _A_BRAND_KNOWS:
        found.append(("assurance", "not_yours_to_say"))
    if ask.language not in LANGUAGES:
        found.append(("language", "unknown_language"))
    if (ask.requester is Requester.AGENT) != (ask.mandate_hash is not None):
        found.append(("mandate_hash", "mandate_missing" if ask.mandate_hash is None else "no_agent"))
    elif ask.mandate_hash is not None and len(ask.mandate_hash) != _HASH:
        found.append(("mandate_hash", "not_a_hash"))
    if ask.requester is not Requester.AGENT and ask.content.agent:
        found.append(("agent", "no_agent"))
    if ask.jurisdiction and not _has_law(bundle, ask.jurisdiction):
        found.append(("jurisdiction", "unknown_jurisdiction"))
    if (ask.right is Right.RECTIFICATION) != bool(ask.content.values):
        found.append(("values", "missing" if ask.right is Right.RECTIFICATION else "takes_no_values"))
    found += [
        (f"values.{name}"[:64], "unknown_field") for name in ask.content.values if name not in bundle.catalogue.fields
    ]
    for of, item in contesting.coordinates(bundle.catalogue, ask.content.values):
        if of.kind is FieldKind.JOURNAL and item == contesting.EVERY:
            found.append((f"values.{of.name}"[:64], "item_needed"))
    return found + _names(bundle, ask)


def _law(uow: UnitOfWork, ask: Ask, person: Locked) -> str:
    """Return under whose law a request is counted: that of where the person is known to live, else of where they say.

    Said of a person it holds only where it does not put the day off: no brand buys time by naming another country. How a
    period ends on a holiday is not compared.
    """
    purposes, rights = uow.vault.bundle.purposes, uow.vault.bundle.rights
    home = rights.place(person.region, purposes.jurisdiction(person.region))
    if not ask.jurisdiction:
        return home
    said = rights.place(ask.jurisdiction, purposes.jurisdiction(ask.jurisdiction))

    def last(law: str) -> int:
        rule = replace(records.rule_at(rights, ask.right, law, uow.now), rolls=False, zone="UTC")
        return due_at(rule, Clock(uow.now), uow.now)

    return said if last(said) <= last(home) else home


def _has_law(bundle: Bundle, place: str) -> bool:
    laws = {each.jurisdiction for each in bundle.rights.deadlines} - {DEFAULT}
    return bundle.purposes.jurisdiction(place) in laws or place.lower() in laws


def _names(bundle: Bundle, ask: Ask) -> list[tuple[str, str]]:
    if len(ask.names) > MOST_NAMES:
        return [("names", "too_many")]
    if ask.right in _ABOUT_PURPOSES:
        return _purposes(bundle, ask)
    if ask.names and ask.right in {Right.RECTIFICATION, Right.COMPLAINT}:
        return [("names", "takes_no_names")]
    if ask.right is Right.RESTRICTION:
        grounds = {each.value for each in restrictions.Ground} - {restrictions.Ground.RESTORED}
        return [] if len(ask.names) == 1 and grounds.issuperset(ask.names) else [("names", "unknown_ground")]
    known = {each.name for each in bundle.catalogue.categories}
    return [("names", "unknown_category") for each in ask.names if each not in known][:1]


def _purposes(bundle: Bundle, ask: Ask) -> list[tuple[str, str]]:
    if not ask.names and ask.right is not Right.DECISION_REVIEW:
        return [("names", "missing")]
    for each in ask.names:
        try:
            purpose = bundle.purposes.get(each)
        except PolicyError:
            return [("names", "unknown_purpose")]
        if ask.right is Right.CONSENT_WITHDRAWAL and not _OPEN_BASES & set(purpose.basis.values()):
            return [("names", "takes_no_consent")]
    return []


def of_system(system_id: str) -> By:
    """Name a brand's system that hands in a request."""
    return By(Actor(ActorKind.SYSTEM, system_id))
