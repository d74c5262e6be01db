"""The unit of work: all or nothing, proof of commit, one item's failure fails that item alone."""

import threading

import pytest
from faulty_connections import Fault, Faults, creator_for
from sqlalchemy import func, select, text

from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault.errors import Conflict, InvalidFields, StoreUnavailable, Unexpected, UnknownReference, VaultError
from vault.store.bulk import insert_rows
from vault.store.engine import open_engine
from vault.store.tables import SeenProof
from vault.unit import Commit, execute

ENTRY = Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "test"))


def size(store):
    with store.reading() as conn:
        return ledger.head(conn, 0).size


def rows(store):
    with store.reading() as conn:
        return conn.scalar(select(func.count()).select_from(SeenProof))


def put(unit, number):
    insert_rows(unit.conn, SeenProof, [{"hash": number.to_bytes(16), "expires_at": 1}])


def writing(unit, items):
    """Stores each number and records an entry; a number's own words say how it fails."""
    entries = []
    for item in items:
        number, failure = item if isinstance(item, tuple) else (item, None)
        put(unit, number)
        if failure is not None:
            raise failure
        entries.append(unit.record(ENTRY))
    return lambda commit: [commit.covers(entry) for entry in entries]


def test_a_commit_covers_its_entries(store):
    before = size(store)
    with store.unit() as unit:
        first, second = unit.record(ENTRY), unit.record(ENTRY)
        commit = unit.commit()
    assert commit.covers(first)
    assert commit.covers(second)
    assert not commit.covers(bytes(16))
    assert (commit.first_index, commit.size) == (before, before + 2)
    assert commit.entries[second] == before + 1
    with store.reading() as conn:
        stored = ledger.read(conn, 0, before, 2)
    assert [record.entry_id for record in stored] == [first, second]
    assert commit.leaf(second) == stored[1].leaf


def test_nobody_else_makes_a_commit():
    with pytest.raises(TypeError):
        Commit(0, 0, {}, (), object())


def test_a_unit_without_commit_leaves_nothing(store):
    before = size(store)
    with store.unit() as unit:
        put(unit, 1)
        unit.record(ENTRY)
    assert (rows(store), size(store)) == (0, before)


def test_a_failing_unit_leaves_nothing(store):
    before = size(store)
    with pytest.raises(UnknownReference), store.unit() as unit:
        put(unit, 1)
        unit.record(ENTRY)
        raise UnknownReference
    assert (rows(store), size(store)) == (0, before)


def test_a_unit_without_entries_leaves_the_head_alone(store):
    before = size(store)
    with store.unit() as unit:
        put(unit, 1)
        commit = unit.commit()
    assert (rows(store), size(store)) == (1, before)
    assert not commit.entries


def test_a_unit_is_over_after_its_commit(store):
    with store.unit() as unit:
        unit.record(ENTRY)
        unit.commit()
        with pytest.raises(RuntimeError):
            unit.record(ENTRY)
        with pytest.raises(RuntimeError):
            unit.commit()
    with pytest.raises(RuntimeError):
        store.unit().commit()


def test_reading_cannot_write(store):
    with pytest.raises(VaultError), store.reading() as conn:
        insert_rows(conn, SeenProof, [{"hash": bytes(16), "expires_at": 1}])
    assert rows(store) == 0


def test_a_batch_is_one_unit(store):
    before = size(store)
    assert execute(store, writing, [1, 2, 3]) == [True, True, True]
    assert (rows(store), size(store)) == (3, before + 3)


def test_an_empty_batch_touches_nothing(store):
    assert execute(store, writing, []) == []


def test_one_items_failure_fails_that_item_alone(store):
    answers = execute(store, writing, [1, 2, (3, UnknownReference()), 4, 5])
    assert answers[:2] == [True, True]
    assert isinstance(answers[2], UnknownReference)
    assert answers[3:] == [True, True]
    assert rows(store) == 4


def test_a_value_that_the_database_does_not_take_fails_its_item_alone(store):
    """A driver's error about a value is no word on the store: the neighbours are served."""
    wrong = "a\0b" if store.engine.dialect.name == "postgresql" else "x" * 1_000_000_001  # no text; longer than a row

    def batch(unit, items):
        for item in items:
            unit.conn.execute(text("SELECT length(CAST(:it AS TEXT)), :more"), {"it": str(item), "more": "x"})
            put(unit, item)
            if item == 3:
                unit.conn.execute(text("SELECT CAST(:it AS TEXT)"), {"it": wrong})
        return lambda _: list(items)

    *good, bad, last = execute(store, batch, [1, 2, 3, 4])
    assert (good, last) == ([1, 2], 4)
    assert isinstance(bad, Unexpected)
    assert rows(store) == 3


@pytest.mark.parametrize(
    "statement", ["SELECT 1 / :it", "SELECT CAST('a' AS INTEGER) + :it", "SELECT repeat('a', 2000000000) || :it"]
)
def test_what_postgresql_cannot_work_out_is_the_items_fault(store, statement):
    if store.engine.dialect.name != "postgresql":
        pytest.skip("SQLite works out anything")
    with pytest.raises(Unexpected) as caught, store.unit() as unit:
        unit.conn.execute(text(statement), {"it": 0})
    assert str(caught.value) == "database: a value"
    with store.unit() as unit:  # the connection is as good as before
        put(unit, 1)
        unit.commit()


def test_a_defect_in_one_item_becomes_its_answer_without_its_words(store):
    good, bad = execute(store, writing, [1, (2, ValueError("Zoé Ξένος"))])
    assert good is True
    assert isinstance(bad, Unexpected)
    assert "ValueError at test_vault_unit:" in str(bad)
    assert "Zoé" not in repr(bad)
    assert bad.__context__ is None
    assert bad.__cause__ is None


def test_errors_keep_what_they_say_when_handed_to_each_item(store):
    def finish_fails(unit, items):
        def finish(commit):
            raise InvalidFields((("phone", "not_a_number"),))

        return finish

    first, second = execute(store, finish_fails, [1, 2])
    assert first.problems == second.problems == (("phone", "not_a_number"),)
    assert first is not second


def test_nothing_runs_again_once_durable(store):
    runs = []

    def batch(unit, items):
        runs.append(len(items))
        for item in items:
            put(unit, item)

        def finish(commit):
            raise KeyError("late")

        return finish

    answers = execute(store, batch, [1, 2])
    assert [type(answer) for answer in answers] == [Unexpected, Unexpected]
    assert runs == [2]
    assert rows(store) == 2


def test_answers_must_match_items(store):
    answers = execute(store, lambda unit, items: lambda commit: [True], [1, 2])
    assert [type(answer) for answer in answers] == [Unexpected, Unexpected]


def test_a_lone_item_that_loses_a_race_runs_again(store):
    runs = []

    def batch(unit, items):
        runs.append(items)
        if len(runs) == 1:
            raise Conflict("seen_proof")
        return lambda commit: ["second time"]

    assert execute(store, batch, [1]) == ["second time"]


def test_a_conflict_that_stays_is_told(store):
    assert execute(store, writing, [1]) == [True]
    (answer,) = execute(store, writing, [1])
    assert isinstance(answer, Conflict)
    assert answer.retryable


@pytest.mark.parametrize(("fault", "durable"), [(Fault.REFUSED, 0), (Fault.LOST, 2)])
def test_an_unanswered_commit_is_told_to_all_and_never_run_again(place, opening, fault, durable):
    faults = Faults()
    store = opening(engine=open_engine(place.database, creator=creator_for(place.database, faults)))
    before = size(store)
    faults.commit = fault
    runs = []

    def batch(unit, items):
        runs.append(len(items))
        finish = writing(unit, items)

        def never(commit):
            runs.append("finished")
            return finish(commit)

        return never

    answers = execute(store, batch, [1, 2])
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    assert runs == [2]  # neither run again nor finished: nothing was disclosed
    faults.commit = Fault.NONE
    assert (rows(store), size(store)) == (durable, before + durable)
    assert execute(store, writing, [3]) == [True]  # the vault goes on


def test_units_of_two_threads_never_share_an_index(store):
    before = size(store)
    commits, gate = [], threading.Barrier(4)

    def work(seed):
        gate.wait()
        for number in range(10):
            with store.unit() as unit:
                put(unit, seed * 100 + number)
                unit.record(ENTRY)
                commits.append(unit.commit())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    indexes = sorted(index for commit in commits for index in commit.entries.values())
    assert indexes == list(range(before, before + 40))
