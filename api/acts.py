"""The acts a system may ask for with a service token, each as a batch function for the batcher.

`guarded` puts the same stages before each of them: authenticate the token and its proof, check the scope, honour the
Idempotency-Key. What follows is the vault's own act, in the same unit of work, with its own log entries.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson

from api import trail
from api.looks import Call
from audit.entry import Act as LogAct
from audit.entry import Entry, Outcome
from audit.tiles import Place
from vault import budgets, consents, evidence, honey, idempotency, outbox, subjects, tokens
from vault.amendments import Amended, Update, amend
from vault.budgets import Looked
from vault.consents import Change, ConsentEvent
from vault.errors import Refused, VaultError
from vault.idempotency import Asked, Claim, Replay
from vault.outbox import EventKind, Happened
from vault.search import Found, Search, find
from vault.subjects import SUBJECT_BYTES, Holding, NewSubject
from vault.tokens import Kind, Session
from vault.unit import Batch, Commit, Finish, UnitOfWork

T = TypeVar("T")
R = TypeVar("R")

Answer = dict[str, Any]
Act = Callable[[UnitOfWork, Sequence[tuple[Session, T]]], list[R | VaultError]]


@dataclass(frozen=True, slots=True)
class Write:
    """A write and the key under which it happens at most once. `request` is method, path and body, to compare."""

    asked: Any = field(repr=False)
    key: str = field(repr=False)
    request: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write leaves to tell: a small answer without personal values, and whether it was told before."""

    answer: Answer = field(repr=False)
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Creation:
    """A new subject of the caller's brand."""

    region: str
    fields: Mapping[str, Any] = field(repr=False)
    consents: tuple[ConsentEvent, ...]


@dataclass(frozen=True, slots=True)
class Amendment:
    """Changes of one subject's values; the members are those of `vault.amendments.Update`."""

    reference: str = field(repr=False)
    expected_version: int
    changes: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """A consent event of the subject behind a reference."""

    reference: str = field(repr=False)
    event: ConsentEvent


@dataclass(frozen=True, slots=True)
class Query:
    """An exact search by one field. The value is personal data and goes nowhere else."""

    by: str
    value: str = field(repr=False)


def guarded(scope: str, act: Act[T, R]) -> Batch[Call[T], R]:
    """Make a batch function of `act` for callers whose service token carries `scope`; others are refused and logged."""

    def batch(uow: UnitOfWork, calls: Sequence[Call[T]]) -> Finish[R]:
        results: list[R | VaultError] = [Refused("forbidden")] * len(calls)
        admitted: list[tuple[Session, T]] = []
        places: list[int] = []
        sessions = tokens.authenticate(uow, [call.credential for call in calls])
        hidden = trail.request_macs(uow, [call.request_id for call in calls])
        for place, (call, session) in enumerate(zip(calls, sessions, strict=True)):
            if isinstance(session, Refused):
                results[place] = session
                trail.turn_away(uow, None, session, hidden[place], call.credential.address)
            elif session.kind is not Kind.SERVICE or scope not in session.scopes:
                results[place] = refused = Refused("insufficient_scope")
                trail.turn_away(uow, session, refused, hidden[place], call.credential.address)
            else:
                admitted.append((session, call.asked))
                places.append(place)
        if admitted:
            for place, result in zip(places, act(uow, admitted), strict=True):
                results[place] = result

        def finish(_: Commit) -> list[R | VaultError]:
            return results

        return finish

    return batch


def once(act: Act[Any, Answer]) -> Act[Write, Written]:
    """Let each write of `act` happen at most once per Idempotency-Key: a repetition gets the first answer again."""

    def writes(uow: UnitOfWork, asked: Sequence[tuple[Session, Write]]) -> list[Written | VaultError]:
        keyed = [place for place, (_, write) in enumerate(asked) if write.key]
        begun = idempotency.begin(
            uow, [Asked(asked[p][0].system.id, asked[p][1].key, asked[p][1].request) for p in keyed]
        )
        claims: dict[int, Claim] = {}
        results: list[Written | VaultError | None] = [None] * len(asked)
        for place, state in zip(keyed, begun, strict=True):
            if isinstance(state, Claim):
                claims[place] = state
            elif isinstance(state, Replay):
                results[place] = Written(orjson.loads(state.outcome), replayed=True)
            else:
                results[place] = state
        fresh = [place for place, result in enumerate(results) if result is None]
        done = act(uow, [(asked[place][0], asked[place][1].asked) for place in fresh]) if fresh else []
        outcomes = []
        for place, answer in zip(fresh, done, strict=True):
            results[place] = answer if isinstance(answer, VaultError) else Written(answer)
            if place in claims and not isinstance(answer, VaultError):
                outcomes.append((claims[place], _OK, orjson.dumps(answer)))
        idempotency.finish(uow, outcomes)
        return [Refused("forbidden") if result is None else result for result in results]

    return writes


_OK: Final = 200
SEARCHED: Final = 1  # the shape of a search result, beside the hashes that stand for fields shown


def _create(uow: UnitOfWork, asked: Sequence[tuple[Session, Creation]]) -> list[Answer | VaultError]:
    new = [
        NewSubject(
            session.system.id,
            each.region,
            (Holding(session.system.brand, each.fields, each.consents),),
            asker=trail.asker_of(session),
        )
        for session, each in asked
    ]
    return [
        result
        if isinstance(result, VaultError)
        else {"reference": result.references[session.system.brand], "version": result.version}
        for (session, _), result in zip(asked, subjects.register(uow, new), strict=True)
    ]


def _amend(uow: UnitOfWork, asked: Sequence[tuple[Session, Amendment]]) -> list[Answer | VaultError]:
    updates = [
        Update(
            each.reference,
            session.system.brand,
            session.system.id,
            each.expected_version,
            **each.changes,
            asker=trail.asker_of(session),
        )
        for session, each in asked
    ]
    results = amend(uow, updates)
    outbox.queue(
        uow,
        [
            Happened(session.system.brand, each.reference, EventKind.RECTIFIED, {"version": result.version})
            for (session, each), result in zip(asked, results, strict=True)
            if isinstance(result, Amended) and each.changes.get("correct")
        ],
    )
    return [
        result if isinstance(result, VaultError) else {"reference": result.reference, "version": result.version}
        for result in results
    ]


def _consent(uow: UnitOfWork, asked: Sequence[tuple[Session, ConsentChange]]) -> list[Answer | VaultError]:
    changes = [
        Change(each.reference, session.system.brand, session.system.id, each.event, trail.asker_of(session))
        for session, each in asked
    ]
    results = consents.change(uow, changes)
    return [
        result
        if isinstance(result, VaultError)
        else {
            "event": result.event_id.hex(),
            "reference": each.reference,
            "purpose": result.purpose,
            "state": result.state,
            **({} if result.contacts is None else {"contacts": result.contacts}),
        }
        for (_, each), result in zip(asked, results, strict=True)
    ]


def _describe(uow: UnitOfWork, asked: Sequence[tuple[Session, str]]) -> list[Answer | VaultError]:
    found = subjects.describe(uow, [(session.system.brand, reference) for session, reference in asked])
    for (session, _), each in zip(asked, found, strict=True):
        out = Outcome.DENY if isinstance(each, VaultError) else Outcome.ALLOW
        uow.record(Entry(LogAct.REFERENCE_READ, out, trail.actor_of(session)))
    return [
        each
        if isinstance(each, VaultError)
        else {"reference": each.reference, "version": each.version, "since": each.since}
        for each in found
    ]


def _search(uow: UnitOfWork, asked: Sequence[tuple[Session, Query]]) -> list[Answer | VaultError]:
    def charged(found: Sequence[tuple[int, Found]]) -> Mapping[int, VaultError]:
        """Each candidate is a person looked at. Finding nobody counts as one more: guessing numbers must not be free."""
        shown_to = [(asked[place][0].system, each.log_key) for place, hits in found for each in hits.candidates]
        if frozen := honey.spring(uow, shown_to):
            found = [(place, hits) for place, hits in found if asked[place][0].system.id not in frozen]
        places, looks = [], []
        for place, hits in found:
            session = asked[place][0]
            shown = [each.subject for each in hits.candidates] or [uow.vault.entropy.bytes(SUBJECT_BYTES)]
            looks += [
                Looked(session.system, each, "", session.staff, SEARCHED, budgets.CANDIDATE_WEIGHT) for each in shown
            ]
            places += [place] * len(shown)
        outcomes = zip(places, budgets.charge(uow, looks), strict=True)
        refused: dict[int, VaultError] = {place: error for place, error in outcomes if error is not None}
        told = [(place, frozen.get(session.system.id)) for place, (session, _) in enumerate(asked)]
        return refused | {place: error for place, error in told if error is not None}

    searches = [
        Search(session.system.brand, session.system.id, each.by, each.value, trail.asker_of(session))
        for session, each in asked
    ]
    found = find(uow, searches, charged)
    return [each if isinstance(each, VaultError) else _candidates(each) for each in found]


def _candidates(found: Found) -> Answer:
    listed = [{"reference": each.reference, "version": each.version, "since": each.since} for each in found.candidates]
    return {"candidates": listed, "more": found.more}


def _bundles(uow: UnitOfWork, asked: Sequence[tuple[Session, Place]]) -> list[bytes | VaultError | None]:
    return [*evidence.bundles(uow, [(trail.actor_of(session), at) for session, at in asked])]


creations = guarded("subject.write", once(_create))
amendments = guarded("subject.write", once(_amend))
consent_changes = guarded("consent.write", once(_consent))
descriptions = guarded("lookup", _describe)
searches = guarded("lookup", _search)
log_bundles = guarded("audit.read", _bundles)
