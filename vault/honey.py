"""Honey subjects: people who do not exist, kept like those who do; whoever looks at one is frozen.

A honey subject is a row like any other, taken in by the import that takes in everybody. What tells it apart is in its log
key alone, which is stored wrapped under a leaf like every other: the second half is a hash of the first, and 128 bits
match by chance never. No column, no table and no time says which they are; who has a dump without the keys cannot tell.
The key is opened for every look anyway, because the look's entry needs it: being watched costs no statement and no call.

Springing is part of the unit of work of the look: the system is disabled, its epoch stepped, which kills every token it
holds, and `system.frozen` is recorded for that subject. After the commit the vault's alarm is raised.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from sqlalchemy import update
from sqlmodel import col

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault.errors import Refused
from vault.runtime import Entropy
from vault.store.tables import System
from vault.systems import SystemRecord, SystemStatus
from vault.unit import Alarm, UnitOfWork

LOG_KEY_BYTES: Final = 32

_HALF: Final = LOG_KEY_BYTES // 2
_LABEL: Final = b"ecrin/honey/v1\x00"
_GUARD: Final = Actor(ActorKind.VAULT, "honey")


def log_key(entropy: Entropy) -> bytes:
    """Draw the log key of a honey subject. Why safe: 128 random bits, which is what HMAC is asked to hold here."""
    half = entropy.bytes(_HALF)
    return half + sha256(_LABEL + half).digest()[:_HALF]


def is_honey(key: bytes) -> bool:
    """Tell whether a log key is a honey subject's."""
    return key[_HALF:] == sha256(_LABEL + key[:_HALF]).digest()[:_HALF]


def spring(uow: UnitOfWork, looks: Iterable[tuple[SystemRecord, bytes]]) -> dict[str, Refused]:
    """Freeze each system that looks at a honey subject; `looks` are systems and the log keys of whom they look at.

    Returns what each frozen system is told, by its id: what any disabled system is told.
    """
    frozen: dict[str, Refused] = {}
    for system, key in looks:
        if not is_honey(key):
            continue
        if system.id not in frozen:
            uow.conn.execute(
                update(System)
                .where(col(System.id) == system.id)
                .values(status=SystemStatus.DISABLED.value, epoch=col(System.epoch) + 1)
            )
            frozen[system.id] = Refused("invalid_token", "system_frozen")
            uow.alarm(Alarm("system_frozen", system.id))
        uow.record(Entry(Act.SYSTEM_FROZEN, Outcome.ALLOW, _GUARD, pol=(f"system:{system.id}",)), log_key=key)
    return frozen
