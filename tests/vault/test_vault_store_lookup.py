"""Look-ups: the rows SQLAlchemy would give, for any number of keys, inside the open transaction."""

import pytest
from sqlalchemy import bindparam, select, text

from vault.errors import StoreUnavailable
from vault.store import lookup
from vault.store.bulk import insert_rows
from vault.store.engine import open_engine, translate
from vault.store.keysets import padded
from vault.store.lookup import look_up
from vault.store.tables import metadata

_TOKENS = metadata.tables["token_subject"]
_HELD = select(_TOKENS.c.token_hash, _TOKENS.c.subject_id, _TOKENS.c.uses_left).where(
    # In the other order than below: each key has to find its own placeholder.
    _TOKENS.c.shard.in_(bindparam("shards", expanding=True)),
    _TOKENS.c.subject_id.in_(bindparam("subjects", expanding=True)),
)


@pytest.fixture
def conn(database_url):
    engine = open_engine(database_url)
    metadata.create_all(engine)
    with engine.connect() as conn:
        rows = [
            {
                "token_hash": bytes([number]) * 32,
                "subject_id": bytes([number]) * 16,
                "shard": number % 3,
                "subject_epoch": 1,
                "consent_epoch": 0,
                "uses_left": number,
            }
            for number in range(40)
        ]
        insert_rows(conn, _TOKENS, rows)
        yield conn
    engine.dispose()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33])
@pytest.mark.parametrize("shards", [[0], [0, 2], [0, 1, 2]])
def test_same_rows_as_the_core(conn, count, shards):
    subjects = [bytes([number]) * 16 for number in range(count)]
    found = look_up(conn, _HELD, {"subjects": subjects, "shards": shards})
    expected = conn.execute(_HELD, {"subjects": subjects, "shards": shards}).all()
    assert sorted(found) == sorted(map(tuple, expected))
    assert len(found) == sum(number % 3 in shards for number in range(count))


def test_sizes_share_a_text(conn):
    def at(count):
        sets = {"subjects": [bytes(16)] * count, "shards": [0]}
        return lookup._plan(_HELD, conn.dialect, tuple((name, len(padded(keys))) for name, keys in sets.items())).text

    assert at(5) == at(8) != at(9)


def test_nothing_is_kept_of_the_keys(conn):
    look_up(conn, _HELD, {"subjects": [b"jeanne-duchamp--"], "shards": [0]})
    plan = lookup._plan(_HELD, conn.dialect, (("subjects", 1), ("shards", 1)))
    assert "jeanne" not in repr(plan)


def test_a_driver_error_leaves_through_translate(conn):
    conn.execute(text("DROP TABLE token_subject"))
    with pytest.raises(StoreUnavailable) as raised, translate():
        look_up(conn, _HELD, {"subjects": [b"jeanne-duchamp--"], "shards": [0]})
    assert raised.value.__context__ is None


def test_values_are_mapped_by_a_statement_and_one_that_is_not_told_of_fails_it(conn, databases):
    if databases.backend != "sqlite":
        pytest.skip("a way of SQLite alone")
    count = "SELECT count(*) FROM token_subject WHERE becomes(subject_id) = ?"
    told = {bytes([number]) * 16: b"even" if number % 2 == 0 else b"odd" for number in range(40)}
    with lookup.mapped(conn, "becomes", told):
        assert lookup.run(conn, count, [b"even"]).fetchone() == (20,)
    with pytest.raises(StoreUnavailable), translate():  # it is gone with the block
        lookup.run(conn, count, [b"even"])
    del told[bytes([39]) * 16]
    with pytest.raises(StoreUnavailable), translate(), lookup.mapped(conn, "becomes", told):
        lookup.run(conn, count, [b"even"])


def test_room_for_pages_is_given_back(conn, databases):
    if databases.backend != "sqlite":
        with lookup.roomy(conn):
            return
    usual = conn.exec_driver_sql("PRAGMA cache_size").scalar()
    with lookup.roomy(conn):
        assert abs(conn.exec_driver_sql("PRAGMA cache_size").scalar()) > abs(usual)
    assert conn.exec_driver_sql("PRAGMA cache_size").scalar() == usual
