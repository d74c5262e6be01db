"""Tokens: bound, fresh, counted; each refusal looks alike from outside."""

import itertools
import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from audit.entry import Actor, ActorKind
from vault import systems, tokens
from vault.errors import Refused
from vault.housekeeping import GRACE_SECONDS, purge
from vault.store.tables import AccessToken, SeenProof, TokenSubject
from vault.systems import NewSystem
from vault.tokens import Credential, Kind, Named, NewToken, Session
from vault.unit import execute

BY = Actor(ActorKind.VAULT, "test")
JWKS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": "1"}]}
JKT = "k" * 43
_proofs = itertools.count(1)


def subject(number, uses=1):
    return Named(number.to_bytes(16), 0, 1, 1, uses)


@pytest.fixture
def till(store):
    with store.unit() as unit:
        record = systems.register(unit, NewSystem("till", "aurelle", "Till", JWKS, frozenset({"lookup"})), BY)
        unit.commit()
    return record


@pytest.fixture
def issue(store, till):
    def issue(*subjects, lifetime=300, **changes):
        kind = Kind.DISCLOSURE if subjects else Kind.SERVICE
        new = NewToken(till, kind, JKT, frozenset({"lookup"}), lifetime, subjects=subjects)
        with store.unit() as unit:
            (issued,) = tokens.issue(unit, [replace(new, **changes)])
            unit.commit()
        return issued

    return issue


def shown(issued, **changes):
    """The credential of a fresh proof for this token."""
    return replace(Credential(issued.token_hash, JKT, next(_proofs).to_bytes(16), 2_000_000_000), **changes)


def authenticate(store, *credentials):
    with store.unit() as unit:
        outcomes = tokens.authenticate(unit, credentials)
        unit.commit()
    return outcomes


def refused(outcome):
    assert isinstance(outcome, Refused)
    return outcome.code, outcome.audit


def test_a_token_opens_a_session_for_its_key(store, issue, till):
    issued = issue(subject(1), purpose="marketing.email", detail='{"fields":[]}', policy_hash=b"p" * 32)
    (session,) = authenticate(store, shown(issued))
    assert isinstance(session, Session)
    assert session.system == till
    assert session.kind is Kind.DISCLOSURE
    assert session.scopes == {"lookup"}
    assert (session.purpose, session.detail, session.policy_hash) == ("marketing.email", '{"fields":[]}', b"p" * 32)


def test_the_token_itself_is_stored_nowhere(store, issue):
    issued = issue()
    assert len(issued.token) == 43
    assert tokens.hash_of(issued.token) == issued.token_hash
    assert issued.token not in repr(issued)
    with store.reading() as conn:
        stored = repr(conn.execute(select(AccessToken.__table__)).all())
    assert issued.token not in stored


def test_every_fault_of_a_token_is_one_answer(store, issue, clock):
    expired, revoked, living = issue(lifetime=1), issue(), issue()
    with store.unit() as unit:
        assert tokens.revoke(unit, revoked.token_hash, "till")
        unit.commit()
    clock.advance(1)
    outcomes = authenticate(
        store,
        shown(living, token_hash=bytes(32)),
        shown(expired),
        shown(revoked),
        shown(living, jkt="s" * 43),
        shown(living),
    )
    assert [refused(outcome)[0] for outcome in outcomes[:4]] == ["invalid_token"] * 4
    assert [refused(outcome)[1] for outcome in outcomes[:4]] == [
        "token_unknown",
        "token_expired",
        "token_revoked",
        "wrong_key",
    ]
    assert isinstance(outcomes[4], Session)


def test_a_disabled_systems_tokens_die(store, issue):
    issued = issue()
    with store.unit() as unit:
        assert systems.disable(unit, "till", BY).epoch == 2
        unit.commit()
    assert refused(authenticate(store, shown(issued))[0]) == ("invalid_token", "system_disabled")


def test_a_stepped_epoch_kills_tokens_of_an_active_system(store, issue):
    issued = issue()
    with store.unit() as unit:
        unit.conn.execute(update(AccessToken).values(system_epoch=0))
        unit.commit()
    assert refused(authenticate(store, shown(issued))[0]) == ("invalid_token", "system_disabled")


def test_a_proof_is_good_once(store, issue):
    issued = issue()
    proof = shown(issued)
    assert isinstance(authenticate(store, proof)[0], Session)
    assert refused(authenticate(store, proof)[0])[0] == "proof_replayed"


def test_a_proof_is_good_once_within_a_batch(store, issue):
    issued = issue()
    proof = shown(issued)
    first, second, other = authenticate(store, proof, proof, shown(issued))
    assert isinstance(first, Session)
    assert refused(second)[0] == "proof_replayed"
    assert isinstance(other, Session)


def test_a_proof_is_not_burned_by_a_unit_that_rolls_back(store, issue):
    issued = issue()
    proof = shown(issued)
    with store.unit() as unit:
        assert isinstance(tokens.authenticate(unit, [proof])[0], Session)
    assert isinstance(authenticate(store, proof)[0], Session)


def test_strangers_cannot_fill_the_table_of_proofs(store, issue):
    issued = issue()
    authenticate(store, shown(issued, token_hash=bytes(32)), shown(issued, jkt="s" * 43))
    with store.reading() as conn:
        assert conn.execute(select(SeenProof.__table__)).all() == []


def test_an_assertion_is_claimed_once(store):
    with store.unit() as unit:
        assert tokens.claim_proof(unit, bytes(16), 5)
        assert not tokens.claim_proof(unit, bytes(16), 5)
        assert tokens.claim_proofs(unit, []) == []


def test_large_batches_keep_their_order(store, issue):
    lot = [issue() for _ in range(3)]
    unknown = shown(lot[0], token_hash=bytes(32))
    credentials = [unknown if n % 5 == 0 else replace(shown(lot[n % 3])) for n in range(2100)]
    outcomes = authenticate(store, *credentials)
    for number, outcome in enumerate(outcomes):
        if number % 5:
            assert outcome.token_hash == lot[number % 3].token_hash
        else:
            assert refused(outcome)[1] == "token_unknown"


def test_a_token_names_its_subjects(store, issue):
    first, second, service = issue(subject(1), subject(2, 3)), issue(subject(1)), issue()
    with store.unit() as unit:
        found = tokens.named(unit, [first.token_hash, second.token_hash, service.token_hash, bytes(32)])
    assert found == {
        first.token_hash: {(1).to_bytes(16): subject(1), (2).to_bytes(16): subject(2, 3)},
        second.token_hash: {(1).to_bytes(16): subject(1)},
        service.token_hash: {},
        bytes(32): {},
    }


def test_uses_are_counted_per_subject(store, issue):
    issued = issue(subject(1, 2), subject(2))
    one, two = ((issued.token_hash, n.to_bytes(16)) for n in (1, 2))
    with store.unit() as unit:
        assert tokens.consume(unit, [one, two, one, one, two]) == [True, True, True, False, False]
        unit.commit()
    with store.unit() as unit:
        assert tokens.consume(unit, [one, two, (issued.token_hash, bytes(16)), (bytes(32), one[1])]) == [False] * 4
        assert tokens.consume(unit, []) == []


def test_a_use_is_not_counted_by_a_unit_that_rolls_back(store, issue):
    issued = issue(subject(1))
    pair = (issued.token_hash, (1).to_bytes(16))
    with store.unit() as unit:
        assert tokens.consume(unit, [pair]) == [True]
    with store.unit() as unit:
        assert tokens.consume(unit, [pair]) == [True]


@given(
    takes=st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=5),
    uses=st.lists(st.integers(0, 4), min_size=4, max_size=4),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
def test_uses_never_exceed_what_was_granted(store, issue, takes, uses):
    issued = issue(*(subject(n, count) for n, count in enumerate(uses)))
    taken = [0] * 4
    for batch in takes:
        with store.unit() as unit:
            for number, took in zip(
                batch, tokens.consume(unit, [(issued.token_hash, n.to_bytes(16)) for n in batch]), strict=True
            ):
                taken[number] += took
            unit.commit()
    asked = [sum(batch.count(n) for batch in takes) for n in range(4)]
    assert taken == [min(count, wanted) for count, wanted in zip(uses, asked, strict=True)]
    with store.reading() as conn:
        left = conn.execute(
            select(TokenSubject.subject_id, TokenSubject.uses_left).where(TokenSubject.token_hash == issued.token_hash)
        ).all()
    assert dict(map(tuple, left)) == {n.to_bytes(16): uses[n] - taken[n] for n in range(4)}


def test_of_many_that_race_for_the_last_use_one_gets_it(store, issue):
    issued = issue(subject(1), subject(2))
    pairs = [(issued.token_hash, n.to_bytes(16)) for n in (1, 2)]
    gate, won = threading.Barrier(4), []

    def batch(unit, items):
        taken = tokens.consume(unit, items)
        return lambda commit: taken

    def redeem(order):
        gate.wait()
        won.append(dict(zip(order, execute(store, batch, order), strict=True)))

    orders = [pairs, pairs[::-1], pairs, pairs[::-1]]
    threads = [threading.Thread(target=redeem, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum(outcome[pair] is True for outcome in won) for pair in pairs] == [1, 1]
    assert len(won) == 4


def test_of_many_that_race_with_one_proof_one_is_served(store, issue):
    issued = issue()
    proofs = [shown(issued), shown(issued)]
    gate, outcomes = threading.Barrier(4), []

    def batch(unit, items):
        answers = tokens.authenticate(unit, items)
        return lambda commit: answers

    def present(order):
        gate.wait()
        outcomes.extend(zip(order, execute(store, batch, order), strict=True))

    orders = [proofs, proofs[::-1], proofs, proofs[::-1]]
    threads = [threading.Thread(target=present, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for proof in proofs:
        answers = [answer for shown_proof, answer in outcomes if shown_proof == proof]
        assert sorted(type(answer).__name__ for answer in answers) == ["Refused"] * 3 + ["Session"]


def test_introspection_tells_the_living_only(store, issue, clock):
    issued = issue(lifetime=10)
    with store.unit() as unit:
        assert tokens.introspect(unit, issued.token_hash).expires_at == clock.now() + 10
        assert tokens.introspect(unit, bytes(32)) is None
    clock.advance(10)
    with store.unit() as unit:
        assert tokens.introspect(unit, issued.token_hash) is None


def test_nobody_revokes_anothers_token(store, issue):
    issued = issue()
    with store.unit() as unit:
        assert not tokens.revoke(unit, issued.token_hash, "crm")
        assert not tokens.revoke(unit, bytes(32), "till")
        unit.commit()
    assert isinstance(authenticate(store, shown(issued))[0], Session)


def test_housekeeping_forgets_the_expired_alone(store, issue, clock):
    old, new = issue(subject(1), lifetime=10), issue(subject(2), lifetime=10 + GRACE_SECONDS)
    now = clock.now()
    with store.unit() as unit:
        assert tokens.claim_proofs(unit, [(b"o" * 16, now + 10), (b"n" * 16, now + 10 + GRACE_SECONDS)]) == [True, True]
        unit.commit()
    assert purge(store).tokens == 0
    clock.advance(11 + GRACE_SECONDS)
    purged = purge(store)
    assert (purged.tokens, purged.proofs, purged.requests, purged.import_rows) == (1, 1, 0, 0)
    with store.unit() as unit:
        assert tokens.named(unit, [old.token_hash])[old.token_hash] == {}
        assert len(tokens.named(unit, [new.token_hash])[new.token_hash]) == 1
        assert not tokens.claim_proof(unit, b"n" * 16, now)
