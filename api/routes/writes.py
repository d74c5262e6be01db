"""What every write has in common: its optional Idempotency-Key and what makes it the same request again."""

from typing import Any

from fastapi import Request

from api.acts import Write
from api.problems import Problem
from vault.idempotency import LONGEST_KEY


def idempotency_key(request: Request) -> str:
    """Read the Idempotency-Key header, or an empty string. Raises `Problem` for one that cannot be a key."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return ""
    if len(keys) > 1 or not 0 < len(keys[0]) <= LONGEST_KEY or not keys[0].isprintable():
        raise Problem("bad_request")
    return keys[0]


async def write_of(request: Request, asked: Any) -> Write:
    """Shape a write. The body is hashed as it came: equal meaning in other bytes is another request."""
    key = idempotency_key(request)
    # Why unambiguous: a method and a path contain no line feed.
    content = f"{request.method}\n{request.url.path}\n".encode() + await request.body() if key else b""
    return Write(asked, key, content)
