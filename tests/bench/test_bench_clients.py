"""The benchmark measures what it says: rows of exactly so many values, all valid; a load that counts right."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from api import bundles
from policies.catalogue import FieldKind
from policies.fieldtypes import validate
from tests.bench import clients
from tests.bench.load import Plan, Request
from tests.bench.report import Verdict


@pytest.fixture(scope="module")
def catalogue():
    return bundles.load().catalogue


@pytest.mark.parametrize("values", [30, 120])
def test_rows_hold_exactly_so_many_valid_values(catalogue, values):
    bodies = clients.bodies(catalogue, 40, values, rows_per_body=15)
    assert [len(body.splitlines()) for body in bodies] == [15, 15, 10]
    for row in (json.loads(line) for body in bodies for line in body.splitlines()):
        count = 0
        for name, value in row["fields"].items():
            field = catalogue.field(name)
            items = [value] if field.kind is FieldKind.SINGLE else value
            count += len(items)
            for item in items:
                validate(field, item)
        assert count == values
        assert {name for name, _ in clients.DISCLOSED} <= set(row["fields"])


def test_the_load_is_bounded_and_counts_every_answer():
    from loopback_bare import running

    with running() as (url, seen):
        plan = Plan(url, [Request("/x", body="{}")] * 50, None, connections=4, warm_up=10, keep_bodies=2)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.load"],
            input=json.dumps(asdict(plan)),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    result = json.loads(done.stdout)
    assert result["statuses"] == {"200": 50}
    assert len(seen) == 50
    assert result["answers"] == 40
    assert result["bodies"] == ["{}", "{}"]
    assert 0 < result["p50_ms"] <= result["p99_ms"]


def test_a_verdict_says_which_way_it_is_held():
    assert Verdict("x", 1.4, 1.5, at_most=True).holds
    assert not Verdict("x", 1.4, 1.5).holds
