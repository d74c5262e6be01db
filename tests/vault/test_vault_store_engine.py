"""The engine: durable settings asserted, and no driver's word crosses the border."""

import contextlib
import sqlite3
import threading
import traceback

import psycopg
import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.engine import make_url

from vault.errors import Conflict, StoreFull, StoreUnavailable, UnsafeSetting, VaultError
from vault.store.engine import open_engine, translate
from vault.store.tables import Officer, SeenProof, System

CANARY = "Zoé-Ξένος-7731"

on_sqlite = pytest.mark.parametrize("databases", ["sqlite"], indirect=True, scope="session")
on_postgresql = pytest.mark.parametrize(
    "databases", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True, scope="session"
)


@pytest.fixture
def engine(database_url):
    engine = open_engine(database_url, busy_timeout_ms=500)
    yield engine
    engine.dispose()


def plain(url):
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def everything(error):
    """All that a careless logger could print of an exception."""
    seen, parts = set(), []
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        parts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        parts += traceback.format_exception(error)
        error = error.__cause__ or error.__context__
    return "".join(parts)


def officer(**changes):
    row = {"id": "dpo-1", "role": "auditor", "status": "active", "password_hash": CANARY, "created_at": 1}
    return insert(Officer).values(row | changes)


@pytest.mark.parametrize(
    ("statements", "constraint"),
    [
        ([officer(), officer()], {"pk_officer", "officer"}),
        ([officer(role=CANARY[:16])], {"ck_officer_role"}),
        (
            [insert(Officer).values(id=CANARY, role="auditor", status="active", created_at=1)],
            {"password_hash", "officer"},
        ),
    ],
    ids=["unique", "check", "not-null"],
)
def test_a_violated_constraint_is_named_and_nothing_else(engine, statements, constraint):
    with pytest.raises(Conflict) as caught, translate(), engine.begin() as conn:
        for statement in statements:
            conn.execute(statement)
    assert str(caught.value) in constraint
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert CANARY not in everything(caught.value)


@pytest.mark.postgresql
def test_postgresql_says_the_row_where_nobody_translates(postgres):
    """Why `translate` exists: the driver's own exception prints it, whatever `hide_parameters` says."""
    with psycopg.connect(plain(postgres.url())) as conn:
        conn.execute("CREATE TEMPORARY TABLE t (name text UNIQUE)")
        conn.execute("INSERT INTO t VALUES (%s)", (CANARY,))
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            conn.execute("INSERT INTO t VALUES (%s)", (CANARY,))
        assert CANARY in everything(caught.value)


def test_a_statement_that_makes_no_sense_says_nothing(engine):
    with pytest.raises(StoreUnavailable) as caught, translate(), engine.begin() as conn:
        conn.execute(text("SELECT :name FROM nowhere"), {"name": CANARY})
    assert CANARY not in everything(caught.value)


def test_other_exceptions_pass(engine):
    with pytest.raises(KeyError), translate(), engine.begin():
        raise KeyError("mine")


def test_sqlite_stands_as_it_must(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'a.sqlite'}")
    with engine.connect() as conn:
        held = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "secure_delete", "trusted_schema", "foreign_keys", "temp_store")
        }
    engine.dispose()
    assert held == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "trusted_schema": 0,
        "foreign_keys": 1,
        "temp_store": 2,
    }


def test_sqlite_that_cannot_keep_a_log_is_refused(tmp_path):
    def in_memory():
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    with pytest.raises(UnsafeSetting, match="journal_mode"):
        open_engine(f"sqlite:///{tmp_path / 'a.sqlite'}", creator=in_memory)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://somewhere/else"])
def test_other_databases_are_refused(url):
    with pytest.raises(UnsafeSetting):
        open_engine(url)


@pytest.mark.postgresql
@pytest.mark.parametrize("weak", ["off", "local", "remote_write"])
def test_postgresql_that_may_lose_a_commit_is_refused(postgres, weak):
    def careless():
        return psycopg.connect(plain(postgres.url()), options=f"-c synchronous_commit={weak}")

    with pytest.raises(UnsafeSetting, match="synchronous_commit"):
        open_engine(postgres.url(), creator=careless)


@on_postgresql
def test_postgresql_default_of_a_database_does_not_weaken_us(database_url):
    with psycopg.connect(plain(database_url), autocommit=True) as conn:
        conn.execute(f'ALTER DATABASE "{make_url(database_url).database}" SET synchronous_commit = off')
    engine = open_engine(database_url)
    with engine.connect() as conn:
        assert conn.scalar(text("SHOW synchronous_commit")) == "on"
    engine.dispose()


def test_no_server_is_unavailable(tmp_path):
    with pytest.raises(StoreUnavailable):
        open_engine(f"postgresql+psycopg://ecrin@/ecrin?host={tmp_path}")


def test_no_folder_is_unavailable(tmp_path):
    with pytest.raises(StoreUnavailable):
        open_engine(f"sqlite:///{tmp_path / 'missing' / 'a.sqlite'}")


def test_a_full_sqlite_disk_is_store_full(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'a.sqlite'}", pool_size=1)
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE t (body BLOB)"))
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreFull) as caught, translate(), engine.begin() as conn:
        conn.execute(text("INSERT INTO t VALUES (zeroblob(100000))"))
    assert caught.value.retryable
    engine.dispose()


def test_a_sqlite_file_that_may_only_be_read_is_store_full(tmp_path):
    path = tmp_path / "a.sqlite"
    open_engine(f"sqlite:///{path}").dispose()
    path.touch()

    def read_only():
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)

    engine = open_engine(f"sqlite:///{path}", creator=read_only)
    with pytest.raises(StoreFull), translate(), engine.begin() as conn:
        conn.execute(text("CREATE TABLE t (x)"))
    engine.dispose()


@pytest.mark.postgresql
@pytest.mark.parametrize("state", ["53100", "42501", "25006"])
def test_a_postgresql_server_that_cannot_write_is_store_full(postgres, state):
    engine = open_engine(postgres.url())
    with pytest.raises(StoreFull), translate(), engine.begin() as conn:
        conn.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no room for {CANARY}' USING ERRCODE = '{state}'; END $$"))
    engine.dispose()


@on_postgresql
def test_a_standby_is_store_full(database_url):
    with psycopg.connect(plain(database_url), autocommit=True) as conn:
        conn.execute(f'ALTER DATABASE "{make_url(database_url).database}" SET default_transaction_read_only = on')
    engine = open_engine(database_url)
    with pytest.raises(StoreFull), translate(), engine.begin() as conn:
        conn.execute(officer())
    engine.dispose()


@pytest.mark.postgresql
def test_a_connection_lost_is_unavailable_once(postgres):
    engine = open_engine(postgres.url())
    with pytest.raises(StoreUnavailable), translate(), engine.begin() as conn:
        pid = conn.scalar(text("SELECT pg_backend_pid()"))
        with psycopg.connect(plain(postgres.url()), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        conn.execute(text("SELECT 1"))
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT 1")) == 1
    engine.dispose()


@on_sqlite
def test_a_write_unit_locks_before_it_reads(database_url):
    """Check-then-write is atomic: on SQLite the second writer waits at BEGIN, and gives up as unavailable."""
    engine = open_engine(database_url, busy_timeout_ms=100)
    with engine.begin() as first:
        first.execute(text("SELECT count(*) FROM seen_proof"))
        with pytest.raises(StoreUnavailable), translate(), engine.begin():
            pass
    engine.dispose()


@on_postgresql
def test_a_deadlock_is_a_conflict(database_url):
    engine = open_engine(database_url)
    with engine.begin() as conn:
        conn.execute(insert(SeenProof), [{"hash": bytes([n]) * 16, "expires_at": 0} for n in (1, 2)])
    gate, outcomes = threading.Barrier(2), []

    def step(conn, key):
        conn.execute(update(SeenProof).where(SeenProof.hash == bytes([key]) * 16).values(expires_at=1))

    def work(first, second):
        try:
            with translate(), engine.begin() as conn:
                step(conn, first)
                gate.wait()
                step(conn, second)
        except VaultError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()
    assert [type(outcome) for outcome in outcomes] == [Conflict]


def test_a_pool_that_is_used_up_is_unavailable(database_url):
    engine = open_engine(database_url, pool_size=1, pool_timeout_s=0.1)
    with engine.connect(), pytest.raises(StoreUnavailable), translate(), engine.connect():
        pass
    engine.dispose()


@on_postgresql
def test_a_wait_for_a_postgresql_lock_ends(database_url):
    engine = open_engine(database_url, busy_timeout_ms=100)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(engine.begin())
        first.execute(text("LOCK TABLE seen_proof"))
        with pytest.raises(StoreUnavailable), translate(), engine.begin() as second:
            second.execute(text("SELECT count(*) FROM seen_proof"))
    engine.dispose()


def test_no_table_prints_its_columns():
    row = System(id="till", name=CANARY)
    assert CANARY not in repr(row)
    assert CANARY not in str(row)
