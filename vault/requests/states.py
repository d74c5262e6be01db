"""The way of a request: states, moves, and the one table that says which move leads from where to where.

    received -> acknowledged -> identity_check -> scoping -> collecting -> officer_review -> ready -> delivered -> closed

Off that way: `on_hold`, `refusal_proposed` (both lead back), `identity_failed`, `refused`, `withdrawn`, `duplicate`. An
erasure goes from the review over `hold_check -> dry_run -> second_approval -> executed -> recipients_notified ->
backups_expired -> certified`. What is not in the table cannot be done. Whether *this* request may take a move that the
table has (identity, two officers, a hold that stands) the acts decide.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from policies.rights import Right
from vault.errors import VaultError


class State(StrEnum):
    """Where a request stands."""

    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    IDENTITY_CHECK = "identity_check"
    IDENTITY_FAILED = "identity_failed"
    SCOPING = "scoping"
    COLLECTING = "collecting"
    OFFICER_REVIEW = "officer_review"
    READY = "ready"
    DELIVERED = "delivered"
    CLOSED = "closed"
    ON_HOLD = "on_hold"
    REFUSAL_PROPOSED = "refusal_proposed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    DUPLICATE = "duplicate"
    HOLD_CHECK = "hold_check"
    DRY_RUN = "dry_run"
    SECOND_APPROVAL = "second_approval"
    EXECUTED = "executed"
    RECIPIENTS_NOTIFIED = "recipients_notified"
    BACKUPS_EXPIRED = "backups_expired"
    CERTIFIED = "certified"


class Move(StrEnum):
    """What is done to a request."""

    RECEIVE = "receive"
    ACKNOWLEDGE = "acknowledge"
    ASK_IDENTITY = "ask_identity"
    ACCEPT_IDENTITY = "accept_identity"
    FAIL_IDENTITY = "fail_identity"
    COLLECT = "collect"
    REVIEW = "review"
    PREPARE = "prepare"  # access and portability: the package can be made
    CARRY_OUT = "carry_out"  # what was asked for was done, or decided
    DELIVER = "deliver"
    CLOSE = "close"
    HALT = "halt"
    RESUME = "resume"
    EXTEND = "extend"
    PROPOSE_REFUSAL = "propose_refusal"
    CONFIRM_REFUSAL = "confirm_refusal"
    CONFIRM_PARTIAL = "confirm_partial"  # of some categories only: the rest goes on
    REJECT_REFUSAL = "reject_refusal"
    WITHDRAW = "withdraw"
    CHECK_HOLDS = "check_holds"
    REHEARSE = "rehearse"
    APPROVE = "approve"
    EXECUTE = "execute"
    NOTE_NOTIFIED = "note_notified"
    NOTE_EXPIRED = "note_expired"
    CERTIFY = "certify"
    VIEW = "view"  # to read what the person wrote: signed for like a step, and none


class IllegalMove(VaultError):
    """The request is not where this move begins, or its right has no such move."""

    code = "illegal_move"


BACK: Final = "back"  # to the state it was taken from

OVER: Final = frozenset({State.CLOSED, State.WITHDRAWN, State.DUPLICATE})
# The person has the answer: what follows (recipients, backups, a certificate) has no deadline of theirs.
ANSWERED: Final = OVER | {
    State.READY, State.DELIVERED, State.REFUSED, State.EXECUTED, State.RECIPIENTS_NOTIFIED, State.BACKUPS_EXPIRED,
    State.CERTIFIED,
}  # fmt: skip
# Where work can still be halted, refused, taken back by the person, or given more time.
_OPEN: Final = (
    State.RECEIVED,
    State.ACKNOWLEDGED,
    State.IDENTITY_CHECK,
    State.SCOPING,
    State.COLLECTING,
    State.OFFICER_REVIEW,
)
_OF_ERASURE: Final = (State.HOLD_CHECK, State.DRY_RUN, State.SECOND_APPROVAL)

_Table = Mapping[tuple[State, Move], State | str]

_COMMON: Final[dict[tuple[State, Move], State | str]] = {
    (State.RECEIVED, Move.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.ACKNOWLEDGED, Move.ASK_IDENTITY): State.IDENTITY_CHECK,
    (State.ACKNOWLEDGED, Move.ACCEPT_IDENTITY): State.SCOPING,
    (State.IDENTITY_CHECK, Move.ASK_IDENTITY): State.IDENTITY_CHECK,
    (State.IDENTITY_CHECK, Move.ACCEPT_IDENTITY): State.SCOPING,
    (State.IDENTITY_CHECK, Move.FAIL_IDENTITY): State.IDENTITY_FAILED,
    (State.IDENTITY_FAILED, Move.ASK_IDENTITY): State.IDENTITY_CHECK,
    (State.IDENTITY_FAILED, Move.WITHDRAW): State.WITHDRAWN,
    (State.IDENTITY_FAILED, Move.CLOSE): State.CLOSED,
    (State.SCOPING, Move.COLLECT): State.COLLECTING,
    (State.COLLECTING, Move.REVIEW): State.OFFICER_REVIEW,
    (State.READY, Move.DELIVER): State.DELIVERED,
    (State.DELIVERED, Move.CLOSE): State.CLOSED,
    (State.ON_HOLD, Move.RESUME): BACK,
    (State.ON_HOLD, Move.WITHDRAW): State.WITHDRAWN,
    (State.OFFICER_REVIEW, Move.PROPOSE_REFUSAL): State.REFUSAL_PROPOSED,
    (State.REFUSAL_PROPOSED, Move.CONFIRM_REFUSAL): State.REFUSED,
    (State.REFUSAL_PROPOSED, Move.CONFIRM_PARTIAL): BACK,
    (State.REFUSAL_PROPOSED, Move.REJECT_REFUSAL): BACK,
    (State.REFUSAL_PROPOSED, Move.WITHDRAW): State.WITHDRAWN,
    (State.REFUSED, Move.CLOSE): State.CLOSED,
} | {
    (state, move): to
    for state in _OPEN
    for move, to in ((Move.HALT, State.ON_HOLD), (Move.WITHDRAW, State.WITHDRAWN), (Move.EXTEND, state))
}
_PACKAGE: Final = {(State.OFFICER_REVIEW, Move.PREPARE): State.READY, (State.READY, Move.WITHDRAW): State.WITHDRAWN}
_ACT: Final = {(State.OFFICER_REVIEW, Move.CARRY_OUT): State.READY}
_ERASURE: Final = {
    (State.OFFICER_REVIEW, Move.CHECK_HOLDS): State.HOLD_CHECK,
    (State.HOLD_CHECK, Move.CHECK_HOLDS): State.HOLD_CHECK,
    (State.HOLD_CHECK, Move.REHEARSE): State.DRY_RUN,
    (State.DRY_RUN, Move.REHEARSE): State.DRY_RUN,
    (State.DRY_RUN, Move.APPROVE): State.SECOND_APPROVAL,
    (State.SECOND_APPROVAL, Move.EXECUTE): State.EXECUTED,
    (State.EXECUTED, Move.NOTE_NOTIFIED): State.RECIPIENTS_NOTIFIED,
    (State.RECIPIENTS_NOTIFIED, Move.NOTE_EXPIRED): State.BACKUPS_EXPIRED,
    (State.BACKUPS_EXPIRED, Move.CERTIFY): State.CERTIFIED,
    (State.CERTIFIED, Move.CLOSE): State.CLOSED,
} | {
    (state, move): to
    for state in _OF_ERASURE
    for move, to in (
        (Move.HALT, State.ON_HOLD), (Move.WITHDRAW, State.WITHDRAWN), (Move.EXTEND, state),
        (Move.PROPOSE_REFUSAL, State.REFUSAL_PROPOSED),
    )
}  # fmt: skip

TABLE: Final[Mapping[Right, _Table]] = MappingProxyType(
    {
        right: MappingProxyType(
            _COMMON
            | (_PACKAGE if right in {Right.ACCESS, Right.PORTABILITY} else _ERASURE if right is Right.ERASURE else _ACT)
        )
        for right in Right
    }
)


def after(right: Right, state: State, move: Move, held_from: str = "") -> State:
    """Return the state that a move leads to. Raises `IllegalMove`."""
    to = TABLE[right].get((state, move))
    if to is None:
        raise IllegalMove
    return State(held_from) if to == BACK else State(to)


def moves_from(right: Right, state: State) -> tuple[Move, ...]:
    """Return the moves there are from a state."""
    return tuple(move for (where, move) in TABLE[right] if where is state)
