"""Root key providers: five verbs behind which a file, an HSM or a cloud KMS holds the one key of an epoch.

Only 32 bytes ever cross this border: the key of the top page. A root belongs to one epoch; nothing that outlives the
epoch may wrap it, or destroying it would destroy nothing. `destroy` belongs to the epoch change and to nobody else,
so creating and opening a keystore ask for a `RootProvider`, which does not have it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class DestructionClass(StrEnum):
    """How final a provider's destruction is. Printed on every certificate of erasure."""

    IMMEDIATE = "A"  # non-exportable, no provider backups
    DATED = "B"  # effective on a date the provider states
    BEST_EFFORT = "C"  # valid only if no copy of the sealed root survives


class RootState(StrEnum):
    """What a provider says about a root. Eventual consistency is normal: poll until GONE."""

    LIVE = "live"
    PENDING = "pending"
    GONE = "gone"
    UNKNOWN = "unknown"  # never heard of it, or cannot tell


@dataclass(frozen=True, slots=True)
class RootStatus:
    """State of one root; `until` is the UTC second at which a pending destruction takes effect."""

    state: RootState
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Destruction:
    """What the certificate says of a destroyed root: UTC second of effect, the provider's evidence, the class."""

    effective_at: int
    evidence: str
    destruction_class: DestructionClass


class RootProvider(Protocol):
    """The verbs that build and open a keystore. `ref` is the public name of a root: 32 hexadecimal digits."""

    def create(self, ref: str) -> None:
        """Create the root named `ref` unless it exists. The caller records the name first, so a crash can resume."""
        ...

    def wrap(self, ref: str, key: bytes, context: bytes) -> bytes:
        """Wrap 32 bytes under the root, bound to `context`. Raises Sealed when the root cannot be opened."""
        ...

    def unwrap(self, ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap 32 bytes.

        Raises Sealed when the root cannot be opened or is not the one that wrapped; IntegrityFailure when it is, and
        the wrapped bytes or their context are not what it wrapped.
        """
        ...

    def status(self, ref: str) -> RootStatus:
        """Say what is known of the root, without opening it."""
        ...


class DestroyingProvider(RootProvider, Protocol):
    """A provider that can also forget: what the epoch change needs, and nothing else may have."""

    destruction_class: DestructionClass

    def destroy(self, ref: str) -> Destruction:
        """Destroy the root for good. "Already gone" is success.

        Call only after the next epoch's keystore has been replicated and read back: every older copy of the keystore
        dies with the root.
        """
        ...
