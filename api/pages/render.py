"""Templates to answers: autoescaped, strict about what is missing, under a content policy without exceptions."""

import shlex
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from api.pages import columns, words
from api.pages.language import Language, language
from api.pages.reported import reported

_API: Final = Path(__file__).parents[1]
FOLDERS: Final = (_API / "console" / "templates", _API / "portal" / "templates", _API / "pages" / "templates")
FILES: Final = _API / "pages" / "static"

# Everything a page needs comes from us and from files: no inline script or style, no frame, no other host. Why
# `same-origin` and not `no-referrer`: with the latter browsers send `Origin: null` with a form, and where a form came
# from is one of the two things we judge it by (`api.pages.forms`).
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
_KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_GIVEN_OUT: Final = {
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jwe": "application/jose",
    ".pdf": "application/pdf",
    ".zip": "application/zip",
}
_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def page(name: str, tag: str, content: Mapping[str, Any], status: int = 200) -> Response:
    """Render a template in a language."""
    text = _environment(tag).get_template(name).render(content)
    return Response(text, status, HEADERS, "text/html; charset=utf-8")


def alone(name: str, tag: str, content: Mapping[str, Any]) -> bytes:
    """Render a template that is kept as a file: the style is within, and nothing is fetched when it is opened."""
    style = Markup(_files()["pages.css"].decode())  # noqa: S704 - our own file, in which nobody else writes
    return _environment(tag).get_template(name).render({**content, "style": style}).encode()


def elsewhere(path: str) -> Response:
    """Send the browser to another page of ours, by GET. `path` is a path, never an address somebody gave."""
    return Response(status_code=303, headers={**HEADERS, "Location": path})


def farewell(path: str) -> Response:
    """Send the browser on after signing out, and have it forget what it kept of us: pages to go back to among it."""
    answer = elsewhere(path)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'  # not "cookies": the language a reader chose stays
    return answer


def download(content: bytes, name: str) -> Response:
    """Hand out a file: never shown in the browser, never kept. `name` is ours, and its ending says what it is."""
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, headers=headers, media_type=_GIVEN_OUT[Path(name).suffix])


def file(name: str) -> Response | None:
    """Answer one of our own files, or None."""
    content = _files().get(name)
    return None if content is None else Response(content, headers=_FOR_EVER, media_type=_KINDS[Path(name).suffix])


def file_name(name: str) -> str:
    """Name a file together with what is in it, so that it may be cached for ever."""
    return f"{name}?v={_digests()[name]}"


@cache
def _files() -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in FILES.iterdir() if path.suffix in _KINDS}


@cache
def _digests() -> Mapping[str, str]:
    return {name: sha256(content).hexdigest()[:12] for name, content in _files().items()}


@cache
def _environment(tag: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([*FOLDERS]),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    spoken: Language = language(tag)
    environment.install_gettext_callables(spoken.say, spoken.say_many, newstyle=True)  # type: ignore[attr-defined]
    environment.globals |= {"language": spoken, "file_name": file_name}
    environment.filters |= words.filters(spoken)
    environment.filters |= {
        "number": spoken.number, "percent": spoken.percent, "day": spoken.day, "written": spoken.written_day, "moment": spoken.moment,
        "since": spoken.since, "say": spoken.say, "shell": shlex.join,
        "reported": lambda report, most: reported(report, spoken, most),
        "basis": lambda code: columns.cell(spoken, "", "basis", code),
        "asked": lambda words: [columns.asked(spoken, *each) for each in words.items()],
    }  # fmt: skip
    return environment
