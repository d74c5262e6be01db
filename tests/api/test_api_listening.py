"""Heads without end, in size and in time, before a real server: it hangs up, and goes on with everybody else."""

import asyncio
import socket
import threading

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from api.listening import MOST_HEAD, BoundedHttp

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
    head_seconds = 0.2


async def application(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse("served")(scope, receive, send)


@pytest.fixture(params=[BoundedHttp, Hasty], ids=["patient", "hasty"])
def port(request):
    """A server of its own, on a thread of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, http=request.param, lifespan="off", log_config=None, ws="none", timeout_keep_alive=60
    )
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
