"""Tokens over HTTP: issue of service and disclosure tokens, introspection. Every request with its own assertion and proof."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request as Get
from urllib.request import urlopen

from api import bundles
from api.client.asynchronous import AsyncEcrin
from api.client.exchange import ASSERTION_TYPE, details
from api.client.identity import proof
from tests.bench import clients, imports
from tests.bench.deployments import PURPOSE, Deployment, serving
from tests.bench.disclosures import CONNECTIONS, drive, median
from tests.bench.load import Plan, Request, Result
from tests.bench.report import Line

PEOPLE = 200
ISSUE, ASK = "/oauth/token", "/oauth/introspect"


def measure(deployment: Deployment, *, quick: bool) -> list[Line]:
    """Return tokens issued and introspected per second; each answer is a durable entry of the log."""
    count, runs = (300, 1) if quick else (3000, 3)
    served = deployment.changed(system_rate=1_000_000)
    with serving(served):
        rows = imports.send(served, clients.bodies(bundles.load().catalogue, PEOPLE, 30, rows_per_body=PEOPLE)[0])
        references = [row["references"]["aurelle"] for row in rows]
        token = asyncio.run(_service_token(served))
        service, disclosure, asked = [], [], []
        for _ in range(runs):
            service.append(drive(_issue(served, count, lambda _: {"scope": "lookup"})))
            disclosure.append(drive(_issue(served, count, lambda n: _wish(references[n % PEOPLE]))))
            asked.append(drive(_introspect(served, count, token)))
    workers = served.settings.workers
    where = f"{served.engine}, {workers} process{'es' * (workers > 1)}"
    return [
        _line(f"service token issued, {where}", median(service)),
        _line("disclosure token issued, five fields decided", median(disclosure)),
        _line("token introspected", median(asked)),
    ]


async def _service_token(deployment: Deployment) -> str:
    async with AsyncEcrin(deployment.url, deployment.identity, deployment.client) as client:
        return await client.service_token("lookup")


def _wish(reference: str) -> dict[str, str]:
    fields = [{"name": name, "level": level} for name, level in clients.DISCLOSED]
    entry = {"subject": reference, "purpose": PURPOSE, "fields": fields, "reason": "bench", "staff": "advisor-1"}
    return dict(details("urn:ecrin:disclosure:v1", entry))


def _issue(deployment: Deployment, count: int, grant: Callable[[int], dict[str, str]]) -> Plan:
    now, nonce = int(time.time()), _nonce(deployment)
    requests = []
    for n in range(count):
        form = _client(deployment, now) | {"grant_type": "client_credentials"} | grant(n)
        signed = proof(
            deployment.proof_key, "POST", deployment.url + ISSUE, now, secrets.token_urlsafe(12), nonce=nonce
        )
        requests.append(Request(ISSUE, body=urlencode(form), form=True, proof=signed))
    return Plan(deployment.url, requests, None, CONNECTIONS, warm_up=count // 10, keep_bodies=1)


def _introspect(deployment: Deployment, count: int, token: str) -> Plan:
    now = int(time.time())
    requests = [
        Request(ASK, body=urlencode(_client(deployment, now) | {"token": token}), form=True) for _ in range(count)
    ]
    return Plan(deployment.url, requests, None, CONNECTIONS, warm_up=count // 10, keep_bodies=1)


def _client(deployment: Deployment, now: int) -> dict[str, str]:
    signed = deployment.identity.assertion(deployment.settings.issuer, now, secrets.token_urlsafe(12))
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}


def _nonce(deployment: Deployment) -> str:
    """The nonce of now: told with whatever the token endpoint answers."""
    empty = Get(deployment.url + ISSUE, data=b"grant_type=x", method="POST")  # noqa: S310 - our own loopback address
    try:
        urlopen(empty, timeout=10).close()  # noqa: S310
    except HTTPError as refused:
        return str(refused.headers["DPoP-Nonce"])
    raise AssertionError("a request of nothing was answered")


def _line(name: str, result: Result) -> Line:
    assert "error" not in json.loads(result.bodies[0])
    return Line(name, result.rate, "/s", p50_ms=result.p50_ms, p99_ms=result.p99_ms)
