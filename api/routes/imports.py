"""Bulk import: a streamed body of rows, a result per row, resumable under its Idempotency-Key.

Rows are taken in as they arrive, some hundreds to a transaction, so neither side ever holds the whole. The answer
begins when the body has been read: two HTTP/1.1 peers that write and do not read would wait for each other for ever.
What it holds per row is a reference, so that fits. After a broken connection the same body is sent again.
"""

from collections.abc import AsyncIterator, Iterator

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from api import intakes, rows
from api.authn.credential import Bearer
from api.looks import Call
from api.problems import Problem, request_id_of
from api.routes.writes import idempotency_key
from api.rows import CSV, NDJSON, CsvReader, Read, TooLong
from api.services import Services, services_of
from policies.catalogue import Catalogue

router = APIRouter(prefix="/v1/imports", tags=["imports"])

MOST_ROWS = 200_000  # of one request; a larger import is sent in several under one key


@router.post(
    "",
    response_class=StreamingResponse,
    openapi_extra={"requestBody": {"required": True, "content": {NDJSON: {}, CSV: {}}}},
)
async def take_in(request: Request, credential: Bearer) -> Response:
    """Take in rows for the caller's brand, or for the brands its system may import for. Answers NDJSON."""
    key = idempotency_key(request)
    if not key:
        raise Problem("idempotency_key_required")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in {NDJSON, CSV}:
        raise Problem("unsupported_media_type")
    services = services_of(request)
    call = Call(credential, request_id_of(request), key)
    session = await services.batcher.submit(intakes.begin, call)
    lines: list[bytes] = []
    waiting: list[Read] = []
    try:
        async for read in _reads(request, media_type, services.vault.bundle.catalogue):
            waiting.append(read)
            if len(waiting) >= services.settings.import_batch_size:
                lines += await _chunk(services, session, key, waiting)
                waiting = []
            if len(lines) + len(waiting) > MOST_ROWS:
                raise Problem("body_too_large")
        lines += await _chunk(services, session, key, waiting)
    except TooLong:
        raise Problem("body_too_large") from None
    await services.batcher.submit(intakes.complete, intakes.Completed(session, len(lines)))
    return StreamingResponse(_joined(lines), media_type=NDJSON)


async def _reads(request: Request, media_type: str, catalogue: Catalogue) -> AsyncIterator[Read]:
    number = 0
    reader: CsvReader | None = None
    async for record in rows.records(request.stream(), quoted=media_type == CSV):
        if not record.strip():
            continue
        if media_type == NDJSON:
            number += 1
            yield rows.read_line(record, number)
        elif reader is None:
            try:
                reader = CsvReader(record, catalogue)
            except ValueError:
                raise Problem("malformed_body") from None
        else:
            number += 1
            yield reader.read(record, number)


async def _chunk(services: Services, session: intakes.Importing, key: str, reads: list[Read]) -> list[bytes]:
    if not reads:
        return []
    answers = await services.batcher.submit(intakes.take_in, intakes.Chunk(session, key, tuple(reads)))
    return [orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE) for answer in answers]


def _joined(lines: list[bytes]) -> Iterator[bytes]:
    for start in range(0, len(lines), 256):
        yield b"".join(lines[start : start + 256])
