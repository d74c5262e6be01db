"""Where events go: standard output, a file, an HTTPS receiver, a syslog receiver over TLS.

A sink takes a whole batch or raises `Undelivered`; then the same batch comes again. So what a receiver gets is at least
once, and it drops what it has by the event's id.
"""

import os
import socket
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self
from urllib.parse import urlsplit

import httpx2

from api.eventpush import address_fault
from api.siem.shapes import Shape
from audit.siem.event import Event

SECONDS: Final = 10.0  # that a receiver may take for a batch
SYSLOG_TLS: Final = "syslog+tls"
_PORT: Final = 6514  # RFC 5425
_AUDIT: Final = 13  # the facility "log audit" (RFC 5424 §6.2.1)
_SYSLOG: Final = {1: 6, 2: 5, 3: 4, 4: 2}  # our severities as those of syslog


class Undelivered(Exception):
    """The receiver did not take the batch; the message is a code, never what the receiver said."""


class Sink(Protocol):
    """Takes batches of events."""

    kind: str

    def send(self, shape: Shape, events: Sequence[Event]) -> None:
        """Hand a batch over; return when it was taken. Raises `Undelivered`."""
        ...

    def __enter__(self) -> Self:
        """Open nothing yet."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open."""
        ...


class _Closing:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close nothing."""


class StreamSink(_Closing):
    """Standard output, or a file that is appended to and flushed to disk with each batch."""

    def __init__(self, path: Path | None) -> None:
        self.kind = "stdout" if path is None else "file"
        self._path = path
        self._file: BinaryIO | None = sys.stdout.buffer if path is None else None

    def send(self, shape: Shape, events: Sequence[Event]) -> None:
        """Append the batch, a line an event."""
        try:
            if self._file is None and self._path is not None:
                self._file = self._path.open("ab")
            if self._file is not None:
                self._file.write(b"".join(shape.line(each) + b"\n" for each in events))
                self._file.flush()
                if self._path is not None:
                    os.fsync(self._file.fileno())
        except OSError:
            raise Undelivered("file") from None

    def close(self) -> None:
        """Close the file."""
        if self._path is not None and self._file is not None:
            self._file.close()


class HttpSink(_Closing):
    """Posts each batch as one body; taken when the answer is of the 200s. Follows no redirect, reads no answer."""

    kind = "https"

    def __init__(self, url: str, token: str = "", certificates: Path | None = None) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        verify = True if certificates is None else ssl.create_default_context(cafile=str(certificates))
        self._http = httpx2.Client(verify=verify, follow_redirects=False, trust_env=False, timeout=SECONDS)

    def send(self, shape: Shape, events: Sequence[Event]) -> None:
        """Post the batch."""
        headers = self._headers | {"Content-Type": shape.media}
        try:
            with self._http.stream("POST", self._url, content=shape.batch(events), headers=headers) as answer:
                status = answer.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise Undelivered("unreachable") from None
        if not 200 <= status < 300:  # noqa: PLR2004
            raise Undelivered(f"http_{status}")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class SyslogSink(_Closing):
    """Syslog over TLS (RFC 5425, RFC 5424). The protocol has no acknowledgement: taken means written to the connection."""

    kind = "syslog"

    def __init__(self, host: str, port: int, name: str, certificates: Path | None = None) -> None:
        self._address = (host, port)
        self._name = name
        self._context = ssl.create_default_context(cafile=None if certificates is None else str(certificates))
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._connection: ssl.SSLSocket | None = None

    def send(self, shape: Shape, events: Sequence[Event]) -> None:
        """Write a frame for each event."""
        frames = [self._frame(shape, each) for each in events]
        try:
            if self._connection is None:
                plain = socket.create_connection(self._address, SECONDS)
                self._connection = self._context.wrap_socket(plain, server_hostname=self._address[0])
            self._connection.sendall(b"".join(b"%d %b" % (len(frame), frame) for frame in frames))
        except OSError:  # of the socket and of TLS alike
            self.close()
            raise Undelivered("unreachable") from None

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _frame(self, shape: Shape, event: Event) -> bytes:
        priority = _AUDIT * 8 + _SYSLOG[event.severity]
        head = f"<{priority}>1 {event.content['t']} {self._name} ecrin - {event.code} - "
        return head.encode() + shape.line(event)


def sink_of(target: str, name: str, token: str = "", certificates: Path | None = None) -> Sink | str:
    """Return the sink that a target names, or what is wrong with the target. `name` is the log's, for syslog's host."""
    if target == "-":
        return StreamSink(None)
    if target.startswith(f"{SYSLOG_TLS}://"):
        try:
            parts = urlsplit(target)
            host, port = parts.hostname or "", parts.port or _PORT
        except ValueError:
            return "not an address"
        if not host or parts.path or parts.query or parts.username is not None:
            return f"write {SYSLOG_TLS}://host:port"
        return SyslogSink(host, port, name.replace("/", "."), certificates)
    if "://" in target:
        fault = address_fault(target)
        return HttpSink(target, token, certificates) if fault is None else fault
    return StreamSink(Path(target))
