"""How much of a request's head we listen to, and how long.

The server below us reads heads, chunk extensions and trailers of any size, and waits for their ends for ever.
A stranger needs no token for that, and nothing of ours has seen the request by then: no body limit and no rate counts it.
"""

from asyncio import BaseTransport, TimerHandle
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD: Final = 32 * 1024  # bytes of address and fields; a proof, a token and a certificate in a header are 12 kB
HEAD_SECONDS: Final = 20.0  # from the connection, or from its first byte, to the end of a head
GRACE_SECONDS: Final = 10  # for requests under way when a stop is asked for
REST_SECONDS: Final = 20.0  # from an answer that did not wait for the body to that body's end


class BoundedHttp(HttpToolsProtocol):
    """One connection: httptools' parser under uvicorn, with an end to what it takes in before anybody counts."""

    head_seconds = HEAD_SECONDS
    rest_seconds = REST_SECONDS

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._taken = 0  # bytes of this request's address and fields, trailers among them
        self._silent = 0  # bytes since the parser last gave us anything: it keeps what is unfinished
        self._begun = False  # a request whose end has not come yet
        self._late: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to wait for the first head."""
        super().connection_made(cast("Any", transport))
        self._wait(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._waited()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; refuse what goes on for too long without becoming anything."""
        self._silent += len(data)
        super().data_received(data)
        if self._silent > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._taken = self._silent = 0
        self._begun = True
        self._wait(self.head_seconds)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address in."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field in, of the head or of the trailer."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the wait."""
        self._waited()
        self._silent = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body in: from here on the limits of bodies count (`api.middleware.body_limit`)."""
        self._silent = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._waited()
        self._silent = 0
        self._begun = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give the rest of a body that nobody waited for an end: the server below takes it in for ever."""
        super().on_response_complete()
        if self._begun and self.cycle.response_complete:
            self._wait(self.rest_seconds)

    def _count(self, size: int) -> None:
        self._silent = 0
        self._taken += size
        if self._taken > MOST_HEAD:
            raise ValueError("head")  # the parser stops, and the server answers 400 and hangs up

    def _wait(self, seconds: float) -> None:
        if self._late is None:
            self._late = self.loop.call_later(seconds, self._hang_up)

    def _waited(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        self._late = None
        self.transport.close()
