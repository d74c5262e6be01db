"""The acts around consents that are not one event of one person: a browser's signal, guardians, contacts made."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from api import trail
from api.acts import Answer, guarded, once
from api.looks import Call
from policies.contactability import Channel
from vault import consentrecord, consentsignal, contactability, contactactivity, guardians
from vault.contactactivity import Activity, Kind
from vault.errors import VaultError
from vault.tokens import Session
from vault.unit import Commit, Finish, UnitOfWork


@dataclass(frozen=True, slots=True)
class Signal:
    """A browser's signal against sale and sharing, as a brand's site received it."""

    reference: str = field(repr=False)
    channel: str
    on: bool


@dataclass(frozen=True, slots=True)
class Guarding:
    """A link between a minor and a guardian; to end one, the two are enough."""

    reference: str = field(repr=False)
    guardian: str = field(repr=False)
    proof: str = ""
    proof_hash: bytes = field(default=b"", repr=False)
    of_age_on: dt.date = field(default=dt.date.max, repr=False)


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact that was made."""

    reference: str = field(repr=False)
    kind: str
    at: int | None


def _link(uow: UnitOfWork, asked: Sequence[tuple[Session, Guarding]]) -> list[Answer | VaultError]:
    links = [
        guardians.Link(
            each.reference,
            each.guardian,
            session.system.brand,
            session.system.id,
            guardians.Proof(each.proof),
            each.proof_hash,
            each.of_age_on,
            trail.asker_of(session),
        )
        for session, each in asked
    ]
    return _guarding(asked, guardians.link(uow, links))


def _end(uow: UnitOfWork, asked: Sequence[tuple[Session, Guarding]]) -> list[Answer | VaultError]:
    ends = [
        guardians.End(each.reference, each.guardian, session.system.brand, session.system.id, trail.asker_of(session))
        for session, each in asked
    ]
    return _guarding(asked, guardians.end(uow, ends))


def _guarding(
    asked: Sequence[tuple[Session, Guarding]], results: Sequence[bytes | VaultError]
) -> list[Answer | VaultError]:
    return [
        result if isinstance(result, VaultError) else {"reference": each.reference, "guardian": each.guardian}
        for (_, each), result in zip(asked, results, strict=True)
    ]


def _due(uow: UnitOfWork, asked: Sequence[tuple[Session, None]]) -> list[Answer | VaultError]:
    found = guardians.due(uow, [(session.system.brand, trail.actor_of(session)) for session, _ in asked])
    return [each if isinstance(each, VaultError) else {"references": each} for each in found]


def _contact(uow: UnitOfWork, asked: Sequence[tuple[Session, Contact]]) -> list[Answer | VaultError]:
    made = [
        Activity(
            each.reference,
            session.system.brand,
            session.system.id,
            Kind(each.kind),
            each.at,
            trail.asker_of(session),
        )
        for session, each in asked
    ]
    return [
        result if isinstance(result, VaultError) else {"reference": each.reference, "counts": result}
        for (_, each), result in zip(asked, contactactivity.note(uow, made), strict=True)
    ]


def _signal(uow: UnitOfWork, asked: Sequence[tuple[Session, Signal]]) -> list[Answer | VaultError]:
    received = [
        consentsignal.Signal(
            each.reference,
            session.system.brand,
            session.system.id,
            each.channel,
            each.on,
            trail.asker_of(session),
        )
        for session, each in asked
    ]
    return [
        result if isinstance(result, VaultError) else {"reference": each.reference, "objected": list(result)}
        for (_, each), result in zip(asked, consentsignal.receive(uow, received), strict=True)
    ]


def _record(uow: UnitOfWork, asked: Sequence[tuple[Session, str]]) -> list[Answer | VaultError]:
    wanted = [(session.system.brand, trail.actor_of(session), reference) for session, reference in asked]
    return [
        each if isinstance(each, VaultError) else {"record": each.record, "receipt": each.receipt}
        for each in consentrecord.issue(uow, wanted)
    ]


records = guarded("consent.write", _record)


@dataclass(frozen=True, slots=True)
class MayContact:
    """A question: may the person be contacted now, for a purpose, by a channel, perhaps by a member of staff."""

    reference: str = field(repr=False)
    purpose: str
    channel: str
    staff: str = field(repr=False)


def evaluations(uow: UnitOfWork, calls: Sequence[Call[MayContact]]) -> Finish[Answer]:
    """Answer whether people may be contacted: a batch of its own, because wishes are opened after the commit."""
    begun: list[Finish[contactability.Answer]] = []

    def begin(unit: UnitOfWork, asked: Sequence[tuple[Session, MayContact]]) -> list[int | VaultError]:
        wanted = [
            contactability.Ask(session.system, each.reference, each.purpose, Channel(each.channel), each.staff)
            for session, each in asked
        ]
        begun.append(contactability.ask(unit, wanted))
        return list(range(len(asked)))

    first = guarded("lookup", begin)(uow, calls)

    def finish(commit: Commit) -> list[Answer | VaultError]:
        places = first(commit)
        answers = begun[0](commit) if begun else []
        return [
            each if isinstance(each, VaultError) else _told(answers[each], call.asked.reference)
            for each, call in zip(places, calls, strict=True)
        ]

    return finish


def _told(answer: contactability.Answer | VaultError, reference: str) -> Answer | VaultError:
    if isinstance(answer, VaultError):
        return answer
    told = {"allowed": answer.allowed, "why": list(answer.why), "language": answer.language, "mind": list(answer.mind)}
    return {"reference": reference, **told}


signals = guarded("consent.write", once(_signal))
guardian_links = guarded("consent.write", once(_link))
guardian_ends = guarded("consent.write", once(_end))
guardians_due = guarded("consent.write", _due)
contacts = guarded("consent.write", once(_contact))
