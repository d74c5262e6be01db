"""Which language a reader wants: the one they chose, kept in a cookie, else what their browser prefers."""

from starlette.requests import Request
from starlette.responses import Response

from api.pages import cookies, forms, render
from api.pages.language import LANGUAGES, preferred


def tag_of(request: Request) -> str:
    """Return the tag of the reader's language."""
    chosen = request.cookies.get(cookies.LANGUAGE, "")
    return chosen if chosen in LANGUAGES else preferred(request.headers.get("accept-language", ""))


def choose(request: Request, below: str) -> Response:
    """Remember a language and go back. It changes nothing but the reader's own view, so a link may do it."""
    wanted = request.query_params.get("to", "")
    answer = render.elsewhere(forms.local(request.query_params.get("next", ""), below))
    if wanted in LANGUAGES:
        cookies.give_language(answer, wanted)
    return answer
