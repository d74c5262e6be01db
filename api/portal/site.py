"""The portal: a person comes with a code that was sent to an address on file, and sees and decides about themselves.

Nothing is told to whom no code was sent, and a code is "sent" to everybody in the same words and the same time. Looks at
the person's own lines, and each change, are entries under the person's pseudonym.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.console.attempts import MOST_ACTS, MOST_DOORS, MOST_TRIES, Attempts
from api.pages import choosing, cookies, forms, render
from api.pages.language import LANGUAGES
from api.portal import pages
from api.problems import KINDS, Problem, request_id_of
from api.services import Services, services_of
from policies.errors import PolicyError
from vault.errors import SessionOver, VaultError
from vault.signin import visitors
from vault.signin.visitors import TOKEN_BYTES, Stage, Visitor

COOKIE: Final = f"{cookies.PREFIX}portal"
PREFIX: Final = pages.PREFIX
STATIC: Final = f"{PREFIX}/static/"


@dataclass(slots=True, repr=False)
class Call:
    """One request to the portal."""

    request: Request
    services: Services
    visitor: Visitor
    tag: str
    form: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)

    def page(self, template: str, status: int = 200, **content: Any) -> Response:
        """Answer with a page."""
        frame = {
            "csrf": self.visitor.csrf,
            "csrf_field": forms.CSRF_FIELD,
            "languages": LANGUAGES,
            "here": PREFIX if status == HTTPStatus.NOT_FOUND else self.request.scope["path"],
            "brand": self.visitor.brand,
            "inside": self.visitor.stage is Stage.OPEN,
            "request_id": request_id_of(self.request),
        }
        return render.page(template, self.tag, frame | content, status)


Handler = Callable[[Call], Response]

# Path -> the stages that may open it, and who answers GET and POST.
ROUTES: Final[Mapping[str, tuple[frozenset[Stage], Handler | None, Handler | None]]] = {
    "/sign-in": (frozenset({Stage.DOOR, Stage.ASKED}), pages.sign_in_page, pages.sign_in),
    "/code": (frozenset({Stage.ASKED}), pages.code_page, pages.code),
    "": (frozenset({Stage.OPEN}), pages.home, None),
    "/looks": (frozenset({Stage.OPEN}), pages.looks_page, None),
    "/consents": (frozenset({Stage.OPEN}), pages.consents_page, pages.consents),
    "/requests": (frozenset({Stage.OPEN}), pages.requests_page, pages.requests),
    "/package": (frozenset({Stage.OPEN}), None, pages.package),
    "/proof": (frozenset({Stage.OPEN}), pages.proof_page, pages.proof),
    "/sign-out": (frozenset({Stage.OPEN}), None, pages.sign_out),
}


_WALKS: Final = frozenset({"/looks"})  # pages that read the whole log for one person


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
        call = Call(request, services, found or Visitor(b"", Stage.DOOR, "", ""), choosing.tag_of(request))
        try:
            answer = await self._pass(call, name, found)
        except (Problem, forms.FormRefused, VaultError, PolicyError) as error:
            ours = isinstance(error, SessionOver | forms.FormRefused)
            status = 403 if ours else KINDS[error.code].status if error.code in KINDS else 422
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
            self._admit(call, "door", MOST_DOORS)
            call.visitor = await anyio.to_thread.run_sync(_begin, call)
        if method == "POST":
            if not forms.is_ours(call.request, call.services.settings.console_url):
                raise forms.FormRefused("foreign_form")
            call.form = await forms.read(call.request)
            if not call.visitor.fits(call.form.get(forms.CSRF_FIELD, "")):
                raise forms.FormRefused("stale_form")
            if Stage.OPEN not in stages:
                self._admit(call, "try", MOST_TRIES)
        if call.visitor.stage is Stage.OPEN and (method == "POST" or name in _WALKS):
            # By person, not by address: who has a code may come from anywhere.
            self._count(call, "act", f"{call.visitor.brand} {call.visitor.held}", MOST_ACTS)
        return await anyio.to_thread.run_sync(handler, call)

    def _admit(self, call: Call, kind: str, most: int) -> None:
        self._count(call, kind, "" if call.request.client is None else call.request.client.host, most)

    def _count(self, call: Call, kind: str, who: str, most: int) -> None:
        if not self._attempts.admit(kind, who, call.services.vault.clock.now(), most):
            raise Problem("too_many_requests")


def site() -> Site:
    """Make the portal."""
    return Site()


def _begin(call: Call) -> Visitor:
    with call.services.vault.unit() as uow:
        visitor = visitors.begin(uow)
        uow.commit()
    return visitor
