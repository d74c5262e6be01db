"""Rates and floods: a bucket per system, told in `RateLimit`; failures beyond a limit are a count, not entries."""

import threading

import pytest
from maison_callers import ELSEWHERE, STRANGER, Caller, app_of, problem_of, register
from starlette.testclient import TestClient

from api import trail
from api.rates import BURST, MOST_BUCKETS, Rates
from vault.failures import MOST_ADDRESSES, MOST_ENTRIES, WINDOW_SECONDS, Failures


class Time:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_bucket_empties_and_refills():
    time = Time()
    rates = Rates(5, time)
    assert [rates.take("a") for _ in range(5 * BURST + 1)] == [*range(5 * BURST - 1, -1, -1), -1]
    time.now = 0.2
    assert (rates.take("a"), rates.take("a")) == (0, -1)
    assert rates.take("b") == 5 * BURST - 1
    time.now = 1000.0
    assert rates.take("a") == 5 * BURST - 1  # never more than full


def test_two_keys_of_one_system_share_its_bucket():
    rates = Rates(1, Time())
    rates.learn("a", "till")
    rates.learn("b", "till")
    assert [rates.take(key) for key in ("a", "b", "a", "c")] == [1, 0, -1, 1]


def test_strangers_cannot_grow_the_buckets():
    rates = Rates(1, Time())
    for number in range(MOST_BUCKETS + 10):
        rates.take(str(number))
        rates.learn(str(number), "x")
    assert len(rates._buckets) == len(rates._systems) == MOST_BUCKETS


@pytest.fixture
def slow(opening, bundle, tmp_path, clock):
    """The service with a rate of one request a second, and a system of Aurelle's."""
    app = app_of(lambda _: opening(bundle), tmp_path, system_rate=1)
    with TestClient(app, base_url=ELSEWHERE, raise_server_exceptions=False) as http:
        yield register(app.state.services.vault, Caller(http, clock))


def test_who_asks_too_often_is_told_so_before_the_database_is_asked(slow):
    answers = [slow.describe(STRANGER) for _ in range(4)]
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    problem_of(refused[0], 429, "too_many_requests")
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].headers["ratelimit"] == '"requests";r=0;t=1'
    problem_of(answers[0], 404, "unknown_reference")
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=1;w=1'
    assert answers[0].headers["ratelimit"] == '"requests";r=1;t=1'


def test_what_needs_no_token_has_no_rate(slow):
    answers = [slow.http.get("/v1/catalogue") for _ in range(5)]
    assert {each.status_code for each in answers} == {200}
    assert "ratelimit" not in answers[0].headers


# --- failures


def failed(maison):
    return [each.read for each in maison.entries() if each.act == "auth.failed"]


def test_a_flood_of_failures_is_a_count(maison, pos):
    for _ in range(MOST_ENTRIES + 7):
        problem_of(pos.send("GET", f"/v1/subjects/{STRANGER}", "no-such-token"), 401, "invalid_token")
    assert len(failed(maison)) == MOST_ENTRIES
    trail.record_untold(maison.vault)
    last = failed(maison)[-1]
    assert (last["n"], last["pol"]) == (7, ["auth.counted", "auth.token_unknown"])
    trail.record_untold(maison.vault)
    assert len(failed(maison)) == MOST_ENTRIES + 1  # nothing left to tell
    maison.clock.advance(WINDOW_SECONDS)
    pos.send("GET", f"/v1/subjects/{STRANGER}", "no-such-token")
    assert len(failed(maison)) == MOST_ENTRIES + 2


def test_a_flood_from_one_address_hides_nothing_from_another(maison, pos):
    for _ in range(MOST_ENTRIES + 1):
        pos.send("GET", f"/v1/subjects/{STRANGER}", "no-such-token")
    other = pos.twin(TestClient(maison.http.app, base_url=ELSEWHERE, client=("192.0.2.1", 1)))
    other.send("POST", "/v1/disclosures", "no-such-token", {})
    Caller(other.http, pos.clock, "nobody-known").ask(scope="lookup")
    causes = [each["pol"] for each in failed(maison)[MOST_ENTRIES:]]
    assert causes[0] == ["auth.token_unknown"]
    assert len(causes) == 2
    assert pos.describe(STRANGER).status_code == 404  # an honest caller at the flooding address is served


def test_what_could_not_be_written_is_counted_again(maison, monkeypatch):
    failures = maison.vault.failures
    for _ in range(MOST_ENTRIES + 3):
        failures.admit("192.0.2.1", "auth.token_unknown", 0)
    with monkeypatch.context() as broken:
        broken.setattr(type(maison.vault), "unit", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trail.record_untold(maison.vault)
    assert failures.take() == {"auth.token_unknown": 3}


def test_addresses_are_told_apart_as_their_owners_are():
    failures = Failures()
    for number in range(MOST_ENTRIES):
        assert failures.admit(f"2001:db8:0:1::{number:x}", "x", 0)
    assert not failures.admit("2001:db8:0:1:ffff::1", "x", 0)  # the same /64
    assert failures.admit("2001:db8:0:2::1", "x", 0)
    for _ in range(MOST_ENTRIES):
        assert failures.admit("192.0.2.1", "x", 0)
    assert not failures.admit("::ffff:192.0.2.1", "x", 0)


def test_more_addresses_than_are_remembered_are_one():
    failures = Failures()
    admitted = sum(failures.admit(f"host-{number}", "x", 0) for number in range(MOST_ADDRESSES + 5 * MOST_ENTRIES))
    assert admitted <= MOST_ADDRESSES + MOST_ENTRIES
    assert sum(failures.take().values()) == MOST_ADDRESSES + 5 * MOST_ENTRIES - admitted


def test_threads_lose_no_count():
    failures = Failures()
    threads = [threading.Thread(target=lambda: [failures.admit("a", "x", 0) for _ in range(500)]) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures.take() == {"x": 2000 - MOST_ENTRIES}


def test_every_write_takes_an_idempotency_key(maison):
    """Read off the published document: whatever changes what is stored may be sent again safely."""
    looks = {"/v1/attestations", "/v1/contact/evaluation", "/v1/subjects/search"}
    looks |= {"/v1/disclosures", "/v1/disclosures/bulk"}
    document = maison.http.app.openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names = {each["name"] for each in operation.get("parameters", ())}
            writes = path.startswith("/v1/") and method != "get" and path not in looks
            assert ("Idempotency-Key" in names) is writes, (method, path)
