"""One request to the console, as the handlers of its pages see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api.console.attempts import Attempts
from api.console.menu import above, menu_of
from api.pages import cookies, render
from api.pages.forms import CSRF_FIELD
from api.pages.language import LANGUAGES, Language, language
from api.problems import Problem, request_id_of
from api.services import Services
from audit.entry import Actor, Entry
from audit.reports.tally import Tally
from vault.governance import officerkeys
from vault.officers import OfficerRecord
from vault.signin import news, sessions
from vault.signin.news import Item, News
from vault.signin.sessions import Limits, Session
from vault.unit import Vault

PREFIX: Final = "/console"


@dataclass(slots=True, repr=False)
class Visit:
    """Who asks for what. A handler that ends or begins a session puts the one that is good now into `session`."""

    request: Request
    services: Services
    session: Session
    tag: str
    attempts: Attempts
    tally: Tally
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def vault(self) -> Vault:
        """Return the vault, whose keys may be sealed."""
        return self.services.vault

    @property
    def now(self) -> int:
        """Return the time, UTC seconds."""
        return self.vault.clock.now()

    @property
    def language(self) -> Language:
        """Return the reader's language."""
        return language(self.tag)

    @property
    def officer(self) -> OfficerRecord:
        """Return who asks. Raises `Problem` at the door, where nobody does yet."""
        if self.session.officer is None:
            raise Problem("forbidden")
        return self.session.officer

    @property
    def actor(self) -> Actor:
        """Name who asks in the log."""
        return sessions.actor(self.officer.id)

    @property
    def limits(self) -> Limits:
        """Return how long sessions last."""
        settings = self.services.settings
        return Limits(settings.console_idle_seconds, settings.console_session_seconds)

    @property
    def address(self) -> str:
        """Return where the request came from, as far as known."""
        return "" if self.request.client is None else self.request.client.host

    def unsealed(self) -> Vault:
        """Return the vault for what needs keys. Raises `Sealed` or `KeyHolderUnavailable`."""
        if self.services.sealing is not None:
            self.services.sealing.check()
        return self.vault

    def record(self, entry: Entry) -> None:
        """Put one entry into the log, durably, before anything it speaks of is shown."""
        with self.vault.unit() as uow:
            uow.record(entry)
            uow.commit()

    def told(self) -> dict[News, Item]:
        """Return what there is to tell the officer about the own ways in."""
        with self.vault.reading() as conn:
            return news.of(conn, self.officer.id)

    def page(self, template: str, status: int = 200, **content: Any) -> Response:
        """Answer with a page."""
        session = self.session
        told = self.told() if session.stage is sessions.Stage.OPEN else {}
        done = "" if self.request.method == "POST" else self.request.cookies.get(cookies.DONE, "")
        # Of a page that is not there not even its address is repeated.
        here = PREFIX if status == HTTPStatus.NOT_FOUND else self.request.scope["path"]
        frame = {
            "officer": session.officer,
            "menu": () if session.officer is None else menu_of(session.officer.role, here),
            "above": None if session.officer is None else above(session.officer.role, here),
            "csrf": session.csrf,
            "csrf_field": CSRF_FIELD,
            "languages": LANGUAGES,
            "here": here,
            "deployment": self.vault.deployment,
            "request_id": request_id_of(self.request),
            "now": self.now,
            "told": told,
            "passkeys_only": self.services.settings.console_passkeys_only,
            "untold": news.unseen(told),
            "done": done,
            "own_key": cache(self._own_key),  # asked once, however many texts a page has
            "signed_in": session.stage is sessions.Stage.OPEN,
        }
        answer = render.page(template, self.tag, frame | content, status)
        if done:
            cookies.take(answer, cookies.DONE)
        return answer

    @staticmethod
    def go(path: str, *, done: str = "") -> Response:
        """Send the browser on, by GET; the page there says what was `done`, a word of ours."""
        answer = render.elsewhere(path)
        if done:
            cookies.give_done(answer, done)
        return answer

    def _own_key(self) -> str:
        """Return what kind of key the officer signs with; nothing where none is registered."""
        with self.vault.reading() as conn:
            return officerkeys.kind_of(conn, self.officer.id)
