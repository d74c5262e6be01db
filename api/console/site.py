"""The console as one application: which page is whose, and what every request must pass before its page sees it.

In order: the session its cookie names, the role the page is for, where a form came from, the value that only our page
could know, and, for what gives something out or changes rules, that the officer proved a moment ago to be there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace
from typing import Final
from urllib.parse import quote

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from api.console import (
    account,
    alerts,
    control,
    data,
    door,
    drafting,
    emergency,
    integrity,
    log,
    plans,
    policy,
    raising,
    reports,
    requests,
    seal,
    today,
)
from api.console.attempts import MOST_DOORS, Attempts
from api.console.menu import ALL, HANDLERS, READERS
from api.console.visit import PREFIX, Visit
from api.pages import choosing, cookies, forms, multipart, render
from api.problems import KINDS, Problem
from api.services import keyless
from audit.reports.tally import Tally
from policies.errors import PolicyError
from vault.errors import SessionOver, VaultError
from vault.officers import Role
from vault.signin import sessions
from vault.signin.sessions import TOKEN_BYTES, Session, Stage

COOKIE: Final = f"{cookies.PREFIX}session"
STATIC: Final = f"{PREFIX}/static/"

Handler = Callable[[Visit], Response]


class Door(StrEnum):
    """Pages for who is not signed in yet."""

    OUTSIDE = "outside"  # anybody
    SETTING_UP = "setting up"  # anybody, and officers who came with a set-up code


@dataclass(frozen=True, slots=True)
class Page:
    """One page: who may open it, and whether its form takes an officer who has just proved to be there.

    `keeps`: fields in which somebody writes at length; a form with one of them filled in is not lost where that is asked
    first. `most`: bytes of a form with a file.
    """

    path: str
    roles: frozenset[Role] | Door
    get: Handler | None = None
    post: Handler | None = None
    raised: bool = False
    keeps: frozenset[str] = frozenset()
    most: int = 0


_APPROVE: Final = frozenset({Role.APPROVER})
_AUTHOR: Final = frozenset({Role.COMPLIANCE})

# Who may get a page and who may send its form: an auditor reads and verifies, and sends no form that changes anything.
PAGES: Final = (
    Page("", ALL, today.page),
    Page("/requests", HANDLERS, requests.page),
    Page("/requests/{id}", HANDLERS, requests.request_page, requests.request, raised=True, keeps=frozenset({"note"})),
    Page("/person", READERS, log.person_page, log.person, raised=True),
    Page("/systems", ALL, data.systems_page),
    Page("/systems/{id}", ALL, data.system_page),
    Page("/purposes", ALL, data.purposes_page),
    Page("/consents", ALL, data.consents_page),
    Page("/policy", ALL, policy.page),
    Page("/policy/propose", _AUTHOR, drafting.page, drafting.take, raised=True, most=drafting.MOST_FORM),
    Page("/policy/propose/{id}", _AUTHOR, drafting.draft_page, drafting.replay),
    Page("/policy/propose/{id}/step", _AUTHOR, None, drafting.step, raised=True),
    Page("/policy/{number}", ALL, policy.version_page, policy.replay),
    Page("/policy/{number}/files", ALL, drafting.files),
    Page("/policy/{number}/step", _APPROVE, None, policy.version, raised=True),
    Page("/log", READERS, log.page),
    Page("/log/export", READERS, log.export_page, log.export, raised=True),
    Page("/log/{index}", READERS, log.line),
    Page("/integrity", ALL, integrity.page, integrity.recompute),
    Page("/reports", READERS, reports.page),
    Page("/reports/{name}", READERS, reports.report, reports.of_whom, raised=True, keeps=reports.WHOM),
    Page("/reports/{name}/files", READERS, reports.files_page, reports.files, raised=True, keeps=reports.WHOM),
    Page("/reports/{name}/keep", reports.KEEPERS, None, plans.keep),
    Page("/kept/{id}", READERS, plans.kept_page),
    Page("/kept/{id}/step", reports.KEEPERS, None, plans.kept_step),
    Page("/made/{id}", READERS, plans.made_page, plans.made, raised=True),
    Page("/erasures", ALL, control.erasures_page),
    Page("/alerts", READERS | HANDLERS, alerts.page),
    Page("/alerts/step", alerts.DECIDES, None, alerts.decide, raised=True),
    Page("/budgets", ALL, control.budgets_page),
    Page("/budgets/step", control.RUN, None, control.budgets, raised=True),
    Page("/budgets/raise", control.RUN, raising.page, raising.propose, raised=True, keeps=frozenset({"hours"})),
    Page("/break-glass", ALL, control.cases_page),
    Page("/break-glass/ask", control.RUN, emergency.page, emergency.ask, raised=True, keeps=frozenset({"reason"})),
    Page("/break-glass/{id}", ALL, control.case_page),
    Page("/break-glass/{id}/step", HANDLERS, None, control.case, raised=True),
    Page("/officers", ALL, control.officers_page),
    Page("/seal", ALL, seal.page),
    Page("/seal/step", seal.CLOSING, None, seal.step, raised=True),
    Page("/sign-in", Door.OUTSIDE, door.sign_in_page, door.sign_in),
    Page("/set-up", Door.SETTING_UP, door.set_up_page, door.set_up),
    Page("/confirm", ALL, door.confirm_page, door.confirm),
    Page("/sign-out", ALL, None, door.sign_out),
    Page("/account", ALL, account.page, account.step, raised=True),
)


class Site:
    """Answers everything at and below /console."""

    def __init__(self, pages: tuple[Page, ...]) -> None:
        self._pages = [(compile_path(f"{PREFIX}{page.path}")[0], page) for page in pages]
        self._attempts = Attempts()
        self._tally = Tally()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        path = scope["path"]
        if path.startswith(STATIC):
            scope["route"] = SimpleNamespace(path=f"{STATIC}*")
            found = render.file(path.removeprefix(STATIC))
            if found is None or scope["method"] == "POST":
                raise Problem("not_found")
            await found(scope, receive, send)
            return
        if path == f"{PREFIX}/language":
            scope["route"] = SimpleNamespace(path=path)
            await choosing.choose(request, PREFIX)(scope, receive, send)
            return
        answer = await self._answer(request)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        services = keyless(request)
        given = cookies.token(request, COOKIE, TOKEN_BYTES)
        tag = choosing.tag_of(request)
        limits = sessions.Limits(services.settings.console_idle_seconds, services.settings.console_session_seconds)
        session = (
            None if given is None else await anyio.to_thread.run_sync(sessions.find, services.vault, given, limits)
        )
        nobody = Session(b"", Stage.DOOR, None, sessions.Method.NONE, None, 0)
        visit = Visit(request, services, session or nobody, tag, self._attempts, self._tally)
        try:
            visit.query = forms.parsed(forms.query_of(request))
            page, params = self._find(request)
            request.scope["route"] = SimpleNamespace(path=f"{PREFIX}{page.path}")
            visit.params = params
            answer = await self._pass(visit, page, session)
        except (Problem, forms.FormRefused, VaultError, PolicyError) as error:
            answer = _failed(visit, error)
        if visit.session.token and visit.session.token != given:
            cookies.give(answer, COOKIE, visit.session.token)
        return answer

    def _find(self, request: Request) -> tuple[Page, Mapping[str, str]]:
        for pattern, page in self._pages:
            match = pattern.match(request.scope["path"])
            if match:
                return page, match.groupdict()
        raise Problem("not_found")

    async def _pass(self, visit: Visit, page: Page, session: Session | None) -> Response:
        method = "GET" if visit.request.method == "HEAD" else visit.request.method
        handler = page.post if method == "POST" else page.get
        if handler is None:
            raise Problem("method_not_allowed")
        stage = None if session is None else session.stage
        if isinstance(page.roles, Door):
            if stage is Stage.OPEN and method == "GET":
                return visit.go(PREFIX)
            if stage is not Stage.DOOR and not (stage is Stage.ENROLLING and page.roles is Door.SETTING_UP):
                if method == "POST":
                    raise SessionOver
                visit.session = await anyio.to_thread.run_sync(_begin, visit)
        elif stage is not Stage.OPEN:
            if method == "POST":
                raise SessionOver
            return visit.go(f"{door.SIGN_IN}?next={quote(_onward(visit.request))}")
        elif visit.officer.role not in page.roles:
            await anyio.to_thread.run_sync(door.refused, visit, "auth.role")
            raise Problem("forbidden")
        if method == "POST":
            visit.form = await _own_form(visit, page.most)
            if page.raised and not visit.session.is_raised(visit.now):
                if any(visit.form.get(each) for each in page.keeps):
                    return await anyio.to_thread.run_sync(door.asked_first, visit)
                back = visit.request.scope["path"].removesuffix("/step")
                return visit.go(f"{door.CONFIRM}?next={quote(back)}")
        return await anyio.to_thread.run_sync(handler, visit)


def site() -> Site:
    """Make the console."""
    return Site(PAGES)


async def _own_form(visit: Visit, most: int) -> Mapping[str, str]:
    """Read a form that came from a page of ours, in this very session. Raises `FormRefused` or `Problem`."""
    if not forms.is_ours(visit.request, visit.services.settings.console_url):
        raise forms.FormRefused("foreign_form")
    if most:
        filled = await multipart.read(visit.request, most)
        form, visit.files = filled.words, filled.files
    else:
        form = await forms.read(visit.request)
    if not visit.session.fits(form.get(forms.CSRF_FIELD, "")):
        raise forms.FormRefused("stale_form")
    return form


def _onward(request: Request) -> str:
    path, query = request.scope["path"], forms.query_of(request)
    return f"{path}?{query}" if query else path


def _begin(visit: Visit) -> Session:
    if not visit.attempts.admit("door", visit.address, visit.now, MOST_DOORS):
        raise Problem("too_many_requests")
    with visit.vault.unit() as uow:
        session = sessions.begin(uow)
        uow.commit()
    return session


def _failed(visit: Visit, error: Problem | forms.FormRefused | VaultError | PolicyError) -> Response:
    if isinstance(error, SessionOver | forms.FormRefused):
        status = 403
    else:
        status = KINDS[error.code].status if error.code in KINDS else 422  # kept from systems; officers are told
    return visit.page("failed.html", status, code=error.code)
