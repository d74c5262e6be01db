"""Clock and randomness, injected everywhere so that tests own both."""

import os
import time
from typing import Protocol


class Clock(Protocol):
    """Tells wall-clock time."""

    def now(self) -> int:
        """Whole UTC seconds since 1970."""
        ...


class Entropy(Protocol):
    """Gives random bytes fit for keys."""

    def bytes(self, count: int) -> bytes:
        """Return `count` bytes from a cryptographic source."""
        ...


class SystemClock:
    """The operating system's clock."""

    def now(self) -> int:
        """Whole UTC seconds since 1970."""
        return int(time.time())  # noqa: TID251 - the one place that reads the wall clock


class SystemEntropy:
    """The operating system's generator."""

    def bytes(self, count: int) -> bytes:
        """Return `count` bytes from `os.urandom`."""
        return os.urandom(count)  # noqa: TID251 - the one place that asks the system
