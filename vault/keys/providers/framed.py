"""What a remote provider wrapped, behind the name of the root that did: format (1), name (16), the provider's bytes.

A service's refusal seldom tells a wrong key from altered bytes. The name in front does, before the service is asked:
another root's bytes are `Sealed`, altered ones `IntegrityFailure`. The name is bound into what the service
authenticates too, so changing it here opens nothing.
"""

import hashlib
from typing import Final

from vault.errors import IntegrityFailure, Sealed
from vault.keys.message import bind
from vault.keys.provider import WRAPPED_KEY

_FORMAT: Final = b"\x01"
_HEAD: Final = 17
_LABEL: Final = b"ecrin/root-wrap/v2"
_MOST: Final = 4096  # bytes of any provider's wrapping of 32


def bound(ref: str, context: bytes) -> bytes:
    """Return what the provider authenticates: label, root's name, the caller's context."""
    return bind(_LABEL, ref.encode(), context)


def digest(ref: str, context: bytes) -> str:
    """Return the same as 64 hexadecimal digits, for services that log it: it tells them nothing."""
    return hashlib.sha256(bound(ref, context)).hexdigest()


def frame(ref: str, blob: bytes) -> bytes:
    """Put format and name in front of the provider's bytes."""
    return _FORMAT + bytes.fromhex(ref) + blob


def unframe(ref: str, wrapped: bytes) -> bytes:
    """Return the provider's bytes. Raises Sealed when another root wrapped, IntegrityFailure when nothing did."""
    if not _HEAD < len(wrapped) <= _MOST or wrapped[:1] != _FORMAT:
        raise IntegrityFailure(IntegrityFailure.code)
    if wrapped[1:_HEAD] != bytes.fromhex(ref):
        raise Sealed("the root key is not the one of this keystore")
    return wrapped[_HEAD:]


def unwrapped(key: bytes) -> bytes:
    """Return what a provider unwrapped, if it is a key of ours. Raises IntegrityFailure."""
    if len(key) != WRAPPED_KEY:
        raise IntegrityFailure(IntegrityFailure.code)
    return key
