"""Background work of a serving process: each job on its own thread, never in the way of a request."""

import threading
from collections.abc import Callable

from api.observability.events import Event
from api.observability.logs import Log


class Periodic:
    """Runs `work` every `seconds` until closed. A failure is logged by class and tried again at the next turn.

    `last` runs it once more when closed; work that takes long and can wait for the next start goes without.
    """

    def __init__(
        self, seconds: float, work: Callable[[], object], log: Log, failed: Event, *, last: bool = True
    ) -> None:
        self._seconds = seconds
        self._work = work
        self._log = log
        self._failed = failed
        self._last = last
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
            self._once()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self._once()

    def _once(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - a job must not die of one bad turn; the log says that it failed
            self._log.fault(self._failed, error)
