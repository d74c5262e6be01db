"""Collect what is waiting and run it in one transaction on the process's one database thread (design §4).

Requests arrive on the event loop; each becomes an item for a batch function of the vault. The database thread takes
what has gathered, runs it in one unit of work (one commit, one key-service call per kind) and hands the answers back in
one hop. While it waits for the disk it holds no interpreter lock, so the loop goes on parsing and checking proofs.

A batch sets off when the loop has turned four times without bringing another item, or when it is full. There is no timer: the
loop turns as fast as it has work, so a lone request waits for four empty turns, some 50 µs, and for nobody. Setting off
with the first item instead made batches half as large under load, and a unit of work costs as much as two disclosures.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from vault.errors import Overloaded, StoreUnavailable, VaultError
from vault.unit import Batch, Commit, UnitOfWork, Vault, execute

T = TypeVar("T")
R = TypeVar("R")


_QUIET_TURNS: Final = 4  # of the loop: one to read what has arrived, one to run what that woke, and as many again
_MOST_TURNS: Final = 64  # a loop that is never quiet must not hold a batch back for ever


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One item, the batch function it is for, and whoever waits for it."""

    batch: Batch[Any, Any]
    item: Any = field(repr=False)
    future: asyncio.Future[Any]


_Taken = tuple[asyncio.AbstractEventLoop, list[_Waiting]]


def mixed(uow: UnitOfWork, items: Sequence[tuple[Batch[Any, Any], Any]]) -> Callable[[Commit], list[Any]]:
    """Run items of several kinds in one unit: each kind's batch function sees its own items, once, in order."""
    kinds: dict[Batch[Any, Any], list[int]] = {}
    for position, (batch, _) in enumerate(items):
        kinds.setdefault(batch, []).append(position)
    finishes = [(positions, batch(uow, [items[p][1] for p in positions])) for batch, positions in kinds.items()]

    def finish(commit: Commit) -> list[Any]:
        results: list[Any] = [None] * len(items)
        for positions, finish_kind in finishes:
            for position, result in zip(positions, finish_kind(commit), strict=True):
                results[position] = result
        return results

    return finish


class Batcher:
    """Owns the database thread. `submit` is the only way in, from one event loop."""

    def __init__(self, vault: Vault, *, most_in_batch: int, most_waiting: int) -> None:
        self._vault = vault
        self._most_in_batch = most_in_batch
        self._most_waiting = most_waiting
        self._waiting = 0
        self._gathered: list[_Waiting] = []  # the loop's own
        self._away = False  # a batch is with the database thread, or the loop is turning for the next
        self._queue: queue.SimpleQueue[_Taken | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ecrin-database", daemon=True)
        self._closed = False

    def start(self) -> None:
        """Start the database thread."""
        self._thread.start()

    def close(self) -> None:
        """Finish what is waiting, then stop. Later submissions fail as unavailable."""
        self._closed = True
        while self._gathered:
            self._send(self._gathered[0].future.get_loop())
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    async def submit(self, batch: Batch[T, R], item: T) -> R:
        """Run `item` with whatever else is waiting; return its result or raise its `VaultError`.

        Raises `Overloaded` at once when too much is waiting already, so that a burst costs answers, not memory.
        """
        if self._closed:
            raise StoreUnavailable
        if self._waiting >= self._most_waiting:
            raise Overloaded
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting += 1
        try:
            self._gathered.append(_Waiting(batch, item, future))
            if not self._away:
                self._away = True
                loop.call_soon(self._gather, loop, 0, 0, 0)
            return await future
        finally:
            self._waiting -= 1

    def _gather(self, loop: asyncio.AbstractEventLoop, seen: int, quiet: int, turns: int) -> None:
        count = len(self._gathered)
        quiet = quiet + 1 if count == seen else 0
        if quiet < _QUIET_TURNS and count < self._most_in_batch and turns < _MOST_TURNS:
            loop.call_soon(self._gather, loop, count, quiet, turns + 1)
        elif count:
            self._send(loop)
        else:  # `close` has sent it
            self._away = False

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        taken, self._gathered = self._gathered[: self._most_in_batch], self._gathered[self._most_in_batch :]
        self._queue.put((loop, taken))

    def _returned(self, loop: asyncio.AbstractEventLoop, taken: Sequence[_Waiting], results: Sequence[Any]) -> None:
        _deliver(taken, results)
        self._away = bool(self._gathered)
        if self._away:
            loop.call_soon(self._gather, loop, 0, 0, 0)

    def _run(self) -> None:
        while (sent := self._queue.get()) is not None:
            loop, taken = sent
            items = [(waiting.batch, waiting.item) for waiting in taken]
            try:
                results: Sequence[Any] = execute(self._vault, mixed, items)
            except VaultError as error:
                results = [error] * len(taken)
            except Exception as error:  # noqa: BLE001 - the thread must outlive any defect; the loop reports a bare 500
                results = [error] * len(taken)
            loop.call_soon_threadsafe(self._returned, loop, taken, results)


def _deliver(taken: Sequence[_Waiting], results: Sequence[Any]) -> None:
    for waiting, result in zip(taken, results, strict=True):
        if waiting.future.done():  # the caller hung up; its act and entry stand
            continue
        if isinstance(result, Exception):
            waiting.future.set_exception(result)
        else:
            waiting.future.set_result(result)
