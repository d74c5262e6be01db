"""Background work of a serving process: sign checkpoints (at most a second apart) and clear out what has expired."""

import threading
from collections.abc import Callable

from api.observability.logging import Event, log
from vault.errors import VaultError


class Periodic:
    """Runs `work` every `seconds` on its own thread until closed; a failure is logged by code and tried again."""

    def __init__(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        self._seconds = seconds
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ecrin-{name}", daemon=True)
        self._name = name

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and run the work once more so that nothing committed stays unsigned."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._once()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self._once()

    def _once(self) -> None:
        try:
            self._work()
        except VaultError as error:
            log(Event.JOB_FAILED, job=self._name, code=error.code)
