"""Takes over what trusted proxies tell of the caller, and keeps who told it: the peer itself.

The server's own middleware replaces the peer's address by the forwarded one. A header that only a proxy may set, the
caller's certificate above all, must be judged by the peer, so the peer is looked at first.
"""

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

STATE = "from_proxy"


class Forwarded:
    """Marks requests whose peer is a trusted proxy, and lets the forwarded address stand for theirs."""

    def __init__(self, app: ASGIApp, proxies: Sequence[str] = ()) -> None:
        self._networks = tuple(ipaddress.ip_network(each) for each in proxies)
        self._app: ASGIApp = ProxyHeadersMiddleware(app, list(proxies)) if proxies else app  # type: ignore[arg-type, assignment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            scope.setdefault("state", {})[STATE] = self._is_proxy(scope.get("client"))
        await self._app(scope, receive, send)

    def _is_proxy(self, client: tuple[str, int] | None) -> bool:
        try:
            address = ipaddress.ip_address("" if client is None else client[0])
        except ValueError:
            return False
        return any(address in network for network in self._networks)
