"""The one interface behind which every key lives (design §6).

Two homes implement it: `InProcessKeyService` here, and a key holder process on a Unix socket. All verbs take
batches, because one call per record, not per field, is what makes a separate process affordable. Leaf keys never
cross this interface: callers hand over and receive data keys only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol


class Slot(NamedTuple):
    """Where a leaf key lives: `number` = tree << 32 | leaf index; `generation` counts re-draws of that leaf."""

    number: int
    generation: int


class SigningKey(StrEnum):
    """Names of the Ed25519 keys the service signs with. One key per kind of statement."""

    LOG = "log"
    RECEIPT = "receipt"
    ERASURE = "erasure"


FIRST_GENERATION: Final = 1
LAST_GENERATION: Final = 64  # of a signing key: bounds what a search for the generation of a signature may cost


class KeyState(StrEnum):
    """Whether the root key is open."""

    SEALED = "sealed"
    UNSEALED = "unsealed"


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """What an operator may know: no key material, no secret."""

    state: KeyState
    epoch: int
    slots_reserved: int
    slots_total: int
    retired: int = 0  # leaves that wait for the next epoch change
    retiring: int | None = None  # the epoch before, while its root still exists
    change: str | None = None  # how far an epoch change under way has come: a `ChangeState`
    slots_per_tree: int = 0  # 0 while sealed


class KeyService(Protocol):
    """Batch operations on keys. A `None` in an answer fails that item alone (absent leaf, wrong or altered bytes)."""

    def reserve(self, count: int) -> list[Slot]:
        """Allocate `count` fresh leaf slots, durably: a slot is never given out twice, across crashes too.

        Raises LeavesExhausted, and takes none, when too few are left.
        """
        ...

    def wrap(self, items: Sequence[tuple[Slot, bytes]]) -> list[bytes | None]:
        """Wrap 32-byte data keys under their leaf (RFC 3394): 40 bytes each."""
        ...

    def unwrap(self, items: Sequence[tuple[Slot, bytes]]) -> list[bytes | None]:
        """Unwrap 40-byte wrapped keys under their leaf: 32 bytes each."""
        ...

    def mac(self, label: str, messages: Sequence[bytes]) -> list[bytes]:
        """HMAC-SHA-256 under the key derived for `label`: 32 bytes each. Search tokens, reference and request hashes."""
        ...

    def seal(self, label: str, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """AES-SIV (RFC 5297) of small (context, plaintext) pairs under the key derived for `label`: 16 bytes longer."""
        ...

    def open(self, label: str, items: Sequence[tuple[bytes, bytes]]) -> list[bytes | None]:
        """Open what `seal` made from the same context."""
        ...

    def retire(self, slots: Sequence[Slot]) -> None:
        """Queue leaves for destruction, durably in the keystore.

        After it returns no key service of this keystore wraps, unwraps or wraps anew under them. May be repeated.
        """
        ...

    def recall(self, slots: Sequence[Slot]) -> list[bool]:
        """Take leaves off the queue. True: it will not be destroyed. False: it is gone, or its root is going.

        Also after the build of the next epoch and before the destruction of the old root: the leaf is then carried
        over by the change before it goes on, and refused until it was.
        """
        ...

    def alive(self, slots: Sequence[Slot]) -> list[bool]:
        """Whether each leaf exists at that generation and is not retired."""
        ...

    def rewrap(self, items: Sequence[tuple[Slot, Slot, bytes]]) -> list[bytes | None]:
        """Wrap data keys anew: (leaf that opens, leaf that is to open, 40 wrapped bytes). No data key leaves."""
        ...

    def blind(self, label: str, messages: Sequence[bytes], epoch: int) -> list[bytes]:
        """Search tokens of 16 bytes, which die with their epoch.

        AES-256 of one block, the first half of HMAC-SHA-256 under the key of `label`, under the index key of `epoch`.
        Raises KeyUnavailable for an epoch whose index key is gone.
        """
        ...

    def reblind(self, tokens: Sequence[bytes], old: int, new: int) -> list[bytes]:
        """Move search tokens from one epoch to another, without what they stand for. Raises as `blind` does."""
        ...

    def index_epochs(self) -> tuple[int, ...]:
        """Epochs whose index key can be used, newest first: one, or two while an epoch is retiring."""
        ...

    def sign(self, key: SigningKey, messages: Sequence[bytes], generation: int = FIRST_GENERATION) -> list[bytes]:
        """Ed25519 signatures, 64 bytes each, by one generation of the key: 1 is the one drawn with the keystore.

        Raises KeyUnavailable beyond `LAST_GENERATION`.
        """
        ...

    def public_key(self, key: SigningKey, generation: int = FIRST_GENERATION) -> bytes:
        """Return the raw 32-byte Ed25519 public key of that generation. Raises as `sign` does."""
        ...

    def status(self) -> KeyStatus:
        """State and counts, also when sealed."""
        ...

    def refresh(self) -> None:
        """Hear of what other processes did to the keystore, and forget what it no longer holds.

        Every verb on leaves does so by itself. Call it each second as well: a service that nobody uses would keep
        opened pages of a destroyed epoch in memory.
        """
        ...

    def close(self) -> None:
        """Forget every key held and close the keystore."""
        ...
