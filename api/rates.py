"""How often a system may call one process: a bucket of requests that refills, per system.

A request names its system only when the database has been asked, and what asks it too often must be refused before. So
the bucket is that of the key whose proof the request carries, which is checked without the database; and once the token
endpoint has given that key a token, it is the bucket of the system that got it, whatever keys it uses.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from api import ratelimit

NAME: Final = "requests"
BURST: Final = 2  # seconds of requests that a quiet system may make at once
MOST_BUCKETS: Final = 8192

_WINDOW: Final = 1


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class Rates:
    """The buckets of one process, for its event loop alone. `clock` is monotonic seconds."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._rate = per_second
        self._full = float(per_second * BURST)
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._systems: OrderedDict[str, str] = OrderedDict()
        self.policy = ratelimit.policy(NAME, per_second, _WINDOW)

    def learn(self, jkt: str, system_id: str) -> None:
        """Remember whose key it is. Only for a key that has just been given a token."""
        self._systems[jkt] = system_id
        self._systems.move_to_end(jkt)
        if len(self._systems) > MOST_BUCKETS:
            self._systems.popitem(last=False)

    def take(self, jkt: str) -> int:
        """Take one request from the bucket of a key's system: how many are left, or -1 for one that was empty."""
        name = self._systems.get(jkt, jkt)
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(self._full, now)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            bucket.level = min(self._full, bucket.level + (now - bucket.at) * self._rate)
            bucket.at = now
            self._buckets.move_to_end(name)
        if bucket.level < 1:
            return -1
        bucket.level -= 1
        return int(bucket.level)

    def fields(self, remaining: int) -> tuple[tuple[bytes, bytes], ...]:
        """Give the `RateLimit` fields of an answer."""
        left = ratelimit.left(NAME, max(remaining, 0), _WINDOW)
        return (b"ratelimit-policy", self.policy.encode()), (b"ratelimit", left.encode())
