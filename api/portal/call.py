"""One request to the portal, and what every page of it begins with: the person behind the session."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api.pages import forms, render
from api.pages.language import LANGUAGES, Language, language
from api.problems import Problem, request_id_of
from api.services import Services
from policies.purposes import Purpose
from vault import locked, systems
from vault.errors import SessionOver, UnknownReference
from vault.locked import Locked
from vault.signin.visitors import Stage, Visitor
from vault.systems import SystemRecord
from vault.unit import UnitOfWork, Vault

PREFIX: Final = "/me"
CHANNEL: Final = "portal"
# What a page says after an act, by the word in its address: nobody can have it say anything else.
DONE: Final = frozenset({"consent", "wishes", "silence", "advisor", "sent", "withdrawn", "confirmed", "disowned"})


@dataclass(slots=True, repr=False)
class Call:
    """One request to the portal. `admit` counts an act of the person, and raises where there were too many of late."""

    request: Request
    services: Services
    visitor: Visitor
    tag: str
    admit: "Callable[[Call, str, str, int], None]"
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def vault(self) -> Vault:
        """Return the vault."""
        return self.services.vault

    @property
    def language(self) -> Language:
        """Return the reader's language."""
        return language(self.tag)

    def page(self, template: str, status: int = 200, **content: Any) -> Response:
        """Answer with a page."""
        done = self.request.query_params.get("done", "")
        frame = {
            "csrf": self.visitor.csrf,
            "csrf_field": forms.CSRF_FIELD,
            "languages": LANGUAGES,
            "here": PREFIX if status == HTTPStatus.NOT_FOUND else self.request.scope["path"],
            "brand": self.visitor.brand,
            "house": house(self.vault, self.visitor.brand) if self.visitor.brand else "",
            "inside": self.visitor.stage is Stage.OPEN,
            "request_id": request_id_of(self.request),
            "done": done if done in DONE else "",
        }
        return render.page(template, self.tag, frame | content, status)

    def bounded(self, kind: str, most: int) -> None:
        """Let the person do what costs the server something so many times in five minutes. Raises `Problem`."""
        self.admit(self, kind, f"{self.visitor.brand} {self.visitor.held}", most)

    def place(self) -> int | None:
        """Return the place in the log from which the page is to go back further. Raises `Problem`."""
        text = self.request.query_params.get("before", "")
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004 - digits of 2^63
            raise Problem("bad_request")
        return int(text)


def person(uow: UnitOfWork, call: Call) -> Locked:
    """Find the person behind the session. Raises `SessionOver` once they were erased: then there is no session either."""
    (row,) = locked.by_reference(uow, [(call.visitor.brand, call.visitor.held)])
    if isinstance(row, UnknownReference):
        raise SessionOver
    return row


def elsewhere(page: str, done: str = "") -> Response:
    """Send the browser to another page of the portal, which then says what was done."""
    return render.elsewhere(f"{PREFIX}{page}?done={done}" if done else f"{PREFIX}{page}")


def house(vault: Vault, brand: str) -> str:
    """Return the name by which people know a brand."""
    return vault.bundle.parties.named(brand).name


def brands(vault: Vault) -> list[tuple[str, str]]:
    """Return every brand that may hold people, with the name people know: those that any system writes for."""
    with vault.reading() as conn:
        registered = systems.listed(conn)
    held = {brand for each in registered for brand in each.brands if brand != each.brand or not _moves_others(each)}
    return [(each, house(vault, each)) for each in sorted(held)]


def _moves_others(system: SystemRecord) -> bool:
    """Whether a system only brings in other brands' people, as a group's migration does: its own brand is no maison."""
    return system.scopes == {"import"} and len(system.brands) > 1


def newest(call: Call, purpose: Purpose) -> int | None:
    """Return the newest version of the purpose's text in the reader's language."""
    found = [version for name, version, tag in call.vault.bundle.notices if (name, tag) == (purpose.notice, call.tag)]
    return max(found, default=None)
