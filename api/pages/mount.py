"""Pages beside the API: loaded when the first one is asked for, so that a process that serves none pays nothing.

Templates, languages and WebAuthn cost 9 MB (docs/performance.md); brands' systems never meet them.
"""

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Final

import anyio.to_thread
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import Problem

UPLOADS: Final = "/console/policy/propose"
"""The one page whose form has a file in it."""
MOST_DRAINED: Final = 32 << 20
"""Bytes that it reads to their end to say on a page that they are too many; it keeps none of them."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST"})


class Pages(BaseRoute):
    """All paths at and below `prefix`, answered by the application that `module`'s `site()` makes."""

    def __init__(self, prefix: str, module: str) -> None:
        self.prefix = prefix
        self.path = prefix  # what the access log says until a page is found
        self._module = module
        self._site: ASGIApp | None = None
        self._lock = threading.Lock()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for these pages."""
        path = scope["path"]
        if scope["type"] == "http" and (path == self.prefix or path.startswith(f"{self.prefix}/")):
            return Match.FULL, {"route": self}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] not in _METHODS:
            raise Problem("method_not_allowed")
        site = self._site
        if site is None:
            site = await anyio.to_thread.run_sync(self._load)
        await site(scope, receive, send)

    def _load(self) -> ASGIApp:
        with self._lock:
            if self._site is None:
                make: Callable[[], ASGIApp] = import_module(self._module).site
                self._site = make()
            return self._site
