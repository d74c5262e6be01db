"""The counter: whoever holds a link takes their package here, once.

The link's secret stands behind its `#`, which no browser sends: it is in no log, no history of a proxy and no referrer.
Opening the page gives nothing out, so that a mail program that looks at links ahead of its reader uses none up; the form
does, which the page's script fills in, or the reader's hand. Whatever is wrong with a secret is answered alike, and is an
entry of the log.
"""

from types import SimpleNamespace
from typing import Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.console.attempts import MOST_TRIES, Attempts
from api.packages.handing import file_of
from api.packages.sealed import InvalidKey
from api.pages import choosing, forms, render
from api.pages.language import LANGUAGES
from api.problems import KINDS, Problem, request_id_of
from api.services import Services, services_of
from api.trail import tells
from audit.entry import UNKNOWN, Act, Entry, Outcome
from vault.errors import Conflict, IntegrityFailure, KeyHolderUnavailable, Refused, Sealed, UnknownRequest
from vault.requests import delivering
from vault.requests.states import IllegalMove

PREFIX: Final = "/package"
STATIC: Final = f"{PREFIX}/static/"

# The person was erased or the request ended since the link was made: for who asks now that is no link either.
_NO_LINK: Final = (Refused, IllegalMove, UnknownRequest, Conflict, IntegrityFailure, InvalidKey)


class Site:
    """Answers everything at and below /package."""

    def __init__(self) -> None:
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request, path = Request(scope, receive), scope["path"]
        known = path in {PREFIX, f"{PREFIX}/language"}
        scope["route"] = SimpleNamespace(path=path if known else f"{PREFIX}/*")
        if path.startswith(STATIC):
            answer = render.file(path.removeprefix(STATIC))
            if answer is None or scope["method"] == "POST":
                raise Problem("not_found")
        elif path == f"{PREFIX}/language":
            answer = choosing.choose(request, PREFIX)
        elif path == PREFIX:
            answer = await self._answer(request)
        else:
            raise Problem("not_found")
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return _page(request)
        try:
            return await self._given(request)
        except (Problem, forms.FormRefused, Sealed, KeyHolderUnavailable) as error:
            status = 403 if isinstance(error, forms.FormRefused) else KINDS[error.code].status
            return _page(request, status, failed=error.code)

    async def _given(self, request: Request) -> Response:
        services = services_of(request)
        if not forms.is_ours(request, services.settings.portal_url):
            raise forms.FormRefused("foreign_form")
        code = "".join((await forms.read(request)).get("code", "").split())
        address = "" if request.client is None else request.client.host
        if not self._attempts.admit("try", address, services.vault.clock.now(), MOST_TRIES):
            await anyio.to_thread.run_sync(_turned_away, services, address, "auth.too_many")
            raise Problem("too_many_requests")
        return await anyio.to_thread.run_sync(_take, request, services, code, address)


def site() -> Site:
    """Make the counter."""
    return Site()


def _take(request: Request, services: Services, code: str, address: str) -> Response:
    try:
        gathered, written = delivering.fetch(services.vault, code)
        return render.download(*file_of(services.vault, gathered, written.key))
    except _NO_LINK:
        _turned_away(services, address, "auth.link")
        return _page(request, 403, failed="link_refused")


def _turned_away(services: Services, address: str, why: str) -> None:
    """Record that somebody came with no link, or count it where there were many. Never what was typed."""
    entry = Entry(Act.AUTH_FAILED, Outcome.DENY, UNKNOWN, pol=(why,))
    with services.vault.unit() as uow:
        if tells(uow, address, entry):
            uow.record(entry)
        uow.commit()


def _page(request: Request, status: int = 200, *, failed: str = "") -> Response:
    content = {"failed": failed, "languages": LANGUAGES, "request_id": request_id_of(request)}
    return render.page("counter.html", choosing.tag_of(request), content, status)
