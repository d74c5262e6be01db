"""The load: a process of its own that sends ready-made requests over keep-alive connections and times each answer.

    python -m tests.bench.load <plan.json >result.json

Proofs are signed and bytes are joined before the clock starts, so that what is timed is the server, the socket, and
as little of this process as Python allows: one `write` and one `find` per request. A plan is bounded by its number of
requests and by `seconds`.
"""

import asyncio
import json
import secrets
import sys
import time
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

import uvloop

from api.client.identity import SigningKey, proof

HEADERS_END = b"\r\n\r\n"


@dataclass
class Request:
    """One request to make: `token` empty means no authorisation, as for the bare route.

    `proof` is a DPoP proof that was signed for a request without token; `form` says that the body is one.
    """

    path: str
    token: str = ""
    body: str = ""
    method: str = "POST"
    proof: str = ""
    form: bool = False


@dataclass
class Plan:
    url: str
    requests: list[Request]
    key: dict | None = None  # private JWK the tokens are bound to
    connections: int = 16
    seconds: float = 45.0  # proofs are signed before the start and good for 60 s
    warm_up: int = 0  # this many first answers are not timed
    keep_bodies: int = 0


@dataclass
class Result:
    answers: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    bodies: list[str] = field(default_factory=list)
    bytes_in: int = 0


def ready(plan: Plan) -> list[bytes]:
    """Join every request's bytes, each with its own fresh proof."""
    host = urlsplit(plan.url).netloc
    key = SigningKey.load(plan.key) if plan.key else None
    now = int(time.time())
    made = []
    for request in plan.requests:
        body = request.body.encode()
        lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        if body:
            lines.append(f"Content-Type: application/{'x-www-form-urlencoded' if request.form else 'json'}")
        if request.proof:
            lines.append(f"DPoP: {request.proof}")
        if request.token and key is not None:
            url = plan.url + request.path
            signed = proof(key, request.method, url, now, secrets.token_urlsafe(12), token=request.token)
            lines += [f"Authorization: DPoP {request.token}", f"DPoP: {signed}"]
        made.append("\r\n".join(lines).encode() + HEADERS_END + body)
    return made


class Connection(asyncio.Protocol):
    """One keep-alive connection: takes the next request when the last is answered."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.buffer = b""
        self.need = -1
        self.started = 0.0
        self.finished = False

    def connection_made(self, transport):
        self.transport = transport
        self.next()

    def next(self):
        request = self.run.take()
        if request is None:
            self.finished = True
            self.transport.close()
            return
        self.started = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data):
        self.buffer = self.buffer + data if self.buffer else data
        if self.need < 0:
            end = self.buffer.find(HEADERS_END)
            if end < 0:
                return
            at = self.buffer.lower().find(b"content-length:", 0, end)
            if at < 0:
                raise ValueError("the load generator needs Content-Length")
            stop = self.buffer.find(b"\r\n", at)
            self.need = end + 4 + int(self.buffer[at + 15 : stop])
        if len(self.buffer) < self.need:
            return
        self.run.answered(self.buffer, time.perf_counter() - self.started)
        self.buffer, self.need = b"", -1
        self.next()

    def connection_lost(self, error):
        self.run.closed(error or (None if self.finished else ConnectionError("the server closed the connection")))


class Run:
    """Hands out requests and gathers times."""

    def __init__(self, plan: Plan, requests: list[bytes]) -> None:
        self.plan = plan
        self.requests = iter(requests)
        self.times: list[float] = []
        self.result = Result()
        self.open = plan.connections
        self.done = asyncio.get_running_loop().create_future()
        self.began = time.perf_counter()
        self.until = self.began + plan.seconds
        self.counted = 0

    def take(self):
        if time.perf_counter() > self.until:
            return None
        return next(self.requests, None)

    def answered(self, answer, taken):
        self.counted += 1
        if self.counted == self.plan.warm_up:
            self.began = time.perf_counter()
        if self.counted > self.plan.warm_up:
            self.times.append(taken)
        status = answer[9:12].decode()
        self.result.statuses[status] = self.result.statuses.get(status, 0) + 1
        self.result.bytes_in += len(answer)
        if len(self.result.bodies) < self.plan.keep_bodies:
            self.result.bodies.append(answer.partition(HEADERS_END)[2].decode())

    def closed(self, error):
        self.open -= 1
        if error and not self.done.done():
            self.done.set_exception(error)
        if self.open == 0 and not self.done.done():
            self.done.set_result(None)


async def drive(plan: Plan) -> Result:
    """Run the plan and report."""
    requests = ready(plan)
    run = Run(plan, requests)
    where = urlsplit(plan.url)
    loop = asyncio.get_running_loop()
    for _ in range(plan.connections):
        await loop.create_connection(lambda: Connection(run), where.hostname, where.port)
    await run.done
    result = run.result
    result.seconds = time.perf_counter() - run.began
    times = sorted(run.times)
    if times:
        result.answers = len(times)
        result.rate = len(times) / result.seconds
        result.p50_ms = 1000 * times[len(times) // 2]
        result.p99_ms = 1000 * times[min(len(times) - 1, len(times) * 99 // 100)]
    return result


def main() -> None:
    """Read a plan, print a result."""
    given = json.load(sys.stdin)
    plan = Plan(**{**given, "requests": [Request(**request) for request in given["requests"]]})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        json.dump(asdict(runner.run(drive(plan))), sys.stdout)


if __name__ == "__main__":
    main()
