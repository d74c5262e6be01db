"""Words of people sealed under a leaf of their own, which goes when they are needed no more or their person is erased.

A message has its own data key, wrapped under a fresh leaf of the key tree. Who leaves the leaf (`vault.leftleaves`) drops
the message: it is destroyed with the next change of the epoch, in every backup too.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from vault.errors import KeyUnavailable
from vault.keys.message import open_message, seal_message
from vault.keys.service import Slot
from vault.unit import UnitOfWork, Vault

_DEK: Final = 32
WRAPPED: Final = 40


class Sealed(NamedTuple):
    """A sealed message and the leaf it hangs on."""

    blob: bytes
    slot: Slot


def seal(uow: UnitOfWork, messages: Sequence[tuple[bytes, bytes]]) -> list[Sealed]:
    """Seal (context, plaintext) pairs, each under a leaf of its own. Raises `LeavesExhausted` when leaves run out."""
    keys = uow.vault.keys
    slots = keys.reserve(len(messages))
    # Why safe: one fresh key per message, never used for another.
    deks = [uow.vault.entropy.bytes(_DEK) for _ in messages]
    sealed = []
    for slot, dek, wrap, (context, plain) in zip(
        slots, deks, keys.wrap(list(zip(slots, deks, strict=True))), messages, strict=True
    ):
        if wrap is None:
            raise KeyUnavailable
        sealed.append(Sealed(wrap + seal_message(dek, context, plain), slot))
    return sealed


def opened(vault: Vault, context: bytes, sealed: Sealed) -> bytes | None:
    """Open a message; None where its key is gone. Raises `IntegrityFailure` for what was altered."""
    (dek,) = vault.keys.unwrap([(sealed.slot, sealed.blob[:WRAPPED])])
    return None if dek is None else open_message(dek, context, sealed.blob[WRAPPED:])
