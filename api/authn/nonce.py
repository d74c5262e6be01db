"""DPoP nonces that the server provides (RFC 9449 §8, §9): a proof that carries one was not made long before.

A nonce is a keyed hash of the time window it belongs to. It is kept nowhere, every process of a deployment makes and
knows the same one, and it changes with the window; nobody without the key service can make tomorrow's. One window is
as long as a token lives that opens raw values, and the last window's nonce is still good, so that the nonce which came
with such a token is good for the whole of its life.
"""

import hmac
from base64 import urlsafe_b64encode
from typing import Final, Protocol

WINDOW_SECONDS: Final = 300
HEADER: Final = "DPoP-Nonce"
_LABEL: Final = "dpop/nonce"
_BYTES: Final = 18  # of 32: 144 bits that cannot be foretold, 24 characters


class Hashing(Protocol):
    """What nonces need of the key service."""

    def mac(self, label: str, messages: list[bytes]) -> list[bytes]:
        """HMAC-SHA-256 under the key of `label`."""
        ...


class Keyed(Protocol):
    """Whoever has a key service, which may be another one after the vault was sealed."""

    @property
    def keys(self) -> Hashing:
        """The key service in use now."""
        ...


class Nonces:
    """The nonces of one deployment. One call of the key service per window; `vault` has it."""

    def __init__(self, vault: Keyed) -> None:
        self._vault = vault
        self._known: dict[int, str] = {}

    def current(self, now: int) -> str:
        """Return the nonce to give out: 24 characters. `now` is UTC seconds. Raises what the key service raises."""
        return self._of(now // WINDOW_SECONDS)

    def is_good(self, nonce: str, now: int) -> bool:
        """Tell whether a proof's nonce is of this window, of the one before, or of the next (another host's clock)."""
        window = now // WINDOW_SECONDS
        # Why compare_digest: a nonce is no secret to its holder, but nobody shall find one character by character.
        return any(hmac.compare_digest(self._of(each), nonce) for each in (window, window - 1, window + 1))

    def _of(self, window: int) -> str:
        known = self._known.get(window)
        if known is None:
            (mac,) = self._vault.keys.mac(_LABEL, [window.to_bytes(8)])
            known = urlsafe_b64encode(mac[:_BYTES]).decode()
            # Replaced whole, not changed: other threads may be reading.
            self._known = {at: each for at, each in self._known.items() if abs(at - window) <= 2} | {window: known}  # noqa: PLR2004
        return known
