"""The acts of a brand's system on requests of data subjects: hand one in, follow it, take it back at the person's word.

Status and reason are those of the Data Rights Protocol 1.0, so that whoever speaks it understands ours; the state beside
them is our own (`vault.requests.states`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from api import trail
from api.acts import Answer, guarded, once
from api.packages import sealed
from audit.entry import Act, Entry, Outcome
from policies.rights import Assurance, Right
from vault.errors import InvalidFields, UnknownRequest, VaultError
from vault.requests import records
from vault.requests.content import Content
from vault.requests.intake import Ask, receive
from vault.requests.records import Outcome as Ended
from vault.requests.records import Request, Requester, Source, protocol_reason
from vault.requests.states import Move, State
from vault.requests.steps import By, lock, take
from vault.tokens import Session
from vault.unit import UnitOfWork


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A request as a brand's system hands it in; the members are those of the body."""

    reference: str = field(repr=False)
    right: str
    assurance: str
    requester: str
    names: tuple[str, ...]
    content: Content = field(repr=False)
    mandate_hash: bytes | None
    language: str
    jurisdiction: str


def _receive(uow: UnitOfWork, asked: Sequence[tuple[Session, HandedIn]]) -> list[Answer | VaultError]:
    refused = [_key_problem(each.content.key) for _, each in asked]
    admitted = [
        Ask(
            each.reference,
            session.system.brand,
            Right(each.right),
            By(trail.actor_of(session)),
            Source.BRAND,
            Assurance(each.assurance),
            Requester(each.requester),
            each.names,
            each.content,
            each.language,
            each.jurisdiction,
            each.mandate_hash,
        )
        for (session, each), problem in zip(asked, refused, strict=True)
        if problem is None
    ]
    taken = iter(receive(uow, admitted))
    answers: list[Answer | VaultError] = []
    for problem in refused:
        found = next(taken) if problem is None else problem
        answers.append(found if isinstance(found, VaultError) else told(uow, found))
    return answers


def _follow(uow: UnitOfWork, asked: Sequence[tuple[Session, str]]) -> list[Answer | VaultError]:
    answers: list[Answer | VaultError] = []
    for session, name in asked:
        try:
            found = records.get(uow.conn, records.identifier(name), session.system.brand)
        except UnknownRequest as error:
            uow.record(Entry(Act.REQUEST_LISTED, Outcome.DENY, trail.actor_of(session)))
            answers.append(error)
            continue
        uow.record(Entry(Act.REQUEST_LISTED, Outcome.ALLOW, trail.actor_of(session), pol=(f"request:{name}",), n=1))
        answers.append(told(uow, found))
    return answers


def _withdraw(uow: UnitOfWork, asked: Sequence[tuple[Session, str]]) -> list[Answer | VaultError]:
    answers: list[Answer | VaultError] = []
    for session, name in asked:
        by = By(trail.actor_of(session))
        try:
            held = lock(uow, records.identifier(name), session.system.brand)
            answers.append(told(uow, take(uow, held, Move.WITHDRAW, by).request))
        except VaultError as error:  # nothing was written: a step is checked before any row is touched
            if error.retryable:
                raise
            pol = (f"move:{Move.WITHDRAW}", f"request.{error.code}")
            uow.record(Entry(Act.REQUEST_DENIED, Outcome.DENY, by.actor, pol=pol))
            answers.append(error)
    return answers


def told(uow: UnitOfWork, request: Request) -> Answer:
    """Say where a request stands."""
    status, reason = protocol_status(request)
    return {
        "request": request.name,
        "right": request.right.value,
        "state": request.state.value,
        "status": status,
        "reason": reason,
        "received": request.clock.received_at,
        "due": request.due(uow.vault.bundle.rights, uow.now),
        "closed": request.closed_at,
        "outcome": request.outcome.value or None,
        "ground": None if request.ground is None else request.ground.value,
        "duplicate_of": None if request.duplicate_of is None else request.duplicate_of.hex(),
    }


def protocol_status(request: Request) -> tuple[str, str | None]:
    """Return status and reason of the Data Rights Protocol: of a refusal in part the reason stands beside `fulfilled`."""
    reason = None if request.ground is None else protocol_reason(request.ground)
    if request.outcome is Ended.UNVERIFIED or request.state is State.IDENTITY_FAILED:
        return "denied", "insuf_verification"
    if request.state is State.REFUSED or request.outcome is Ended.REFUSED:
        return "denied", reason
    if request.state is State.DUPLICATE:
        return "denied", "other"
    if request.state is State.WITHDRAWN:
        return "revoked", None
    if request.state in _FULFILLED:
        return "fulfilled", reason
    if request.state is State.RECEIVED:
        return "open", None
    return "in_progress", _WAITING.get(request.state)


_FULFILLED: Final = frozenset({State.DELIVERED, State.CLOSED, State.CERTIFIED})
_WAITING: Final[Mapping[State, str]] = {
    State.ACKNOWLEDGED: "need_user_verification",
    State.IDENTITY_CHECK: "need_user_verification",
}


def _key_problem(key: Mapping[str, Any]) -> InvalidFields | None:
    if not key:
        return None
    try:
        sealed.check(key)
    except sealed.InvalidKey as error:
        return InvalidFields((("key", error.reason),))
    return None


receipts = guarded("rights.write", once(_receive))
standings = guarded("rights.write", _follow)
withdrawals = guarded("rights.write", once(_withdraw))
