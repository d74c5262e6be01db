"""The acts around consents that are not one event of one person: a browser's signal."""

from collections.abc import Sequence
from dataclasses import dataclass

from api.acts import Answer, guarded, once
from vault import consentsignal
from vault.errors import VaultError
from vault.tokens import Session
from vault.unit import UnitOfWork


@dataclass(frozen=True, slots=True)
class Signal:
    """A browser's signal against sale and sharing, as a brand's site received it."""

    reference: str
    channel: str
    on: bool


def _signal(uow: UnitOfWork, asked: Sequence[tuple[Session, Signal]]) -> list[Answer | VaultError]:
    received = [
        consentsignal.Signal(each.reference, session.system.brand, session.system.id, each.channel, each.on)
        for session, each in asked
    ]
    return [
        result if isinstance(result, VaultError) else {"reference": each.reference, "objected": list(result)}
        for (_, each), result in zip(asked, consentsignal.receive(uow, received), strict=True)
    ]


signals = guarded("consent.write", once(_signal))
