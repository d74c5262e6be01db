"""Root key providers: five verbs behind which a file, an HSM or a cloud KMS holds the one key of an epoch.

Only 32 bytes ever cross this border: the key of the top page. A root belongs to one epoch; nothing that outlives the
epoch may wrap it, or destroying it would destroy nothing. So a root is named by the caller and drawn by the provider:
no verb takes a key that the caller brought, an alias, or the address of a key that somebody else made, and no setting
names one. `destroy` belongs to the epoch change and to nobody else, so creating and opening a keystore ask for a
`RootProvider`, which does not have it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

WRAPPED_KEY: Final = 32  # bytes of the one key that a root wraps

_REF = re.compile(r"[0-9a-f]{32}")


class DestructionClass(StrEnum):
    """How final a provider's destruction is. Printed on every certificate of erasure."""

    IMMEDIATE = "A"  # non-exportable, no provider backups
    DATED = "B"  # effective on a date the provider states
    BEST_EFFORT = "C"  # valid only if no copy of the sealed root survives


class RootState(StrEnum):
    """What a provider says about a root. Eventual consistency is normal: poll until GONE."""

    LIVE = "live"
    PENDING = "pending"  # its destruction is ordered or half done; it opens nothing
    GONE = "gone"  # destroyed; where `Capabilities.remembers` is false also: the provider has no root of that name
    UNKNOWN = "unknown"  # nothing shows that it ever was, or the provider cannot be asked


@dataclass(frozen=True, slots=True)
class RootStatus:
    """State of one root; `until` is the UTC second at which a pending destruction takes effect."""

    state: RootState
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What is true of every root of a provider. `minimum_delay`: seconds from the order to the effect, at least."""

    destruction_class: DestructionClass
    minimum_delay: int
    exportable: bool  # whether the root's bytes leave the provider
    provider_copies: bool  # whether the provider's own backups or snapshots may hold a root after its destruction
    remembers: bool  # whether a destroyed root is told from one that never was


@dataclass(frozen=True, slots=True)
class Destruction:
    """What the certificate says of a destroyed root: UTC second of effect, the provider's evidence, the class."""

    effective_at: int
    evidence: str
    destruction_class: DestructionClass


class RootProvider(Protocol):
    """The verbs that build and open a keystore. `ref` is the public name of a root: 32 hexadecimal digits.

    Anything else in the place of a name is a ValueError.
    """

    def create(self, ref: str) -> None:
        """Draw the root named `ref` unless it exists. The caller records the name first, so a crash can resume.

        Raises Sealed for a name whose root is destroyed or being destroyed: a name lives once.
        """
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

    @property
    def capabilities(self) -> Capabilities:
        """What is true of every root of this provider."""
        ...

    def destroy(self, ref: str) -> Destruction:
        """Destroy the root for good. "Already gone" is success and gives the first time of effect where it is known.

        Call only after the next epoch's keystore has been replicated and read back: every older copy of the keystore
        dies with the root. Raises Sealed where a provider that remembers finds no trace of the root: looking in the
        wrong place must not look like a destruction. Where `Capabilities.remembers` is false, the caller must have
        seen the root LIVE before.
        """
        ...


def checked_ref(ref: str) -> str:
    """Return `ref` if it is a root's name. A name of this shape is no path, address or alias. Raises ValueError."""
    if not _REF.fullmatch(ref):
        raise ValueError("a root's name has 32 hexadecimal digits")
    return ref


def checked_key(key: bytes) -> bytes:
    """Return `key` if it is what a root may wrap: 32 bytes. Raises ValueError."""
    if len(key) != WRAPPED_KEY:
        raise ValueError("a root wraps 32 bytes")
    return key
