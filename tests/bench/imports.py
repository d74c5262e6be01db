"""Bulk import: subjects per second, each value under its own data key, each subject with its log entry, over HTTP."""

import secrets
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2

from api import bundles
from api.client.exchange import Exchange
from api.client.wire import Call, Reply, json_object
from tests.bench import clients
from tests.bench.deployments import Deployment
from tests.bench.report import Line, Verdict

HOLD = {30: 1000, 120: 300}
AIM = {30: 1800, 120: 900}


def measure(deployment: Deployment, *, quick: bool) -> list[Line]:
    """Import a few thousand fresh subjects per size of record; PostgreSQL takes two streams, one per process."""
    catalogue = bundles.load().catalogue
    streams = deployment.settings.workers
    lines = []
    for values, people in ((30, 600 if quick else 4000), (120, 200 if quick else 1200)):
        rates = []
        for attempt in range(1 if quick else 3):
            start = 1 + (attempt + 1) * people
            bodies = clients.bodies(catalogue, people, values, start, rows_per_body=people // streams)
            began = time.perf_counter()
            with ThreadPoolExecutor(streams) as pool:
                for answered in pool.map(lambda body: send(deployment, body), bodies):
                    refused = [line for line in answered if line["status"] != "created"]
                    assert not refused, refused[0]
            rates.append(people / (time.perf_counter() - began))
        rate = statistics.median(rates)
        lines.append(
            Line(
                f"import, {values} fields, {deployment.engine}, {streams} stream{'s' * (streams > 1)}",
                rate,
                "subjects/s",
                [Verdict("subjects/s", rate, HOLD[values], ratio=False)],
                aim=AIM[values],
                extra={"fields/s": f"{rate * values:,.0f}"},
            )
        )
    return lines


def send(deployment: Deployment, body: bytes) -> list[dict]:
    """Send one import body and read the answer per row."""
    exchange = Exchange(deployment.identity, deployment.client)
    headers = {"Idempotency-Key": secrets.token_hex(8), "Content-Type": "application/x-ndjson"}
    with httpx2.Client(base_url=deployment.url, timeout=300.0) as http:
        reply = run(http, exchange.scoped("import", "POST", "/v1/imports", body, headers))
    return [json_object(line) for line in reply.content.splitlines()]


def run(http: httpx2.Client, steps) -> Reply:
    """Drive the client's protocol over an ordinary connection."""
    try:
        call: Call = next(steps)
        while True:
            made = http.request(call.method, call.path, content=call.content, headers=dict(call.headers))
            call = steps.send(Reply(made.status_code, {k.lower(): v for k, v in made.headers.items()}, made.content))
    except StopIteration as done:
        return done.value
