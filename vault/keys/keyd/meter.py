"""How many data keys the holder opens: counted for its own log line, and limited (crypto study §7).

The holder does not know who is concerned; the audit log does. Its count is another witness: opens that no disclosure in
the log explains were asked for by somebody who has taken over a serving process. The limit bounds what they can carry
away before that shows. It is a bucket that holds one minute's worth.
"""

from dataclasses import dataclass
from typing import Final

from vault.errors import StoreUnavailable

TOLD_EVERY: Final = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Opened:
    """Data keys opened and refused since the last line."""

    opened: int
    refused: int


class Meter:
    """Counts and limits opens. `now` is in seconds of a clock that never goes back. One thread."""

    def __init__(self, per_minute: int, now: float) -> None:
        self._per_minute = per_minute
        self._left = float(per_minute)
        self._filled_at = self._told_at = now
        self._opened = self._refused = 0

    def take(self, count: int, now: float) -> None:
        """Account for opening `count` data keys. Raises StoreUnavailable, and nothing may be opened then."""
        filled = (now - self._filled_at) * self._per_minute / 60
        self._left, self._filled_at = min(float(self._per_minute), self._left + filled), now
        if count > self._left:
            self._refused += count
            raise StoreUnavailable("the key holder opens no more for the moment")
        self._left -= count
        self._opened += count

    def told(self, now: float) -> Opened | None:
        """Return what to write down, when it is time and there was anything; the count then begins anew."""
        if now - self._told_at < TOLD_EVERY:
            return None
        self._told_at = now
        found, self._opened, self._refused = Opened(self._opened, self._refused), 0, 0
        return found if found.opened or found.refused else None
