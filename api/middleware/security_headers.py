"""Adds the headers that keep answers out of caches, frames, referrers and guesses about their type.

What is left of the caller's rate goes with every answer to it (`api.rates`).

The service answers JSON and plain text, so the content policy allows nothing at all. Pages that need more (the
officers' console) bring their own policy: a header the route has set itself is never overwritten.
"""

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_TWO_YEARS: Final = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
_NO_STORE: Final = (b"cache-control", b"no-store")
_PERSONAL: Final = ("/v1/", "/oauth/")  # everything below may concern a person or hold a token

Header = tuple[bytes, bytes]


class SecurityHeaders:
    """Set the headers on every answer. `secure` tells whether callers reach us by https (HSTS is void without)."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._common: Sequence[Header] = (*_ALWAYS, _TWO_YEARS) if secure else _ALWAYS
        self._personal: Sequence[Header] = (*self._common, _NO_STORE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = self._personal if scope["path"].startswith(_PERSONAL) else self._common

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = list(message.get("headers", ()))
                names = {name.lower() for name, _ in present}
                added = [header for header in wanted if header[0] not in names]
                rate: Sequence[Header] = scope.get("state", {}).get("rate_limit", ())
                added += [header for header in rate if header[0] not in names]
                message = {**message, "headers": present + added}
            await send(message)

        await self._app(scope, receive, guarded)
