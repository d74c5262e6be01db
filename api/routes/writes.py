"""What every write has in common: its optional Idempotency-Key and what makes it the same request again."""

from typing import Any

from fastapi import Request

from api.acts import Answer, Write, Written
from api.looks import Call
from api.problems import Problem, request_id_of
from api.routes.answers import Json
from api.services import services_of
from vault.idempotency import LONGEST_KEY
from vault.tokens import Credential
from vault.unit import Batch


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
    content = f"{request.method}\n{request.scope['path']}\n".encode() + await request.body() if key else b""
    return Write(asked, key, content)


async def written(request: Request, credential: Credential, batch: Batch[Call[Write], Written], wanted: Any) -> Json:
    """Run one write and answer 201, or 200 where it was done before under the same key."""
    call = Call(credential, request_id_of(request), await write_of(request, wanted))
    done = await services_of(request).batcher.submit(batch, call)
    return Json(done.answer, 200 if done.replayed else 201)


async def asked(request: Request, credential: Credential, batch: Batch[Call[Any], Answer], wanted: Any) -> Answer:
    """Run one question."""
    return await services_of(request).batcher.submit(batch, Call(credential, request_id_of(request), wanted))
