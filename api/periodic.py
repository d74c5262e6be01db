"""Background work of a serving process: each job on its own thread, never in the way of a request."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from api.observability.events import Event
from api.observability.logs import Log
from vault.errors import KeyHolderUnavailable, Sealed


class Door(Protocol):
    """What a job that needs keys waits at: `api.sealing.Sealing`."""

    @property
    def open(self) -> bool:
        """Whether work that needs keys is done now."""
        ...


class Periodic:
    """Runs `work` every `seconds` until closed. A failure is logged by class and tried again at the next turn.

    `last` runs it once more when closed; work that takes long and can wait for the next start goes without. Behind a
    `door` a job rests while that is shut, and says nothing of a door that shuts under it: that is told there.
    """

    def __init__(
        self,
        seconds: float,
        work: Callable[[], object],
        log: Log,
        failed: Event,
        *,
        last: bool = True,
        door: Door | None = None,
    ) -> None:
        self._seconds = seconds
        self._work = work
        self._log = log
        self._failed = failed
        self._last = last
        self._door = door
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ecrin-periodic", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop, then run the work once more if it asked for that, so that nothing committed before stays undone."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._last:
            self.turn()

    def turn(self) -> None:
        """Run the work now, unless its door is shut."""
        try:
            if self._door is None:
                self._work()
            elif self._door.open:
                with suppress(Sealed, KeyHolderUnavailable):
                    self._work()
        except Exception as error:  # noqa: BLE001 - a job must not die of one bad turn; the log says that it failed
            self._log.fault(self._failed, error)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self.turn()
