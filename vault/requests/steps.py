"""One step of a request: the table asked, who may, the clock moved, row and step and log entry in one unit of work.

A subject's row is locked before its request's row, as everywhere else where both are, so that no two units wait for
each other.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import select, update

from audit.entry import Act, Actor, ActorKind, Entry
from audit.entry import Outcome as Ended
from policies.deadlines import Clock, due_at, may_pause, running_pause
from policies.rights import Right
from vault import locked, officers
from vault.errors import Conflict, InvalidFields, NotSigned, Refused, UnknownOfficer
from vault.governance import signatures
from vault.governance.signatures import Sign
from vault.locked import Locked
from vault.requests import content, contesting, letters, records, reviewed
from vault.requests.letters import LetterKind
from vault.requests.records import REQUESTS, Outcome, Request
from vault.requests.states import ANSWERED, OVER, IllegalMove, Move, State, after
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

PORTAL: Final = "portal"

_REQUEST: Final = metadata.tables["subject_request"]
_STEP: Final = metadata.tables["request_step"]

# What is not an officer's to do: a brand hands a person's word on, the vault itself does what follows by rule.
_OF_SYSTEMS: Final = frozenset({Move.RECEIVE, Move.WITHDRAW})
_OF_VAULT: Final = frozenset(
    {
        Move.RECEIVE, Move.ACKNOWLEDGE, Move.ASK_IDENTITY, Move.ACCEPT_IDENTITY, Move.FAIL_IDENTITY, Move.DELIVER,
        Move.WITHDRAW, Move.CLOSE, Move.NOTE_NOTIFIED, Move.NOTE_EXPIRED, Move.CERTIFY,
    }
)  # fmt: skip
# To stop something is done on the person's word, without anybody looking first (Art. 7(3), 21(3)).
_AT_ONCE: Final = frozenset({Move.COLLECT, Move.REVIEW, Move.CARRY_OUT})
STOPPING: Final = frozenset({Right.OBJECTION, Right.CONSENT_WITHDRAWAL})
# What somebody decides and answers in words.
DECIDED: Final = frozenset({Right.DECISION_REVIEW, Right.COMPLAINT})
_ACT: Final = {
    Move.RECEIVE: Act.REQUEST_RECEIVED,
    Move.CONFIRM_REFUSAL: Act.REQUEST_REFUSED,
    Move.CONFIRM_PARTIAL: Act.REQUEST_REFUSED,
    Move.WITHDRAW: Act.REQUEST_WITHDRAWN,
    Move.CLOSE: Act.REQUEST_CLOSED,
}
_TOLD: Final = {
    Move.ACKNOWLEDGE: LetterKind.RECEIVED,
    Move.ASK_IDENTITY: LetterKind.IDENTITY,
    Move.FAIL_IDENTITY: LetterKind.UNVERIFIED,
    Move.WITHDRAW: LetterKind.WITHDRAWN,
    Move.EXTEND: LetterKind.EXTENDED,
    Move.CONFIRM_REFUSAL: LetterKind.REFUSED,
    Move.CONFIRM_PARTIAL: LetterKind.REFUSED,
    Move.APPROVE: LetterKind.UNDERWAY,
    Move.CARRY_OUT: LetterKind.DONE,
    Move.PREPARE: LetterKind.READY,
}


@dataclass(frozen=True, slots=True)
class By:
    """Who takes a step. `sign` makes an officer's signature over it; without one a session vouched for the officer."""

    actor: Actor
    sign: Sign | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """A request with its rows locked. `person` is None once the subject is erased or being erased."""

    request: Request
    person: Locked | None = field(repr=False)

    @property
    def log_key(self) -> bytes | None:
        """Return the key that relates an entry to the person, while there is one."""
        return None if self.person is None else self.person.log_key


def by_officer(officer_id: str, sign: Sign | None = None) -> By:
    """Name an officer. Raises `UnknownOfficer` for what is no id."""
    if not officers.is_id(officer_id):
        raise UnknownOfficer
    return By(Actor(ActorKind.OFFICER, officer_id), sign)


def by_vault(vault: Vault) -> By:
    """Name the vault itself."""
    return By(Actor(ActorKind.VAULT, vault.deployment))


def by_person(vault: Vault) -> By:
    """Name the person's own hand, through the portal: who it is the entry's reference to the subject says."""
    return By(Actor(ActorKind.VAULT, vault.deployment, PORTAL))


def lock(uow: UnitOfWork, request_id: bytes, brand: str | None = None) -> Held:
    """Lock a request and its subject. Raises `UnknownRequest`, or `Conflict` when its subject went meanwhile."""
    seen = records.get(uow.conn, request_id, brand)
    people = locked.by_id(uow, {seen.subject} if seen.subject is not None else set())
    row = uow.conn.execute(select(_REQUEST).where(_REQUEST.c.id == request_id).with_for_update()).one()
    found = records.read(row)
    if found.subject != seen.subject:
        raise Conflict("subject_request")
    return Held(found, people.get(found.subject))


def take(uow: UnitOfWork, held: Held, move: Move, by: By, *, said: tuple[str, ...] = (), **changes: Any) -> Held:
    """Take one step of a locked request. `changes` are columns that the act sets; `said` are codes for register and log.

    Raises `IllegalMove`, `UnknownOfficer`, `NotSigned`, `Refused`.
    """
    request, number = held.request, held.request.version + 1
    to = after(request.right, request.state, move, request.held_from)
    signed = _vouch(uow, by, request, number, move, said)
    clock = _moved(uow, request, move, to)
    changes["held_from"] = _held_from(request, to)
    if to in OVER:
        changes |= {"closed_at": uow.now, "outcome": _ended(request, move)} | changes
        content.forget(uow, [request.id])
        if held.person is not None:
            reviewed.forget(uow, held.person.subject, request.id)
    changes |= {
        "state": to.value,
        "extended": clock.extended,
        "paused_days": clock.paused_days,
        "paused_at": clock.paused_at,
        "due_at": due_at(request.rule(uow.vault.bundle.rights), clock, uow.now),
        "version": number,
    }
    if to in ANSWERED and request.answered_at is None:
        changes["answered_at"] = uow.now
    _contested(uow, held, move, to)
    unmoved = (_REQUEST.c.id == request.id, _REQUEST.c.version == request.version)
    if uow.conn.execute(update(_REQUEST).where(*unmoved).values(**changes)).rowcount != 1:
        raise Conflict("subject_request")
    note(uow, request.id, number, move, to, by.actor, said)
    pol = (f"request:{request.name}", f"right:{request.right}", f"move:{move}", f"state:{to}", *said, *signed)
    act = _ACT.get(move, Act.REQUEST_ADVANCED)
    uow.record(Entry(act, Ended.ALLOW, by.actor, pol=pol), log_key=held.log_key)
    _tell(uow, held, move)
    return replace(held, request=records.get(uow.conn, request.id))


def vouched(uow: UnitOfWork, by: By, request: Request, move: Move, said: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Check who is there for something that is no step: the officer, and a signature over the next number if one is made.

    `said` are the codes that are signed for. Returns what an entry says of the signature. Raises as `take`.
    """
    return _vouch(uow, by, request, request.version + 1, move, said)


def note(
    uow: UnitOfWork,
    request_id: bytes,
    number: int,
    move: Move,
    to: State,
    actor: Actor,
    said: tuple[str, ...],
) -> None:
    """Keep a step."""
    row = {
        "request_id": request_id,
        "number": number,
        "move": move.value,
        "state": to.value,
        "actor_kind": actor.kind.value,
        "actor_id": actor.id,
        "said": " ".join(said),
        "at": uow.now,
    }
    insert_rows(uow.conn, _STEP, [row])


def last_officer(uow: UnitOfWork, request: Request, *moves: Move) -> str:
    """Return who took the last step of these kinds; empty if nobody did."""
    taken = [each.actor_id for each in records.steps(uow.conn, request.id) if each.move in moves]
    return taken[-1] if taken else ""


def another(uow: UnitOfWork, request: Request, by: By, *moves: Move) -> None:
    """Raise `NotSigned` unless somebody else took the last step of these kinds."""
    first = last_officer(uow, request, *moves)
    if by.actor.kind is not ActorKind.OFFICER or not first or first == by.actor.id:
        raise NotSigned("nobody approves their own")


def denials(vault: Vault, request_id: bytes, move: Move, by: By) -> AbstractContextManager[None]:
    """Record `request.denied` for a step that was turned away, as `vault.governance.signatures` does of every act."""
    said = (f"request:{request_id.hex()}", f"move:{move}")
    return signatures.turned_away(vault, Act.REQUEST_DENIED, by.actor, said)


def handling(uow: UnitOfWork, officer_id: str, move: Move) -> None:
    """Raise `UnknownOfficer` or `NotSigned` unless the officer may take this step: active, no founder, of the role."""
    signatures.entitled(uow.conn, REQUESTS, move, officer_id)


def _vouch(
    uow: UnitOfWork, by: By, request: Request, number: int, move: Move, said: tuple[str, ...]
) -> tuple[str, ...]:
    kind = by.actor.kind
    if kind is not ActorKind.OFFICER:
        own = _OF_VAULT | _AT_ONCE if request.right in STOPPING else _OF_VAULT
        if move not in (_OF_SYSTEMS if kind is ActorKind.SYSTEM else own):
            raise Refused("not_permitted")
        return ()
    handling(uow, by.actor.id, move)
    if by.sign is None:
        return ()
    return signatures.add(uow, records.step(request.id, number, said), move, by.actor.id, by.sign)


def _tell(uow: UnitOfWork, held: Held, move: Move) -> None:
    """Have the person hear of it (Art. 12(3), (4)). Of what is done at once one letter is enough."""
    request = held.request
    if move in _TOLD and held.person is not None and not (move is Move.ACKNOWLEDGE and request.right in STOPPING):
        kind = LetterKind.READY if move is Move.CARRY_OUT and request.right in DECIDED else _TOLD[move]
        letters.tell(uow, kind, held.person.subject, request.brand, request.name, request.language)


def _moved(uow: UnitOfWork, request: Request, move: Move, to: State) -> Clock:
    rule, clock = request.rule(uow.vault.bundle.rights), request.clock
    if move is Move.EXTEND:
        if clock.extended or rule.extension.is_none or uow.now >= due_at(rule, clock, uow.now):
            raise IllegalMove  # there is none, it was used, or the person hears of it too late
        return replace(clock, extended=True)
    if to is State.IDENTITY_CHECK:
        begins = clock.paused_at is None and may_pause(rule, clock.received_at, uow.now)
        return replace(clock, paused_at=uow.now) if begins else clock
    if clock.paused_at is not None:
        return replace(clock, paused_at=None, paused_days=clock.paused_days + running_pause(rule, clock, uow.now))
    return clock


def _contested(uow: UnitOfWork, held: Held, move: Move, to: State) -> None:
    """Take what the person contests out of use once it is known who asks, and put it back once it is decided."""
    request = held.request
    if request.right is not Right.RECTIFICATION:
        return
    if move is Move.ACCEPT_IDENTITY and held.person is not None:
        contesting.stand(uow, request.id, held.person.subject, request.brand)
    elif to in ANSWERED:
        contesting.settle(uow, request.id, request.subject, request.brand)


def _held_from(request: Request, to: State) -> str:
    return request.state.value if to in {State.ON_HOLD, State.REFUSAL_PROPOSED} else ""


def _ended(request: Request, move: Move) -> str:
    if move is Move.WITHDRAW:
        return Outcome.WITHDRAWN.value
    if request.state is State.IDENTITY_FAILED:
        return Outcome.UNVERIFIED.value
    return request.outcome.value or Outcome.GRANTED.value


def checked(problems: list[tuple[str, str]]) -> None:
    """Raise `InvalidFields` if there are problems."""
    if problems:
        raise InvalidFields(tuple(problems))
