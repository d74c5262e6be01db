"""Single and bulk disclosure over HTTP: DPoP, decision, five fields, durable log entry, signed receipt."""

import asyncio
import json
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from typing import Any

from api import bundles
from api.client.asynchronous import AsyncEcrin
from api.client.identity import base64url
from tests.bench import clients, imports
from tests.bench.deployments import PURPOSE, Deployment, application, serving
from tests.bench.keyholder import holding
from tests.bench.load import Plan, Request, Result
from tests.bench.report import Line, Verdict

CONNECTIONS = 16
MOST_USES = 1000
BULK = 100  # subjects per bulk request
SINGLE_BODY = "{}"


@dataclass
class Tokens:
    """What the load redeems: one token per subject, and one for all of them."""

    singles: list[str]
    bulk: str
    references: list[str]


def prepare(deployment: Deployment, subjects: int) -> Tokens:
    """Import some clients and obtain tokens for them, as a system would. Untimed."""
    bodies = clients.bodies(bundles.load().catalogue, subjects, 30, rows_per_body=subjects)
    rows = imports.send(deployment, bodies[0])
    references = [row["references"]["aurelle"] for row in rows]
    return asyncio.run(_tokens(deployment, references))


async def _tokens(deployment: Deployment, references: list[str]) -> Tokens:
    async with AsyncEcrin(deployment.url, deployment.identity, deployment.client) as client:
        gate = asyncio.Semaphore(CONNECTIONS)

        async def single(reference: str) -> str:
            async with gate:
                token = await client.authorise(
                    reference, PURPOSE, clients.DISCLOSED, max_uses=MOST_USES, reason="bench", staff="advisor-1"
                )
            assert all(item.level for item in token.fields), [(item.name, item.reason) for item in token.fields]
            return token.secret

        singles = await asyncio.gather(*map(single, references))
        bulk = await client.authorise(
            references, PURPOSE, clients.DISCLOSED, max_uses=MOST_USES, reason="bench", staff="advisor-1"
        )
    return Tokens(list(singles), bulk.secret, references)


def drive(plan: Plan) -> Result:
    """Run a plan in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        check=True,
    )
    return Result(**json.loads(done.stdout))


def single_plan(deployment: Deployment, tokens: Tokens, count: int) -> Plan:
    requests = [Request("/v1/disclosures", tokens.singles[n % len(tokens.singles)], SINGLE_BODY) for n in range(count)]
    return Plan(
        deployment.url, requests, _jwk(deployment), CONNECTIONS, warm_up=count // 10, keep_bodies=4 * CONNECTIONS
    )


def bulk_plan(deployment: Deployment, tokens: Tokens, count: int) -> Plan:
    requests = []
    for n in range(count):
        start = n * BULK % len(tokens.references)
        body = json.dumps({"references": tokens.references[start : start + BULK]})
        requests.append(Request("/v1/disclosures/bulk", tokens.bulk, body))
    return Plan(deployment.url, requests, _jwk(deployment), 4, warm_up=max(1, count // 10), keep_bodies=1)


def _jwk(deployment: Deployment) -> dict[str, Any]:
    numbers = deployment.proof_key.private.private_numbers()
    private = numbers.private_value.to_bytes(32, "big")
    return {**deployment.proof_key.public_jwk, "d": base64url(private)}


def median(runs: list[Result]) -> Result:
    """The run of median rate; every request of every run must have been answered well."""
    for run in runs:
        assert not refused(run), (run.statuses, run.bodies)
    return _median(runs)


def median_of_served(runs: list[Result]) -> Result:
    """The run of median rate where only what was answered well counts: for a contestant that may be refused."""
    return _median([replace(run, rate=run.rate * _served(run)) for run in runs])


def _served(run: Result) -> float:
    return run.statuses.get("200", 0) / sum(run.statuses.values())


def refused(run: Result) -> int:
    """How many requests were answered with anything but 200."""
    return sum(count for status, count in run.statuses.items() if status != "200")


def _median(runs: list[Result]) -> Result:
    rate = statistics.median_low([run.rate for run in runs])
    return next(run for run in runs if run.rate == rate)


def bare(*, quick: bool) -> Result:
    """The rate of a FastAPI route that does nothing, one process."""
    count = 3000 if quick else 12000
    body = json.dumps({"fields": [name for name, _ in clients.DISCLOSED]})
    with application("tests.bench.bare:app") as url:
        plan = Plan(url, [Request("/bare", body=body)] * count, None, CONNECTIONS, warm_up=count // 10)
        return median([drive(plan) for _ in range(1 if quick else 3)])


def measure(deployment: Deployment, floor: Result, *, quick: bool) -> list[Line]:
    """Ecrin, Ecrin without batching, and the naive path take turns on the same data and tokens."""
    count, slow = (600, 200) if quick else (5000, 1200)
    runs = 1 if quick else 3
    workers = deployment.settings.workers
    ours, unbatched, naive, bulks, held = [], [], [], [], []
    holder = deployment.changed(keyd_socket=deployment.settings.data_dir / "keyd.sock")
    with serving(deployment):
        tokens = prepare(deployment, 200 if quick else 400)
    for _ in range(runs):
        with serving(deployment):
            ours.append(drive(single_plan(deployment, tokens, count)))
            bulks.append(drive(bulk_plan(deployment, tokens, 20 if quick else 150)))
        with holding(holder.settings), serving(holder):
            held.append(drive(single_plan(holder, tokens, count)))
        with serving(deployment.changed(batch_size=1)):
            unbatched.append(drive(single_plan(deployment, tokens, slow)))
        with application("tests.bench.naive:app", deployment, "--workers", str(workers)):
            naive.append(drive(single_plan(deployment, tokens, slow)))
    best, alone, bulk, behind = (median(each) for each in (ours, unbatched, bulks, held))
    # On SQLite the naive path's threads starve each other of the one write lock, now and then for too long.
    plain = median_of_served(naive)
    _check(best, plain)
    where = f"{deployment.engine}, {workers} process{'es' * (workers > 1)}"
    aim = 2500 if deployment.engine == "PostgreSQL" else 2000
    fields = bulk.rate * BULK * len(clients.DISCLOSED)
    holds = [
        Verdict("the naive path", best.rate / plain.rate, 2),
        Verdict("the bare route", best.rate / floor.rate, 0.12),
    ]
    return [
        _line(f"disclosure, {where}", best, holds, aim),
        _line("  same, keys in a key holder", behind, extra={"of the rate above": f"{behind.rate / best.rate:.0%}"}),
        _line("  same, one request per transaction", alone),
        _line("  naive: one ORM session per request", plain, extra=_refusals(plain)),
        Line(
            f"bulk disclosure, {where}",
            fields,
            "fields/s",
            [Verdict("fields/s", fields, 20_000, ratio=False)],
            aim=50_000,
            p50_ms=bulk.p50_ms,
            p99_ms=bulk.p99_ms,
            extra={"subjects per request": BULK},
        ),
    ]


def _check(ours: Result, naive: Result) -> None:
    """Both must have given the same answers about the same people, or the comparison means nothing."""
    mine, other = (
        {
            answer["reference"]: [(field["name"], field["level"], field["value"]) for field in answer["fields"]]
            for answer in map(json.loads, run.bodies)
            if "reference" in answer
        }
        for run in (ours, naive)
    )
    shared = mine.keys() & other.keys()
    assert shared
    assert all(mine[reference] == other[reference] for reference in shared)


def _refusals(run: Result) -> dict[str, object]:
    return {"refused": f"{refused(run)} of {sum(run.statuses.values())}"} if refused(run) else {}


def _line(
    name: str,
    result: Result,
    holds: list[Verdict] | None = None,
    aim: float | None = None,
    extra: dict[str, object] | None = None,
) -> Line:
    times = {"p50_ms": result.p50_ms, "p99_ms": result.p99_ms}
    return Line(name, result.rate, "/s", holds or [], aim=aim, extra=extra or {}, **times)
