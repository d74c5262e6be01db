"""Two processes on PostgreSQL race for what there is only so much of, and get exactly that (SQLite has one process)."""

import pytest
from process_racer import JKT, SUBJECT, TRIES, race

from audit import ledger
from audit.entry import Actor, ActorKind, decode
from vault import clockwatch, systems, tokens
from vault.predicates import MOST_A_DAY
from vault.systems import NewSystem
from vault.tokens import Kind, Named, NewToken

pytestmark = pytest.mark.postgresql
BY = Actor(ActorKind.VAULT, "test")
JWKS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": "1"}]}
USES = 13


@pytest.fixture
def token(store):
    """A token's hash in hex: bound to a key, good for `USES` looks at one subject."""
    if store.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one process")
    with store.unit() as unit:
        till = systems.register(unit, NewSystem("till", "aurelle", "Till", JWKS, frozenset({"lookup"})), BY)
        named = (Named(SUBJECT, 0, 1, 1, USES),)
        new = NewToken(till, Kind.DISCLOSURE, JKT, frozenset({"lookup"}), 3600, subjects=named)
        (issued,) = tokens.issue(unit, [new])
        unit.commit()
    return issued.token_hash.hex()


def test_a_tokens_uses_are_counted_across_processes(store, place, clock, token):
    assert sum(race(place.database, clock.now(), "uses", token)) == USES


def test_each_proof_is_good_once_across_processes(store, place, clock, token):
    assert sum(race(place.database, clock.now(), "proofs", token)) == TRIES


def test_the_questions_of_a_day_are_counted_across_processes(store, place, clock, token):
    assert sum(race(place.database, clock.now(), "questions")) == MOST_A_DAY


def acts(store, *wanted):
    with store.reading() as conn:
        found = [decode(each.body) for each in ledger.read(conn, 0, 0, 1000)]
    return [each["act"] for each in found if each["act"] in wanted]


def test_a_lost_quorum_is_one_entry_however_many_processes_miss_it(store, place, clock, token):
    recorded = sum(race(place.database, clock.now(), "losses", processes=3))
    told = acts(store, "log.quorum_lost", "log.quorum_regained")
    assert len(told) == recorded > 0
    # Never the same twice running: each occurrence once, whoever saw it.
    assert told == ["log.quorum_lost" if at % 2 == 0 else "log.quorum_regained" for at in range(recorded)]


def test_an_hours_heartbeat_is_one_entry_of_all_processes(store, place, clock, token):
    for hour in range(1, 3):
        clockwatch.heartbeat_due(store)
        clock.advance(clockwatch.HEARTBEAT_SECONDS)
        race(place.database, clock.now(), "heartbeats")
        assert len(acts(store, "log.heartbeat")) == hour
