"""The acts of restricting what is known of a person, and of lifting that (`vault.restrictions`), with a service token.

The answer says nothing of restrictions that other brands placed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from api import trail
from api.acts import Answer, guarded, once
from vault import restrictions
from vault.errors import VaultError
from vault.restrictions import Ground, Lift, Restrict
from vault.tokens import Session
from vault.unit import UnitOfWork


@dataclass(frozen=True, slots=True)
class RestrictionAsked:
    """A restriction to place or to lift: of whom, and on which ground."""

    reference: str = field(repr=False)
    ground: str


Asked = Sequence[tuple[Session, RestrictionAsked]]


def _restrict(uow: UnitOfWork, asked: Asked) -> list[Answer | VaultError]:
    wanted = [
        Restrict(session.system.brand, each.reference, Ground(each.ground), trail.actor_of(session))
        for session, each in asked
    ]
    return _told(asked, restrictions.restrict(uow, wanted), stands=True)


def _lift(uow: UnitOfWork, asked: Asked) -> list[Answer | VaultError]:
    wanted = [
        Lift(session.system.brand, each.reference, Ground(each.ground), trail.actor_of(session))
        for session, each in asked
    ]
    return _told(asked, restrictions.lift(uow, wanted), stands=False)


def _told(
    asked: Asked, results: Sequence[restrictions.Restricted | VaultError], *, stands: bool
) -> list[Answer | VaultError]:
    return [
        result
        if isinstance(result, VaultError)
        else {"reference": each.reference, "ground": each.ground, "stands": stands}
        for (_, each), result in zip(asked, results, strict=True)
    ]


placings = guarded("rights.write", once(_restrict))
liftings = guarded("rights.write", once(_lift))
