"""The portal: a person comes with a code that was sent to an address on file, and sees and decides about themselves.

Nothing is told to whom no code was sent, and a code is "sent" to everybody in the same words and the same time. Looks at
the person's own lines, and each change, are entries under the person's pseudonym.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.console.attempts import MOST_ACTS, MOST_DOORS, MOST_TRIES, Attempts
from api.pages import choosing, cookies, forms, render
from api.portal import asking, deciding, door, held, looked, proof, requests, sessions
from api.portal.call import PREFIX, Call
from api.problems import KINDS, Problem
from api.services import services_of
from policies.errors import PolicyError
from policies.rights import Right
from vault.errors import SessionOver, VaultError
from vault.signin import visitors
from vault.signin.visitors import TOKEN_BYTES, Stage, Visitor

COOKIE: Final = f"{cookies.PREFIX}portal"
STATIC: Final = f"{PREFIX}/static/"

Handler = Callable[[Call], Response]

_INSIDE: Final = frozenset({Stage.OPEN})
_ANYBODY: Final = frozenset(Stage)

# Path -> the stages that may open it, and who answers GET and POST.
ROUTES: Final[Mapping[str, tuple[frozenset[Stage], Handler | None, Handler | None]]] = {
    "/sign-in": (frozenset({Stage.DOOR, Stage.ASKED}), door.sign_in_page, door.sign_in),
    "/code": (frozenset({Stage.ASKED}), door.code_page, door.code),
    "": (_INSIDE, door.home, None),
    "/held": (_INSIDE, held.held_page, held.held),
    "/looks": (_INSIDE, looked.looks_page, None),
    "/consents": (_INSIDE, deciding.consents_page, deciding.consents),
    "/preferences": (_INSIDE, deciding.preferences_page, deciding.preferences),
    "/preferences/silence": (_INSIDE, None, deciding.silence),
    "/preferences/advisor": (_INSIDE, None, deciding.advisor),
    "/requests": (_INSIDE, requests.requests_page, None),
    "/requests/withdraw": (_INSIDE, None, requests.withdraw),
    "/requests/confirm": (_INSIDE, None, requests.confirm),
    "/requests/disown": (_INSIDE, None, requests.disown),
    "/answer": (_INSIDE, None, requests.answer),
    "/package": (_INSIDE, None, requests.package),
    "/certificate": (_INSIDE, None, requests.certificate),
    "/erased": (_ANYBODY, requests.erased_page, requests.erased),
    "/receipts": (_INSIDE, proof.receipts_page, proof.receipt),
    "/proof": (_INSIDE, proof.proof_page, proof.proof),
    "/sessions": (_INSIDE, sessions.page, sessions.end),
    "/sign-out": (_INSIDE, None, door.sign_out),
} | {
    f"/ask/{right}": (_INSIDE, partial(asking.ask_page, right=right), partial(asking.ask, right=right))
    for right in Right
}


_COUNTED: Final = frozenset({"/looks", "/receipts", "/preferences"})  # pages that walk the log, or open values


class Site:
    """Answers everything at and below /me."""

    def __init__(self) -> None:
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request, path = Request(scope, receive), scope["path"]
        name = path.removeprefix(PREFIX)
        known = name in ROUTES or name == "/language"
        scope["route"] = SimpleNamespace(path=path if known else f"{PREFIX}/*")
        if path.startswith(STATIC):
            answer = render.file(path.removeprefix(STATIC))
            if answer is None:
                raise Problem("not_found")
        elif name == "/language":
            answer = choosing.choose(request, PREFIX)
        else:
            answer = await self._answer(request, name)
        await answer(scope, receive, send)

    async def _answer(self, request: Request, name: str) -> Response:
        services = services_of(request)
        given = cookies.token(request, COOKIE, TOKEN_BYTES)
        found = None if given is None else await anyio.to_thread.run_sync(visitors.find, services.vault, given)
        nobody = Visitor(b"", Stage.DOOR, "", "")
        call = Call(request, services, found or nobody, choosing.tag_of(request), self._admit)
        try:
            answer = await self._pass(call, name, found)
        except SessionOver as error:
            # Of somebody who was erased meanwhile the session goes as well; who only comes back too late, comes in anew.
            if found is not None and found.stage is Stage.OPEN:
                await anyio.to_thread.run_sync(door.end, call)
            call.visitor = nobody
            answer = render.elsewhere(f"{PREFIX}/sign-in")
            if request.method == "POST":
                answer = call.page("me_failed.html", 403, code=error.code)
        except (Problem, forms.FormRefused, VaultError, PolicyError) as error:
            status = (
                403
                if isinstance(error, forms.FormRefused)
                else KINDS[error.code].status
                if error.code in KINDS
                else 422
            )
            answer = call.page("me_failed.html", status, code=error.code)
        if call.visitor.token and call.visitor.token != given:
            cookies.give(answer, COOKIE, call.visitor.token)
        return answer

    async def _pass(self, call: Call, name: str, found: Visitor | None) -> Response:
        if name not in ROUTES:
            raise Problem("not_found")
        stages, get, post = ROUTES[name]
        method = call.request.method
        handler = post if method == "POST" else get
        if handler is None:
            raise Problem("method_not_allowed")
        if found is None or found.stage not in stages:
            if method == "POST":
                raise SessionOver
            if Stage.DOOR not in stages:
                return render.elsewhere(f"{PREFIX}/sign-in")
            if found is not None:
                return render.elsewhere(PREFIX)
            self._admit(call, "door", _address(call.request), MOST_DOORS)
            call.visitor = await anyio.to_thread.run_sync(_begin, call)
        if method == "POST":
            if not forms.is_ours(call.request, call.services.settings.portal_url):
                raise forms.FormRefused("foreign_form")
            call.form = await forms.read(call.request)
            if not call.visitor.fits(call.form.get(forms.CSRF_FIELD, "")):
                raise forms.FormRefused("stale_form")
            if call.visitor.stage is not Stage.OPEN:
                self._admit(call, "try", _address(call.request), MOST_TRIES)
        if call.visitor.stage is Stage.OPEN and (method == "POST" or name in _COUNTED):
            # By person, not by address: who has a code may come from anywhere.
            call.bounded("act", MOST_ACTS)
        return await anyio.to_thread.run_sync(handler, call)

    def _admit(self, call: Call, kind: str, whose: str, most: int) -> None:
        if not self._attempts.admit(kind, whose, call.vault.clock.now(), most):
            raise Problem("too_many_requests")


def site() -> Site:
    """Make the portal."""
    return Site()


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _begin(call: Call) -> Visitor:
    with call.services.vault.unit() as uow:
        visitor = visitors.begin(uow)
        uow.commit()
    return visitor
