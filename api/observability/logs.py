"""Structured logs: one JSON object a line, through an allow-list of keys and of characters.

Deny-lists miss. Here a key that is not in `events.KEYS` is dropped and counted, a string that is not made of the
characters our own codes are made of is withheld, and the free text of other libraries is never written: what remains
of a library's message is its logger, its level and the class of the exception it carried.
"""

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import orjson
import structlog

from api.observability.events import KEYS, Event
from vault.runtime import Clock

WITHHELD: Final = "[withheld]"

# Codes, route templates, versions, brands and module places fit. E-mail addresses and international phone numbers
# (`@`, `+`), names with spaces or accents, and long digit strings do not.
_SAFE: Final = re.compile(r"(?!.*[0-9]{7})[A-Za-z0-9_.:/{}\-]{0,128}")
_HEX_ID: Final = re.compile(r"[0-9a-f-]{32,36}")
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NUMBERS: Final = (bool, int, float, type(None))


class Log:
    """Writes events. One per process; `dropped` counts what the allow-list kept out."""

    def __init__(self, clock: Clock, *, level: str = "info", stream: BinaryIO | None = None) -> None:
        self.dropped = 0
        self._clock = clock
        self._threshold = _LEVELS[level]
        self._logger = structlog.wrap_logger(
            structlog.BytesLogger(stream or sys.stderr.buffer),
            processors=[self._stamp, self._admit, _render],
            wrapper_class=structlog.BoundLogger,
            cache_logger_on_first_use=True,
        )

    def debug(self, event: Event, **keys: object) -> None:
        """Write what only helps when looking for a fault."""
        self._write("debug", event, keys)

    def info(self, event: Event, **keys: object) -> None:
        """Write what happened as it should."""
        self._write("info", event, keys)

    def warning(self, event: Event, **keys: object) -> None:
        """Write what an operator should look at."""
        self._write("warning", event, keys)

    def error(self, event: Event, **keys: object) -> None:
        """Write what failed."""
        self._write("error", event, keys)

    def fault(self, event: Event, error: BaseException, **keys: object) -> None:
        """Write an unexpected exception as its class and place; its text and values stay unsaid.

        One that stands for an exception in another process (`stands_for`) is written as that one's class.
        """
        named = getattr(error, "stands_for", "") or type(error).__name__
        self._write("error", event, {**keys, "error": named, "at": place_of(error)})

    def adopt_libraries(self) -> None:
        """Route the standard library's loggers through the allow-list, and turn the server's access log off."""
        root = logging.getLogger()
        root.handlers[:] = [_Libraries(self)]
        root.setLevel(logging.WARNING)
        for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi", "sqlalchemy", "alembic"):
            logger = logging.getLogger(name)
            logger.handlers[:] = []
            logger.propagate = True
        access = logging.getLogger("uvicorn.access")
        access.handlers[:] = []
        access.propagate = False

    def _write(self, level: str, event: Event, keys: MutableMapping[str, object]) -> None:
        if _LEVELS[level] >= self._threshold:
            # Event(...) refuses a name that is not in the vocabulary, whatever the types said.
            self._logger.msg(Event(event).value, level=level, **keys)

    def _stamp(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["time"] = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return line

    def _admit(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        admitted = {key: _clean(key, value) for key, value in line.items() if key in KEYS}
        if lost := len(line) - len(admitted):
            self.dropped += lost
            admitted["dropped"] = lost
        return admitted


class _Libraries(logging.Handler):
    """Says that a library spoke, not what it said."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        say: Callable[..., None] = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            say(Event.LIBRARY, logger=record.name)
        else:
            say(Event.LIBRARY, logger=record.name, error=type(error).__name__, at=place_of(error))


def place_of(error: BaseException) -> str:
    """Name the innermost frame as `module:line`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "unknown" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"


def _clean(key: str, value: object) -> object:
    if isinstance(value, _NUMBERS):
        return value
    text = str(value) if isinstance(value, str) else WITHHELD
    if key == "time" or _SAFE.fullmatch(text) or (key == "request_id" and _HEX_ID.fullmatch(text)):
        return text
    return WITHHELD


def _render(_logger: object, _method: str, line: MutableMapping[str, Any]) -> bytes:
    return orjson.dumps(dict(line))
