"""Answers each application under its own host alone, where the deployment gives them hosts of their own.

A browser keeps apart what has different hosts and nothing else: cookies know no paths and no ports. So what a page of
the portal could be made to do stops at the portal (OWASP ASVS 5.0, 3.5.4). Nothing is ever built from what a caller says
the host is; it only decides what is not answered.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from api import problems
from api.settings import Settings

_HOST: Final = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")  # nobody's name and password before it
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PROBES: Final = frozenset(
    {"/healthz", "/readyz"}
)  # asked by address, from where no name of ours leads to this process


class Application(StrEnum):
    """What has a host of its own."""

    API = "api"
    CONSOLE = "console"
    PORTAL = "portal"


_PAGES: Final = {"/console": Application.CONSOLE, "/me": Application.PORTAL, "/package": Application.PORTAL}
"""First part of a path, and whose it is; a package is taken by the person it is about. All else is the API's."""

Served = Mapping[str, frozenset[Application]]


def hosts_of(settings: Settings) -> Served:
    """Return what is answered under which host; empty where all is one host, which is then not looked at.

    An issuer of another name publishes its metadata there (RFC 8414 §3), so the API answers under that name as well.
    """
    own = (
        (_name_in(settings.public_url), Application.API),
        (_name_in(settings.console_url), Application.CONSOLE),
        (_name_in(settings.portal_url), Application.PORTAL),
    )
    if len({name for name, _ in own}) == 1:
        return {}
    found: dict[str, frozenset[Application]] = {}
    for name, application in (*own, (_name_in(settings.issuer), Application.API)):
        found[name] = found.get(name, frozenset()) | {application}
    return found


class Hosts:
    """404 for a path of another host, 421 (RFC 9110 §15.5.20) for a host that is none of ours. `served`: `hosts_of`."""

    def __init__(self, app: ASGIApp, served: Served) -> None:
        self._app = app
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        here = self._served.get(_asked(scope))
        if here is not None and application_of(scope["path"]) in here:
            await self._app(scope, receive, send)
            return
        code = "misdirected" if here is None else "not_found"
        await problems.response(code, str(scope.get("state", {}).get("request_id", "")))(scope, receive, send)


def application_of(path: str) -> Application:
    """Tell whose a path is."""
    return _PAGES.get("/" + path[1:].partition("/")[0], Application.API)


def _asked(scope: Scope) -> str:
    """Return the host a request names, in lower case and without its port; empty where it names none or several."""
    given = [value for name, value in scope["headers"] if name == b"host"]
    found = _HOST.fullmatch(given[0].decode("latin-1").lower()) if len(given) == 1 else None
    return "" if found is None else _one_name(found[1].strip("[]"))


def _name_in(url: str) -> str:
    return _one_name(urlsplit(url).hostname or "")


def _one_name(host: str) -> str:
    """Take the names of this machine for one: by default systems are told its address and browsers its name."""
    return "localhost" if host in _LOOPBACK else host
