"""Refuses bodies that are larger than their route takes, by their announced length or while they stream in."""

from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems

_TOO_LARGE: Final = 413


class BodyLimit:
    """Limit bodies to `limit` bytes, or to `routes[path]` where a path (exact) has its own limit."""

    def __init__(self, app: ASGIApp, limit: int, routes: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._limit = limit
        self._routes = dict(routes or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 413 before the route sees more than the limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._routes.get(scope["path"], self._limit)
        if _announced(scope) > limit:
            await _refuse(scope, receive, send)
            return
        started = False
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > limit:
                    # Raised inside the route that reads: its handler turns this into our problem answer, and the
                    # framework passes it on untouched where other exceptions would become "error parsing the body".
                    raise HTTPException(_TOO_LARGE)
            return message

        async def noticed(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, counted, noticed)
        except HTTPException as error:
            if started or error.status_code != _TOO_LARGE:
                raise
            await _refuse(scope, receive, send)


def _announced(scope: Scope) -> int:
    """Read Content-Length; 0 when there is none. The server has already refused a malformed one; so do we."""
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    if not lengths:
        return 0
    # Why isdigit: int() would also read signs, underscores and spaces that a proxy may read differently.
    return int(lengths[0]) if len(lengths) == 1 and lengths[0].isdigit() else 1 << 62


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    request_id = str(scope.get("state", {}).get("request_id", ""))
    answer = problems.response("body_too_large", request_id)
    answer.headers["Connection"] = "close"  # the rest of the body is not worth reading
    await answer(scope, receive, send)
