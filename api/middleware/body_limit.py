"""Refuses bodies that are larger than their route takes, by their announced length or while they stream in.

Bodies that trickle are refused too: what a peer makes us wait, in all, is `PATIENCE` seconds and one more for each
`LEAST_RATE` bytes that came. Only the peer's time counts: while a route works on what it has, nobody is waited for.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, Never

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems

PATIENCE: Final = 30.0
LEAST_RATE: Final = 8192  # bytes a second, of a body that is long
_REFUSALS: Final = {408: "slow_body", 413: "body_too_large"}


class BodyLimit:
    """Limit bodies to `limit` bytes, or to `routes[path]` where a path (exact) has its own limit."""

    def __init__(
        self, app: ASGIApp, limit: int, routes: Mapping[str, int] | None = None, patience: float = PATIENCE
    ) -> None:
        self._app = app
        self._limit = limit
        self._routes = dict(routes or {})
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; answer 413 before the route sees more than the limit, or 408 when no more comes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._routes.get(scope["path"], self._limit)
        if _announced(scope) > limit:
            await _refuse("body_too_large", scope, receive, send)
            return
        body = _Body(receive, limit, self._patience)
        started = False

        async def noticed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if body.refused:
                    # The rest of the body is not worth reading.
                    message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        try:
            await self._app(scope, body.receive, noticed)
        except HTTPException as error:
            if started or error.status_code not in _REFUSALS:
                raise
            await _refuse(_REFUSALS[error.status_code], scope, receive, send)


class _Body:
    """A body on its way in. What is over its limits is refused inside the route that reads.

    The route's handler turns an `HTTPException` into our problem answer, and the framework passes it on untouched where
    other exceptions would become "error parsing the body".
    """

    def __init__(self, receive: Receive, limit: int, patience: float) -> None:
        self._receive, self._limit, self._patience = receive, limit, patience
        self._taken = 0
        self._waited = 0.0
        self._whole = False
        self.refused = False

    async def receive(self) -> Message:
        """Return the next message. Raises `HTTPException`."""
        if self._whole:
            return await self._receive()  # what ends a connection may take its time
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._patience + self._taken / LEAST_RATE - self._waited):
                message = await self._receive()
        except TimeoutError:
            self._refuse(408)
        self._waited += clock() - began
        self._whole = not message.get("more_body", False)
        self._taken += len(message.get("body", b""))
        if self._taken > self._limit:
            self._refuse(413)
        return message

    def _refuse(self, status: int) -> Never:
        self.refused = True
        raise HTTPException(status)


def _announced(scope: Scope) -> int:
    """Read Content-Length; 0 when there is none. The server has already refused a malformed one; so do we."""
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    if not lengths:
        return 0
    # Why isdigit: int() would also read signs, underscores and spaces that a proxy may read differently.
    return int(lengths[0]) if len(lengths) == 1 and lengths[0].isdigit() else 1 << 62


async def _refuse(code: str, scope: Scope, receive: Receive, send: Send) -> None:
    request_id = str(scope.get("state", {}).get("request_id", ""))
    answer = problems.response(code, request_id)
    answer.headers["Connection"] = "close"  # the rest of the body is not worth reading
    await answer(scope, receive, send)
