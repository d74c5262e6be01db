"""Idempotency-Key: once done, twice answered."""

import threading

import pytest
from sqlalchemy import func, select, update

from vault.errors import Conflict, IdempotencyMismatch, IntegrityFailure, KeyUnavailable
from vault.idempotency import KEPT_SECONDS, Asked, Claim, Replay, begin, finish
from vault.remembering import Handle, handles, opened, seal
from vault.store.tables import IdempotentRequest, SeenProof
from vault.tokens import claim_proof
from vault.unit import execute

ASKED = Asked("till", "order-17", b"POST /v1/subjects {}")
OUTCOME = b"ref_0123456789abcdefghjkmnpqrs 1"


def run(store, *asked):
    """Does the write (one row per run) unless it was done before."""

    def batch(unit, items):
        answers = begin(unit, items)
        for answer in answers:
            if isinstance(answer, Claim):
                assert claim_proof(unit, unit.vault.entropy.bytes(16), 0)
        finish(unit, [(answer, 201, OUTCOME) for answer in answers if isinstance(answer, Claim)])
        return lambda commit: answers

    return execute(store, batch, asked)


def done(store):
    with store.reading() as conn:
        return conn.scalar(select(func.count()).select_from(SeenProof))


def test_the_second_time_is_a_replay(store):
    (first,) = run(store, ASKED)
    (second,) = run(store, ASKED)
    assert isinstance(first, Claim)
    assert second == Replay(201, OUTCOME)
    assert done(store) == 1


def test_the_same_key_with_another_request_is_refused(store):
    run(store, ASKED)
    (answer,) = run(store, Asked("till", "order-17", b"POST /v1/subjects {1}"))
    assert isinstance(answer, IdempotencyMismatch)
    assert done(store) == 1


@pytest.mark.parametrize("other", [Asked("crm", "order-17", ASKED.request), Asked("till", "order-18", ASKED.request)])
def test_keys_belong_to_their_system(store, other):
    run(store, ASKED)
    assert isinstance(run(store, other)[0], Claim)
    assert done(store) == 2


def test_a_key_twice_in_one_batch_is_done_once(store):
    first, second = run(store, ASKED, ASKED)
    assert isinstance(first, Claim)
    assert second == Replay(201, OUTCOME)
    assert done(store) == 1


def test_an_unfinished_claim_is_new_again(store):
    with store.unit() as unit:
        assert isinstance(begin(unit, [ASKED])[0], Claim)
        unit.commit()
    assert isinstance(run(store, ASKED)[0], Claim)


def test_after_a_day_a_key_is_new(store, clock):
    run(store, ASKED)
    clock.advance(KEPT_SECONDS - 1)
    assert isinstance(run(store, ASKED)[0], Replay)
    clock.advance(1)
    assert isinstance(run(store, ASKED)[0], Claim)
    assert isinstance(run(store, ASKED)[0], Replay)


def test_nothing_of_the_request_is_stored(store):
    run(store, ASKED)
    with store.reading() as conn:
        (row,) = conn.execute(select(IdempotentRequest.__table__)).all()
    for part in (ASKED.key.encode(), ASKED.request, OUTCOME):
        assert all(part not in column for column in row if isinstance(column, bytes))
    assert ASKED.key not in repr(ASKED)


def test_an_outcome_moved_to_another_key_does_not_open(store):
    other = Asked("till", "order-18", ASKED.request)
    run(store, ASKED, other)
    with store.unit() as unit:
        outcomes = list(unit.conn.scalars(select(IdempotentRequest.outcome)))
        unit.conn.execute(update(IdempotentRequest).values(outcome=outcomes[0]))
        unit.commit()
    answers = [run(store, asked)[0] for asked in (ASKED, other)]
    assert {type(answer) for answer in answers} == {Replay, IntegrityFailure}


def test_of_many_that_race_with_one_key_one_does_it(store):
    gate, answers = threading.Barrier(4), []

    def ask():
        gate.wait()
        answers.extend(run(store, ASKED))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(answer).__name__ for answer in answers) == ["Claim", "Replay", "Replay", "Replay"]
    assert done(store) == 1


class Ending:
    """Keys whose oldest epoch ends between its naming and its use, so many times."""

    def __init__(self, times):
        self.times = times

    def index_epochs(self):
        return (2, 1) if self.times else (2,)

    def blind(self, label, messages, epoch):
        if epoch == 1:
            self.times -= 1
            raise KeyUnavailable
        return [bytes(16)] * len(messages)


def test_an_epoch_that_ends_meanwhile_is_not_asked_again():
    asked = [(("till", "order-17"), b"")]
    assert [each.epoch for each in handles(Ending(1), "idempotency", asked)[0]] == [2]
    with pytest.raises(Conflict):
        handles(Ending(99), "idempotency", asked)


@pytest.mark.parametrize("act", [seal, opened])
def test_an_epoch_that_ends_before_the_outcome_is_a_conflict_and_no_missing_key(act):
    old = Handle(1, bytes(16), bytes(16))
    with pytest.raises(Conflict) as ended:
        act(Ending(1), "idempotency", [(old, bytes(32))])
    assert ended.value.__suppress_context__
    # While the epoch is named, a key that is not given out is just that: running again would change nothing.
    with pytest.raises(KeyUnavailable):
        act(Ending(2), "idempotency", [(old, bytes(32))])


@pytest.mark.parametrize("other", [(("a", "bc"), b""), (("ab", "c"), b"x"), (("ab", "c", ""), b"")])
def test_no_two_requests_have_one_handle(store, other):
    first, second = handles(store.keys, "idempotency", [(("ab", "c"), b""), other])
    assert first[0].content != second[0].content
    assert (first[0].key == second[0].key) == (other[0] == ("ab", "c"))
    assert handles(store.keys, "import", [(("ab", "c"), b"")])[0] != first
