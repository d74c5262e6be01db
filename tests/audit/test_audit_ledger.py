"""The ledger's contract, the same on SQLite and PostgreSQL: order, atomicity, one writer at a time."""

import sqlite3
import threading
import time

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tamperable_log import ORIGIN, START, Ed25519Signer, body, entry_id

from audit import ledger
from audit.checkpoint import open_checkpoint
from audit.errors import PinUnavailable, SigningRefused, UnknownLog
from audit.findings import Verdict
from audit.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_hash
from audit.verify import verify_log
from vault.store.engine import open_engine

# Straight from the driver: the unit of work that owns the connection translates them.
TAKEN = (sqlite3.IntegrityError, psycopg.errors.UniqueViolation)


@pytest.fixture
def engine(database_url):
    made = open_engine(database_url)
    with made.begin() as conn:
        ledger.create_head(conn, 0, ORIGIN, START)
    yield made
    made.dispose()


@pytest.fixture
def pinned(tmp_path):
    return tmp_path / "last_signed"


def batch(start, count):
    return [(entry_id(number), body(number)) for number in range(start, start + count)]


def append(engine, start, count, shard=0):
    with engine.begin() as conn:
        return ledger.append(conn, shard, batch(start, count), START)


def sign(engine, signer, pinned=None, shard=0):
    with engine.begin() as conn:
        return ledger.sign_checkpoint(conn, shard, (signer,), pinned)


def root(count):
    return root_hash(leaf_hash(body(number)) for number in range(count))


def verify(engine, signer, pinned=(), shard=0):
    with engine.begin() as conn:
        return verify_log(ledger.stored_log(conn, shard), (signer.vkey,), pinned)


def test_a_new_log_is_empty(engine):
    with engine.begin() as conn:
        head = ledger.head(conn, 0)
        assert (head.origin, head.size, head.frontier.root(), head.last_t) == (ORIGIN, 0, EMPTY_ROOT, START)
        assert ledger.read(conn, 0, 0, 10) == []
        assert ledger.latest_checkpoint(conn, 0) is None
        assert ledger.shards(conn) == [0]


def test_batches_follow_each_other(engine):
    done = [append(engine, 0, 1), append(engine, 1, 40), append(engine, 41, 3)]
    assert [each.first_index for each in done] == [0, 1, 41]
    assert [each.size for each in done] == [1, 41, 44]
    assert [each.root for each in done] == [root(1), root(41), root(44)]
    assert done[1].leaves == tuple(leaf_hash(body(number)) for number in range(1, 41))
    with engine.begin() as conn:
        records = ledger.read(conn, 0, 40, 100)
        assert [record.idx for record in records] == [40, 41, 42, 43]
        assert [record.body for record in records] == [body(number) for number in range(40, 44)]
        assert [record.entry_id for record in records] == [entry_id(number) for number in range(40, 44)]
        assert len(ledger.read(conn, 0, 0, 7)) == 7
        assert ledger.head(conn, 0).frontier.root() == root(44)


def test_an_empty_batch_changes_nothing(engine):
    append(engine, 0, 3)
    with engine.begin() as conn:
        done = ledger.append(conn, 0, [], START + 99)
        assert (done.first_index, done.size, done.root, done.leaves) == (3, 3, root(3), ())
        assert ledger.head(conn, 0).last_t == START


def test_the_latest_time_never_goes_back(engine):
    for t, expected in ((START + 5, START + 5), (START + 2, START + 5), (START + 9, START + 9)):
        with engine.begin() as conn:
            size = ledger.head(conn, 0).size
            ledger.append(conn, 0, batch(size, 1), t)
            assert ledger.head(conn, 0).last_t == expected


def test_a_transaction_rolled_back_leaves_no_trace(engine):
    append(engine, 0, 2)
    with engine.connect() as conn:
        conn.begin()
        ledger.append(conn, 0, batch(2, 5), START)
        conn.rollback()
    assert append(engine, 2, 1).first_index == 2


def test_an_entry_is_taken_once(engine):
    append(engine, 0, 2)
    with pytest.raises(TAKEN):
        append(engine, 1, 1)
    with engine.begin() as conn:
        assert ledger.head(conn, 0).size == 2


def test_a_log_that_was_never_started_takes_nothing(engine):
    with engine.begin() as conn:
        for ask in (
            lambda: ledger.append(conn, 9, batch(0, 1), START),
            lambda: ledger.head(conn, 9),
            lambda: ledger.stored_log(conn, 9),
            lambda: ledger.sign_checkpoint(conn, 9, (Ed25519Signer(ORIGIN),), None),
        ):
            with pytest.raises(UnknownLog):
                ask()


def test_shards_do_not_share_a_log(engine, signer):
    with engine.begin() as conn:
        ledger.create_head(conn, 1, f"{ORIGIN}/1", START)
    append(engine, 0, 3)
    assert append(engine, 3, 2, shard=1).first_index == 0
    other = Ed25519Signer(f"{ORIGIN}/1")
    sign(engine, signer)
    sign(engine, other, shard=1)
    assert verify(engine, signer).size == 3
    assert verify(engine, other, shard=1).size == 2
    with pytest.raises(IntegrityError), engine.begin() as conn:
        ledger.create_head(conn, 2, ORIGIN, START)


def test_writers_at_once_leave_no_gap_and_one_order(engine, signer):
    firsts = []

    def write(writer):
        firsts.extend(append(engine, 1000 * writer + 3 * turn, 3).first_index for turn in range(8))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(firsts) == list(range(0, 96, 3))
    sign(engine, signer)
    result = verify(engine, signer)
    assert result.verdict is Verdict.FINE
    assert (result.size, result.signed) == (96, 96)


def test_a_checkpoint_vouches_for_what_is_stored(engine, signer, pinned):
    append(engine, 0, 5)
    note = sign(engine, signer, pinned)
    signed = open_checkpoint(note, (signer.vkey,), ORIGIN)
    assert (signed.size, signed.root) == (5, root(5))
    assert pinned.read_text() == note
    assert pinned.stat().st_mode & 0o777 == 0o600
    assert not list(pinned.parent.glob("*.new"))
    with engine.begin() as conn:
        assert ledger.latest_checkpoint(conn, 0) == note


def test_nothing_new_is_not_signed_again(engine, signer, pinned):
    assert sign(engine, signer, pinned) is None
    append(engine, 0, 1)
    assert sign(engine, signer, pinned)
    assert sign(engine, signer, pinned) is None
    append(engine, 1, 1)
    assert sign(engine, signer, pinned)
    with engine.begin() as conn:
        assert [each.size for each in ledger.stored_log(conn, 0).checkpoints] == [1, 2]


def test_signing_reads_past_one_chunk(engine, signer):
    append(engine, 0, 4100)
    assert sign(engine, signer)
    append(engine, 4100, 1)
    assert sign(engine, signer)
    assert verify(engine, signer).verdict is Verdict.FINE


def test_signers_at_once_sign_each_size_once(engine, signer, pinned):
    append(engine, 0, 10)
    notes = []
    start = threading.Barrier(4)

    def work():
        start.wait()
        notes.append(sign(engine, signer, pinned))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(notes) == 4
    assert len([note for note in notes if note]) == 1
    assert pinned.read_text() in notes


def waits_for_a_lock(engine):
    here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    with engine.connect() as conn:
        return conn.scalar(text(f"SELECT count(*) FROM pg_locks WHERE NOT granted AND {here}"))  # noqa: S608


def test_whoever_opens_a_door_on_it_is_not_passed_over_for_another_signer(engine, signer, pinned):
    append(engine, 0, 5)
    answers = []
    asks = threading.Event()

    def opens():
        asks.set()
        with engine.begin() as conn:
            try:
                answers.append(ledger.sign_checkpoint(conn, 0, (signer,), pinned, wait=True))
            except SigningRefused as refused:
                answers.append(refused)

    waiting = threading.Thread(target=opens)
    with engine.begin() as conn:
        ledger.sign_checkpoint(conn, 0, (signer,), None)
        conn.execute(text("UPDATE log_entry SET body = :body WHERE idx = 3"), {"body": b"{}"})
        conn.execute(text("DELETE FROM log_checkpoint"))
        waiting.start()
        assert asks.wait(30)
        if engine.dialect.name == "postgresql":  # SQLite names nobody who waits: there the answer alone shows it
            deadline = time.monotonic() + 120
            while not waits_for_a_lock(engine):
                assert time.monotonic() < deadline
        assert waiting.is_alive()
    waiting.join()
    assert [type(each) for each in answers] == [SigningRefused]


def test_signing_while_others_append(engine, signer, pinned):
    append(engine, 0, 1)
    done = threading.Event()
    signed = []

    def keep_signing():
        while not done.is_set():
            signed.append(sign(engine, signer, pinned))

    signers = [threading.Thread(target=keep_signing) for _ in range(2)]
    for thread in signers:
        thread.start()
    for number in range(1, 60):
        append(engine, number, 1)
    done.set()
    for thread in signers:
        thread.join()
    sign(engine, signer, pinned)
    sizes = [open_checkpoint(note, (signer.vkey,), ORIGIN).size for note in signed if note]
    assert len(sizes) == len(set(sizes))
    result = verify(engine, signer, [pinned.read_text()])
    assert result.verdict is Verdict.FINE
    assert result.signed == 60


def rewind(engine, size):
    """Put the database back to an earlier size, as restoring a backup does."""
    with engine.begin() as conn:
        conn.execute(text("DELETE FROM log_entry WHERE idx >= :size"), {"size": size})
        conn.execute(text("DELETE FROM log_checkpoint WHERE size > :size"), {"size": size})
        frontier = Frontier().extend(leaf_hash(body(number)) for number in range(size))
        conn.execute(text("UPDATE log_head SET size = :size, stack = :stack"), {"size": size, "stack": frontier.pack()})


def test_a_database_from_backup_is_not_signed_for(engine, signer, pinned):
    append(engine, 0, 6)
    sign(engine, signer, pinned)
    append(engine, 6, 4)
    note = sign(engine, signer, pinned)
    rewind(engine, 6)
    with pytest.raises(SigningRefused):
        sign(engine, signer, pinned)
    assert pinned.read_text() == note
    # Growing again under the same name does not help: other entries stand where the published ones stood.
    append(engine, 100, 7)
    with pytest.raises(SigningRefused):
        sign(engine, signer, pinned)
    assert verify(engine, signer, [note]).verdict is Verdict.TAMPERED


def test_a_database_brought_back_whole_is_signed_for_again(engine, signer, pinned):
    append(engine, 0, 6)
    sign(engine, signer, pinned)
    append(engine, 6, 4)
    sign(engine, signer, pinned)
    rewind(engine, 6)
    append(engine, 6, 5)  # the missing four, from an export, and one more
    assert sign(engine, signer, pinned)
    assert verify(engine, signer).verdict is Verdict.FINE


def test_a_smaller_head_than_the_last_checkpoint_is_not_signed(engine, signer):
    append(engine, 0, 6)
    sign(engine, signer)
    with engine.begin() as conn:
        frontier = Frontier().extend(leaf_hash(body(number)) for number in range(4))
        conn.execute(text("UPDATE log_head SET size = 4, stack = :stack"), {"stack": frontier.pack()})
    with pytest.raises(SigningRefused):
        sign(engine, signer)


def test_a_commit_lost_after_the_file_was_written_is_made_up_for(engine, signer, pinned):
    append(engine, 0, 3)
    with engine.connect() as conn:
        conn.begin()
        ledger.sign_checkpoint(conn, 0, (signer,), pinned)
        conn.rollback()
    append(engine, 3, 2)
    note = sign(engine, signer, pinned)
    assert pinned.read_text() == note
    assert verify(engine, signer, [note]).verdict is Verdict.FINE


def test_a_file_that_lags_behind_is_caught_up(engine, signer, pinned):
    append(engine, 0, 3)
    old = sign(engine, signer, pinned)
    append(engine, 3, 3)
    sign(engine, signer, pinned)
    append(engine, 6, 1)
    pinned.write_text(old)
    note = sign(engine, signer, pinned)
    assert pinned.read_text() == note


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log_entry SET body = leaf WHERE idx = 5",
        "DELETE FROM log_entry WHERE idx = 5",
        "UPDATE log_entry SET idx = 999 WHERE idx = 7",
        "UPDATE log_checkpoint SET note = 'x'",
        "UPDATE log_checkpoint SET stack = leaf FROM log_entry WHERE idx = 1",
        "UPDATE log_checkpoint SET size = 5",
    ],
)
def test_a_damaged_log_is_not_signed_for(engine, signer, pinned, damage):
    append(engine, 0, 4)
    sign(engine, signer, pinned)
    append(engine, 4, 4)
    with engine.begin() as conn:
        conn.execute(text(damage))
    with pytest.raises(SigningRefused):
        sign(engine, signer, pinned)


@pytest.mark.parametrize("content", ["", "x", "x\n\n— y z\n"])
def test_a_damaged_file_outside_stops_signing(engine, signer, pinned, content):
    append(engine, 0, 2)
    pinned.write_text(content)
    with pytest.raises(SigningRefused):
        sign(engine, signer, pinned)


def test_a_file_of_another_key_stops_signing(engine, signer, pinned):
    append(engine, 0, 2)
    sign(engine, Ed25519Signer(ORIGIN, b"\x02" * 32), pinned)
    append(engine, 2, 1)
    with pytest.raises(SigningRefused):
        sign(engine, signer, pinned)


def test_a_signer_of_another_name_is_refused(engine):
    append(engine, 0, 1)
    with pytest.raises(SigningRefused):
        sign(engine, Ed25519Signer("vault.example/other"))


def test_a_file_that_cannot_be_written_leaves_nothing_signed(engine, signer, tmp_path):
    append(engine, 0, 1)
    with pytest.raises(PinUnavailable) as caught:
        sign(engine, signer, tmp_path / "no such folder" / "last_signed")
    assert str(tmp_path) not in str(caught.value)
    with engine.begin() as conn:
        assert ledger.latest_checkpoint(conn, 0) is None


def test_a_file_that_cannot_be_read_stops_signing(engine, signer, tmp_path):
    append(engine, 0, 1)
    (tmp_path / "folder").mkdir()
    with pytest.raises(PinUnavailable):
        sign(engine, signer, tmp_path / "folder")


def test_verification_beside_writers_finds_no_fault(engine, signer):
    append(engine, 0, 50)
    sign(engine, signer)
    with engine.connect() as conn:
        log = ledger.stored_log(conn, 0)
        conn.rollback()
        append(engine, 50, 3)
        sign(engine, signer)
        assert verify_log(log, (signer.vkey,)).verdict is Verdict.FINE
        conn.rollback()


def test_rows_print_nothing(engine):
    from audit.tables import LogEntry

    assert "body" not in repr(LogEntry(shard=0, idx=0, entry_id=b"", leaf=b"", body=b"secret"))


def test_a_head_that_moved_meanwhile_is_a_conflict_and_not_a_fork(engine):
    """What a caller without the write lock would run into: the head it read is no longer the head."""
    append(engine, 0, 3)
    with engine.connect() as conn:
        conn.begin()
        store = ledger._store_postgresql if conn.dialect.name == "postgresql" else ledger._store_sqlite
        (_, content), new = batch(7, 1)[0], batch(7, 1)
        stale = (2, Frontier().extend([leaf_hash(body(0)), leaf_hash(content)]).pack(), START, 0, 1)
        if conn.dialect.name == "postgresql":
            assert not store(conn, stale, [leaf_hash(content)], new)
        else:
            with pytest.raises(TAKEN):  # index 1 is taken: the key refuses before the head is asked
                store(conn, stale, [leaf_hash(content)], new)
        conn.rollback()
    assert append(engine, 3, 1).first_index == 3
