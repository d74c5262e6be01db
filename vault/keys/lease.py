"""The lease of whoever writes into a keystore: one owner at a time, for a while, so that a crash ends it too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vault.errors import Conflict
from vault.keys.pagestore import PageStore
from vault.runtime import Clock

SECONDS: Final = 120  # a crash keeps the next process waiting for as long
_RENEWED: Final = 30  # seconds after which a step that works page by page renews it
_COPIED: Final = 200  # pages that even a slow disk copies in a second


class Lease:
    """The lease on one keystore of one `owner`, who takes it again while it works. Renewing is taking it again."""

    def __init__(self, store: PageStore, clock: Clock, owner: str) -> None:
        self._store = store
        self._clock = clock
        self.owner = owner
        self._renew_at = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for a block. Raises Conflict when it is another's."""
        self.take()
        try:
            yield
        finally:
            self._store.drop_lease(self.owner)

    def take(self, seconds: int = SECONDS) -> int:
        """Have it from now on for so long. Returns the time. Raises Conflict."""
        now = self._clock.now()
        if not self._store.take_lease(self.owner, now, now + seconds):
            raise Conflict("another process changes the keystore")
        self._renew_at = now + _RENEWED
        return now

    def copying(self) -> int:
        """Have it for as long as a copy may take to be written or read, which goes without a moment for the lease."""
        return self.take(SECONDS + len(self._store.current()) // _COPIED)

    def renew(self) -> None:
        """Keep it through a step that takes long. Called for each page, so it mostly looks at the clock."""
        if self._clock.now() >= self._renew_at:
            self.take()
