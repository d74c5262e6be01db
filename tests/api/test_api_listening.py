"""Heads and bodies without end, in size and in time, before a real server: it hangs up, and goes on with everybody else."""

import asyncio
import contextlib
import socket
import threading

import orjson
import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from api import problems
from api.listening import MOST_HEAD, BoundedHttp
from api.middleware.body_limit import BodyLimit

GOOD = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ENDLESS = {
    "a field": b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
    "an address": b"GET /",
    "a name": b"GET / HTTP/1.1\r\nHost: x\r\nX",
    "a method": b"G",
    "a chunk's extension": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;x=",
    "a trailer": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
}
MANY = {
    "fields": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * MOST_HEAD + b"\r\n",
    "trailers": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + b"X: a\r\n" * MOST_HEAD + b"\r\n",
}  # fmt: skip


class Hasty(BoundedHttp):
    head_seconds = rest_seconds = 0.2


async def application(scope, receive, send):
    if scope["path"] == "/refused":
        await PlainTextResponse("refused", 403)(scope, receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse("served")(scope, receive, send)


def routes():
    """Routes that read as ours do, behind the limits of bodies, with less patience."""
    app = FastAPI(middleware=[Middleware(BodyLimit, limit=1 << 21, patience=0.3)])
    problems.install(app)

    @app.post("/whole")
    async def whole(request: Request):
        return {"length": len(await request.body())}

    @app.post("/model")
    async def model(body: dict[str, str]):
        return {"length": len(body)}

    @app.post("/pieces")
    async def pieces(request: Request):
        length = 0
        async for piece in request.stream():
            length += len(piece)
            await asyncio.sleep(0.01)  # what the route itself takes is nobody's fault
        return {"length": length}

    @app.get("/")
    async def served():
        return PlainTextResponse("served")

    return app


@pytest.fixture(params=[BoundedHttp, Hasty], ids=["patient", "hasty"])
def port(request):
    """A server of its own, on a thread of its own."""
    yield from serving(application, request.param)


@pytest.fixture
def reading():
    yield from serving(routes(), BoundedHttp)


def serving(app, http):
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=http, lifespan="off", log_config=None, ws="none", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(30)
    listening.close()
    assert not thread.is_alive()


def conversation(port, *pieces):
    """Send pieces as long as they are taken, and return all that comes back until the other side hangs up."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), 30) as conn:
        try:
            for piece in pieces:
                conn.sendall(piece)
            while piece := conn.recv(65536):
                heard += piece
        except (BrokenPipeError, ConnectionResetError):
            pass  # it hung up while we were still talking
    return heard


def served(port):
    return conversation(port, GOOD).endswith(b"served")


@pytest.mark.parametrize("port", [BoundedHttp], indirect=True)
@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_ended(port, what):
    heard = conversation(port, ENDLESS[what], *[b"a" * 8192] * (4 * MOST_HEAD // 8192))
    assert b"served" not in heard
    assert not heard or heard.startswith(b"HTTP/1.1 400")
    assert served(port)


@pytest.mark.parametrize("port", [BoundedHttp], indirect=True)
@pytest.mark.parametrize("what", MANY)
def test_too_many_fields_are_refused(port, what):
    assert b"served" not in conversation(port, MANY[what])
    assert served(port)


@pytest.mark.parametrize("port", [Hasty], indirect=True)
@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"G"])
def test_who_does_not_come_to_an_end_is_not_waited_for(port, beginning):
    """Nothing is sent any more, and nothing comes but the end."""
    assert conversation(port, beginning) == b""
    kept = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    heard = conversation(port, kept, beginning or b"G")  # the second request of a connection is no exception
    assert heard.count(b"served") == 1
    assert served(port)


@pytest.mark.parametrize("port", [Hasty], indirect=True)
def test_a_slow_answer_and_a_large_body_are_no_slow_head(port):
    body = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n" + b"b" * 1_000_000
    assert conversation(port, body).endswith(b"served")
    field = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"a" * (MOST_HEAD - 1000) + b"\r\n\r\n"
    assert conversation(port, field).endswith(b"served")
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (5000, b"c" * 5000) for _ in range(100))
    assert conversation(port, chunked + chunks + b"0\r\n\r\n").endswith(b"served")


@pytest.mark.parametrize("port", [Hasty], indirect=True)
@pytest.mark.parametrize("length", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_who_was_answered_before_the_end_of_a_body_does_not_stay(port, length):
    """The server below takes in the rest of a body that nobody reads, and starts no clock for it."""
    heard = conversation(port, b"POST /refused HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 403")
    assert heard.endswith(b"refused")
    whole = b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    assert conversation(port, whole + GOOD).count(b"HTTP/1.1 ") == 2  # who comes to an end goes on
    assert served(port)


@pytest.mark.parametrize("path", [b"/whole", b"/model", b"/pieces"])
@pytest.mark.parametrize("length", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("beginning", [b"", b"1\r\n{\r\n"])
def test_a_body_that_does_not_come_is_refused_in_words(reading, path, length, beginning):
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + length + b"\r\n\r\n"
    heard = conversation(reading, head + beginning)
    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    assert orjson.loads(body)["code"] == "slow_body"
    assert served(reading)


@pytest.mark.parametrize("path", [b"/whole", b"/pieces"])
def test_a_body_that_trickles_is_cut_off_and_one_that_is_merely_large_is_not(reading, path):
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", reading), 30) as conn:
        conn.sendall(head)
        conn.settimeout(0.02)
        heard = b""
        while not heard:  # a byte each fiftieth of a second, for ever
            conn.sendall(b"a")
            with contextlib.suppress(TimeoutError):
                heard = conn.recv(65536)
    assert heard.startswith(b"HTTP/1.1 408")
    large = conversation(reading, head.replace(b"Host: x", b"Host: x\r\nConnection: close"), b"b" * 1_000_000)
    assert large.startswith(b"HTTP/1.1 200")
    assert large.endswith(b'{"length":1000000}')
