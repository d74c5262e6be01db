"""The witness over HTTP: how much it looks at."""

import pytest
from starlette.testclient import TestClient

from api.witnessd import Allowance, create_witness_app
from audit.witness import Answer


class Steady:
    seconds = 0.0

    def __call__(self):
        return self.seconds


class Counting:
    """Stands where a witness does, and counts what reaches it."""

    seen = 0

    def add_checkpoint(self, _):
        self.seen += 1
        return Answer(404, b"unknown\n")


@pytest.fixture
def steady():
    return Steady()


def test_so_many_submissions_a_minute_and_no_more_reach_the_witness(steady):
    witness = Counting()
    http = TestClient(create_witness_app(witness, Allowance(3, steady)))
    assert [http.post("/add-checkpoint", content=b"x").status_code for _ in range(5)] == [404, 404, 404, 429, 429]
    assert witness.seen == 3
    steady.seconds = 41.5
    refused = http.post("/add-checkpoint", content=b"x")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "19")
    steady.seconds = 60.0
    assert http.post("/add-checkpoint", content=b"x").status_code == 404
    assert witness.seen == 4
