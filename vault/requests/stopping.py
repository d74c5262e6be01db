"""Objections and withdrawals: carried out as soon as it is clear who says so, as easily as a consent was given.

They become events of consent like any other (`vault.consents`): every token that rested on it is dead at its next use, and
the brand's systems are told. Nobody looks first; a brand that has compelling grounds says so afterwards.
"""

from typing import Final

from policies.decision import OWN
from policies.rights import Right
from vault import consents
from vault.consentevents import ConsentAct, ConsentEvent, Method, Who
from vault.errors import VaultError
from vault.requests.records import Outcome, Request, Requester
from vault.requests.states import Move
from vault.requests.steps import STOPPING, Held, by_vault, take
from vault.unit import UnitOfWork

CHANNEL: Final = "request"

_WHO: Final = {Requester.SELF: Who.SELF, Requester.AGENT: Who.AGENT, Requester.GUARDIAN: Who.GUARDIAN}
_ACT: Final = {Right.OBJECTION: ConsentAct.OBJECTED, Right.CONSENT_WITHDRAWAL: ConsentAct.WITHDRAWN}


def at_once(uow: UnitOfWork, held: Held, reference: str) -> Held:
    """Carry out what only stops something, and close its request; leave any other as it is.

    Raises what an event of consent may fail with.
    """
    if held.request.right not in STOPPING:
        return held
    by = by_vault(uow.vault)
    for move in (Move.COLLECT, Move.REVIEW):
        held = take(uow, held, move, by)
    law = uow.vault.bundle.purposes.jurisdiction(held.request.jurisdiction)
    changes = [
        consents.Change(reference, held.request.brand, OWN, _event(held.request, each, law))
        for each in held.request.names
    ]
    for answer in consents.change(uow, changes):
        if isinstance(answer, VaultError):
            raise answer
    held = take(uow, held, Move.CARRY_OUT, by, said=held.request.names, outcome=Outcome.GRANTED.value)
    for move in (Move.DELIVER, Move.CLOSE):
        held = take(uow, held, move, by)
    return held


def _event(request: Request, purpose: str, law: str) -> ConsentEvent:
    return ConsentEvent(
        purpose,
        _ACT[request.right],
        CHANNEL,
        jurisdiction=law,
        method=Method.WRITTEN,
        actor=_WHO[request.requester],
        evidence_hash=request.mandate_hash,
    )
