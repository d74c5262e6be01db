"""Logs each request by its route template, and stops every exception before it reaches a traceback printer.

This is the outermost layer. Whatever escapes the application is answered with a bare 500 and logged as an exception
class and a place in our code: the server below would print the whole chain, and with it whatever values it holds.
"""

from time import perf_counter
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.observability.events import Event
from api.observability.logs import Log

_UNMATCHED: Final = "unmatched"  # a path that fits no route is the caller's text: it is not logged
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HUNG_UP: Final = 499  # in the log alone, where other servers write the same
_QUIET: Final = frozenset({"/healthz", "/readyz"})


class AccessLog:
    """Write one `http.request` line per request: method, route template, status, milliseconds, request id."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; nothing propagates but what ends the process."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = perf_counter()
        status = 0

        async def noticed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except ClientDisconnect:
            status = status or _HUNG_UP  # nobody is left to answer, and it is no fault of ours
        except Exception as error:  # noqa: BLE001 - see the module docstring
            self._log.fault(Event.FAULT, error, route=_route(scope), request_id=_request_id(scope))
            if status:
                # Part of an answer is out and cannot be unsaid: dropping the connection makes it visibly incomplete.
                raise ConnectionResetError from None
            await problems.response("internal_error", _request_id(scope))(scope, receive, noticed)
        finally:
            self._line(scope, status, begun)

    def _line(self, scope: Scope, status: int, begun: float) -> None:
        route = _route(scope)
        write = self._log.debug if route in _QUIET else self._log.info
        write(
            Event.REQUEST,
            method=scope["method"] if scope["method"] in _METHODS else "OTHER",
            route=route,
            status=status,
            ms=round((perf_counter() - begun) * 1000, 1),
            request_id=_request_id(scope),
            system=scope.get("state", {}).get("system_id"),
        )


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", _UNMATCHED))


def _request_id(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", ""))
