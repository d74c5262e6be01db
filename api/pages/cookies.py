"""Cookies: `__Host-`, so that no other host and no plain-text answer can plant one; out of reach of scripts; this site alone.

Browsers take `Secure` cookies from http://localhost as well, so there is one kind of cookie and no weaker one.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

PREFIX: Final = "__Host-ecrin-"
LANGUAGE: Final = f"{PREFIX}language"
DONE: Final = f"{PREFIX}done"
_MINUTE: Final = 60
_YEAR: Final = 31_536_000


def token(request: Request, name: str, size: int) -> bytes | None:
    """Return the token of a cookie, `size` bytes, or None. Two cookies of one name are nobody's."""
    given = [
        value
        for header in request.headers.getlist("cookie")
        for each in header.split(";")
        for key, _, value in [each.strip().partition("=")]
        if key == name
    ]
    if len(given) != 1:
        return None
    try:
        found = urlsafe_b64decode(f"{given[0]}=")
    except (Error, ValueError):
        return None
    return found if len(found) == size and urlsafe_b64encode(found).rstrip(b"=").decode() == given[0] else None


def give(answer: Response, name: str, token: bytes) -> None:
    """Hand a token to the browser, for as long as it runs: when it is over, the server knows."""
    value = urlsafe_b64encode(token).rstrip(b"=").decode("ascii")
    answer.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="strict")


def take(answer: Response, name: str) -> None:
    """Take a cookie back."""
    answer.delete_cookie(name, path="/", secure=True, httponly=True, samesite="strict")


def give_language(answer: Response, tag: str) -> None:
    """Remember the language a reader chose."""
    answer.set_cookie(LANGUAGE, tag, max_age=_YEAR, path="/", secure=True, httponly=True, samesite="strict")


def give_done(answer: Response, done: str) -> None:
    """Have the next page say what was done. In no address: whoever is handed one is told of nothing they did not do."""
    answer.set_cookie(DONE, done, max_age=_MINUTE, path="/", secure=True, httponly=True, samesite="strict")
