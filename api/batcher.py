"""Collect what is waiting and run it in one transaction on the process's one database thread (design §4).

Requests arrive on the event loop; each becomes an item for a batch function of the vault. The database thread takes
everything that is waiting, runs it in one unit of work (one commit, one key-service call per kind) and hands the
answers back in one hop. While it waits for the disk it holds no interpreter lock, so the loop goes on parsing and
checking proofs. There is no timer: a lone request is a batch of one and waits for nobody.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vault.errors import Overloaded, StoreUnavailable, VaultError
from vault.unit import Batch, Commit, UnitOfWork, Vault, execute

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One item, the batch function it is for, and whoever waits for it."""

    batch: Batch[Any, Any]
    item: Any
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


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
    """Owns the database thread. `submit` is the only way in from the event loop."""

    def __init__(self, vault: Vault, *, most_in_batch: int, most_waiting: int) -> None:
        self._vault = vault
        self._most_in_batch = most_in_batch
        self._most_waiting = most_waiting
        self._waiting = 0
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ecrin-database", daemon=True)
        self._closed = False

    def start(self) -> None:
        """Start the database thread."""
        self._thread.start()

    def close(self) -> None:
        """Finish what is waiting, then stop. Later submissions fail as unavailable."""
        self._closed = True
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
            self._queue.put(_Waiting(batch, item, future, loop))
            return await future
        finally:
            self._waiting -= 1

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            taken = [first]
            stopping = False
            while len(taken) < self._most_in_batch:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stopping = True
                    break
                taken.append(following)
            self._serve(taken)
            if stopping:
                return

    def _serve(self, taken: Sequence[_Waiting]) -> None:
        items = [(waiting.batch, waiting.item) for waiting in taken]
        try:
            results: Sequence[Any] = execute(self._vault, mixed, items)
        except VaultError as error:
            results = [error] * len(taken)
        except Exception as error:  # noqa: BLE001 - the thread must outlive any defect; the loop reports it as a bare 500
            results = [error] * len(taken)
        taken[0].loop.call_soon_threadsafe(_deliver, taken, results)


def _deliver(taken: Sequence[_Waiting], results: Sequence[Any]) -> None:
    for waiting, result in zip(taken, results, strict=True):
        if waiting.future.done():  # the caller hung up; its act and entry stand
            continue
        if isinstance(result, Exception):
            waiting.future.set_exception(result)
        else:
            waiting.future.set_result(result)
