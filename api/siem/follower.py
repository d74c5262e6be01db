"""Follows the committed log and tells it, batch by batch; nothing of it runs where requests are served.

A batch is read in one short snapshot, handed over with no transaction open, and only then is the cursor moved. A receiver
that is slow or away holds up this process and nobody else: requests neither wait for it nor know of it.
"""

import threading
from typing import Final

from api.observability.events import Event
from api.observability.logs import Log
from api.siem.cursor import Cursor
from api.siem.shapes import Shape
from api.siem.sinks import Sink, Undelivered
from audit.siem.event import event_of
from vault import evidence
from vault.errors import StoreUnavailable
from vault.unit import Vault

BATCH: Final = 500
LOOK_SECONDS: Final = 1.0
LONGEST_PAUSE: Final = 60.0


class Broken(Exception):
    """What is to be told is not there: the log is shorter than what was told, or has a gap. Somebody has to look."""


class Follower:
    """Tells one log to one sink."""

    def __init__(self, vault: Vault, cursor: Cursor, shape: Shape, sink: Sink, log: Log) -> None:
        self._vault = vault
        self._cursor = cursor
        self._shape = shape
        self._sink = sink
        self._log = log

    def turn(self) -> int:
        """Tell the next batch and return how many entries it had. Raises `Undelivered`, `Broken`, `StoreUnavailable`."""
        origin = self._vault.origin
        start = self._cursor.next(origin)
        if start is None:  # nothing was told yet: all there is, which begins where the log was pruned to
            start = evidence.kept_from(self._vault)
        size, records = evidence.committed(self._vault, start, BATCH)
        if size < start:
            raise Broken(f"the log has {size} entries and {start} were told")
        if size > start and (not records or records[0].idx != start):
            raise Broken(f"entry {start} is not there any more: it was pruned before it was told, or cut out")
        if not records:
            return 0
        self._sink.send(self._shape, [event_of(origin, each) for each in records])
        self._cursor.move(origin, records[-1].idx + 1)
        return len(records)

    def drain(self) -> int:
        """Tell all there is now and return how much that was."""
        told = 0
        while count := self.turn():
            told += count
        return told

    def follow(self, stop: threading.Event) -> None:
        """Tell what is new until stopped; where it fails, try again after a pause that grows to a minute."""
        pause = LOOK_SECONDS
        while not stop.is_set():
            try:
                told = self.turn()
            except (Undelivered, StoreUnavailable) as failed:
                self._log.warning(Event.SIEM_UNDELIVERED, code=_code(failed))
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = LOOK_SECONDS
            if not told:
                stop.wait(LOOK_SECONDS)


def _code(failed: Exception) -> str:
    return failed.code if isinstance(failed, StoreUnavailable) else str(failed)
