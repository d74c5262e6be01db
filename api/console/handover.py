"""Handing a package over: as a link that is good once, or as a file that only the person's own key opens.

An officer never gets a package that they could read themselves by accident: what leaves here is a secret to pass on, or
is sealed. Both are steps on record, and the making of the package is an entry of its own (`subject.exported`).
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response

from api.console.visit import Visit
from api.packages import sealed
from api.packages.handing import file_of
from api.pages import render
from policies.rights import Right
from vault.errors import IntegrityFailure
from vault.requests import delivering, handling
from vault.requests.records import Request
from vault.requests.states import State
from vault.requests.steps import By

_READY: Final = frozenset({State.READY, State.DELIVERED})
_WITH_PACKAGE: Final = frozenset({Right.ACCESS, Right.PORTABILITY})


def possible(request: Request) -> bool:
    """Tell whether there is a package to hand over now."""
    return request.state in _READY and request.right in _WITH_PACKAGE


def link(visit: Visit, request: Request, by: By) -> str:
    """Make the address at which the package is taken, once and within a week. Earlier ones are void."""
    return f"{visit.services.settings.portal_url}/package#{delivering.link(visit.vault, request.id, by)}"


def file(visit: Visit, request: Request, by: By) -> Response | None:
    """Hand out the package sealed to the key that was pasted, else to the one in the request; None without a good one."""
    try:
        pasted = visit.form.get("key", "").strip()
        key = _pasted(pasted) if pasted else _written(visit, request, by)
        sealed.check(key)
    except (sealed.InvalidKey, ValueError):
        return None
    gathered, _ = delivering.hand_over(visit.vault, request.id, by)
    return render.download(*file_of(visit.vault, gathered, key))


def _pasted(text: str) -> Mapping[str, Any]:
    """Read a key as a person sends it. Raises `ValueError`."""
    found = orjson.loads(text)
    return found if isinstance(found, dict) else {}


def _written(visit: Visit, request: Request, by: By) -> Mapping[str, Any]:
    """Open what the person wrote, on record, for the key in it."""
    if not request.has_content:
        return {}
    try:
        _, content = handling.view(visit.vault, request.id, by)
    except IntegrityFailure:
        return {}
    return content.key
