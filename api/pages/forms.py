"""Forms: read within bounds, and taken from our own pages alone.

A form is judged twice against forgery. Where it came from is what the browser says of it (`Sec-Fetch-Site`, or `Origin`,
which must be ours); and it carries a value that only a page of the same session could know. Either alone would do on a
good day.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from api.problems import Problem

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
CSRF_FIELD: Final = "form"
_MOST_PARAMETERS: Final = 128
_MAX_BODY: Final = 128 * 1024


class FormRefused(Exception):
    """A form that is not taken: `foreign_form` came from elsewhere, `stale_form` from another session's page."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def read(request: Request) -> Mapping[str, str]:
    """Read a form. Raises `Problem`; a field that is given twice is refused, not merged."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise Problem("unsupported_media_type")
    body = await request.body()
    if len(body) > _MAX_BODY:
        raise Problem("body_too_large")
    return parsed(body.decode("ascii", "replace"))


def query_of(request: Request) -> str:
    """Return what stands behind the question mark, as ASCII: bytes that may not stand there become a sign for that."""
    return str(request.scope["query_string"].decode("ascii", "replace"))


def parsed(text: str) -> Mapping[str, str]:
    """Read a form or a query from its text. Raises `Problem`."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise Problem("malformed_body") from None
    form = dict(pairs)
    # A NUL is no part of a word; a database that keeps none would call it a fault of its own.
    if len(form) != len(pairs) or any("\0" in each for pair in pairs for each in pair):
        raise Problem("malformed_body")
    return form


def is_ours(request: Request, address: str) -> bool:
    """Tell whether a browser sent this from a page of `address` (scheme and host, as browsers use us).

    What says neither is refused: every browser that runs passkeys sends both.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        return False
    return site in {None, "same-origin"} and origin in {None, origin_of(address)}


def origin_of(address: str) -> str:
    """Return the origin (RFC 6454) of a base URL."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def local(path: str, below: str) -> str:
    """Return `path` where it is a page of ours below a prefix, else the prefix: nobody is sent anywhere else."""
    try:
        parts = urlsplit(path)
    except ValueError:  # what is in brackets and no address of IPv6, among others
        return below
    inside = parts.path == below or parts.path.startswith(f"{below}/")
    plain = path.isascii() and path.isprintable() and "\\" not in path and "//" not in parts.path
    return path if inside and plain and not parts.scheme and not parts.netloc else below
