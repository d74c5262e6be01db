"""Failed authentications, so that strangers cannot fill the log: each of the first ones has an entry, the rest a count.

Counted per address (an IPv6 caller has a whole /64, so that is one) and minute, in the memory of the process. What is
beyond the limit is answered like any other failure and costs no entry; `record` writes how many there were, per cause, in
one entry each. A process that is killed loses the counts of its last minute; the first failures of every address stand.
"""

import threading
from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import Final

WINDOW_SECONDS: Final = 60
MOST_ENTRIES: Final = 30  # per address and window
MOST_ADDRESSES: Final = 4096  # beyond, all others are one

_OTHERS: Final = "*"
_PREFIX: Final = 8  # bytes


class Failures:
    """The failures of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window = -1
        self._seen: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()

    def admit(self, address: str, cause: str, now: int) -> bool:
        """Tell whether this failure gets an entry of its own; else it is counted."""
        place = place_of(address)
        with self._lock:
            if now // WINDOW_SECONDS != self._window:
                self._window = now // WINDOW_SECONDS
                self._seen.clear()
            if place not in self._seen and len(self._seen) >= MOST_ADDRESSES:
                place = _OTHERS
            self._seen[place] += 1
            if self._seen[place] <= MOST_ENTRIES:
                return True
            self._untold[cause] += 1
            return False

    def take(self) -> dict[str, int]:
        """Return how many failures of which cause have no entry, and begin to count anew."""
        with self._lock:
            taken, self._untold = dict(self._untold), Counter()
        return taken

    def give_back(self, counts: dict[str, int]) -> None:
        """Count again what was taken and could not be written."""
        with self._lock:
            self._untold.update(counts)


def place_of(address: str) -> str:
    """Return what counts as one place: an address, or of IPv6 the network in which one subscriber has millions."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return parsed.packed[:_PREFIX].hex()
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
