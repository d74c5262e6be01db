"""Two processes on PostgreSQL race for what there is only so much of, and get exactly that (SQLite has one process)."""

import pytest
from process_racer import JKT, SUBJECT, TRIES, race

from audit.entry import Actor, ActorKind
from vault import systems, tokens
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
