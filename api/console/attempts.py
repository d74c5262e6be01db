"""How often one address may try at the door, per process: guessing is slow, and Argon2 is not lent out to strangers.

An officer's own password and code are guarded in the database besides (`vault.signin.codes`); this keeps one address from
trying many officers, or many set-up codes, and from making the server hash for it.
"""

import threading
from collections import OrderedDict
from typing import Final

from vault.failures import place_of

WINDOW_SECONDS: Final = 300
MOST_TRIES: Final = 20  # per address and window
MOST_DOORS: Final = 200  # sessions begun at the door, which cost a row each
MOST_ACTS: Final = 60  # forms of one person who is signed in, and pages that walk the log for them
MOST_ADDRESSES: Final = 4096
AT_ONCE: Final = 2  # passwords hashed at a time: 64 MiB each


class Attempts:
    """The tries of one process. Thread-safe. `hashing` is held while a password is checked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self.hashing = threading.BoundedSemaphore(AT_ONCE)

    def admit(self, kind: str, address: str, now: int, most: int) -> bool:
        """Count one try; tell whether it may go on."""
        key, window = (kind, place_of(address)), now // WINDOW_SECONDS
        with self._lock:
            at, count = self._counts.pop(key, (window, 0))
            count = count + 1 if at == window else 1
            self._counts[key] = (window, count)
            if len(self._counts) > MOST_ADDRESSES:
                self._counts.popitem(last=False)
        return count <= most
