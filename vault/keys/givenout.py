"""Leaves that are given out, each once: a block of them is set aside on disk, and handed on from memory.

A leaf of a block may be retired before anybody got it: whoever queues all that no row names (`vault.recovery.newer`)
cannot know what a process still holds. So each is looked at once more when it is given out.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from vault.errors import LeavesExhausted, StoreUnavailable
from vault.keys.pagestore import PageStore
from vault.keys.pagetree import slot_number
from vault.keys.service import Slot
from vault.keys.view import View

_BLOCK: Final = 1024  # slots set aside per write to disk; what a crash leaves of a block is never given out
_BLOCK_SHARE: Final = 64  # but at most this part of all slots, so that several processes can share a small tree


class GivenOut:
    """The block of one process. Not thread-safe: the key service holds its lock."""

    def __init__(self, store: PageStore) -> None:
        self._store = store
        self._unused: Sequence[int] = range(0)
        self.block = _BLOCK

    def take(self, view: View, denied: Collection[Slot], count: int) -> list[Slot]:
        """Take `count` slots. Raises LeavesExhausted and takes none when too few are left."""
        taken: dict[int, Slot] = {}
        while (short := count - len(taken)) > 0:
            if not self._unused:
                wanted = max(1, min(self.block, view.total // _BLOCK_SHARE))
                block = self._store.reserve(short, max(short, wanted), view.total)
                if len(block) < short:
                    self._unused = list(taken)
                    raise LeavesExhausted("exhausted")
                self._unused = block
            some, self._unused = self._unused[:short], self._unused[short:]
            for ordinal in some:
                slot = Slot(slot_number(*divmod(ordinal, view.geometry.leaves)), 0)
                if slot not in denied and view.untouched(slot):
                    taken[ordinal] = slot
        return list(taken.values())

    def give_back(self) -> None:
        """Give back the unused of the last block, if the store can be reached; else it is lost."""
        unused, self._unused = self._unused, range(0)
        if isinstance(unused, range) and unused:
            with suppress(StoreUnavailable):
                self._store.give_back(unused)
