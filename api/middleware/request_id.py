"""Gives each request an id: in `request.state.request_id`, in the `X-Request-Id` answer header, in logs and problems."""

import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vault.runtime import Entropy

HEADER: Final = b"x-request-id"
_ID_BYTES: Final = 16

# Why only this shape: an inbound id is repeated in logs and answers, so it must be unable to carry a name or a number
# that means somebody. A trace id (32 hexadecimal digits) or a UUID fits, nothing else does.
_INBOUND: Final = re.compile(rb"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class RequestId:
    """Take over a well-formed inbound id, or draw 128 random bits."""

    def __init__(self, app: ASGIApp, entropy: Entropy) -> None:
        self._app = app
        self._entropy = entropy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == HEADER]
        # More than one is nobody's id.
        inbound = given[0] if len(given) == 1 and _INBOUND.fullmatch(given[0]) else None
        identifier = inbound or self._entropy.bytes(_ID_BYTES).hex().encode("ascii")
        scope.setdefault("state", {})["request_id"] = identifier.decode("ascii")

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, identifier)]}
            await send(message)

        await self._app(scope, receive, stamped)
