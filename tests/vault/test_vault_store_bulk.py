"""Bulk insert: the same rows as one by one, inside the open transaction, whatever their number."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from vault.errors import Conflict
from vault.store import bulk
from vault.store.bulk import insert_rows
from vault.store.engine import open_engine, translate
from vault.store.keysets import padded
from vault.store.tables import ConsentState, FieldValue, SeenProof, TokenSubject, metadata


@pytest.fixture
def engine(database_url):
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def value(number, **changes):
    row = {
        "subject_id": number.to_bytes(16),
        "category_id": 3,
        "field_id": 7,
        "item": 0,
        "version": 1,
        "shard": 0,
        "holder": "aurelle",
        "current": True,
        "schema_version": 1,
        "envelope": b"\x00\xff\n\\." * 40,
    }
    return row | changes


numbers = st.integers(0, 2**63 - 1)
small = st.integers(0, 2**15 - 1)
names = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=32)
values = st.lists(
    st.builds(
        value,
        number=st.integers(0, 2**128 - 1),
        category_id=small,
        field_id=small,
        item=numbers,
        version=numbers,
        shard=small,
        holder=names,
        current=st.booleans(),
        schema_version=small,
        envelope=st.binary(max_size=300),
    ),
    unique_by=lambda row: (row["subject_id"], row["category_id"], row["field_id"], row["item"], row["version"]),
    max_size=12,
)


@given(rows=values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_bulk_rows_are_the_rows_of_single_inserts(engine, rows):
    read = select(FieldValue.__table__)
    with engine.connect() as conn:
        insert_rows(conn, FieldValue, rows)
        by_bulk = {tuple(row) for row in conn.execute(read)}
        conn.execute(delete(FieldValue))
        for row in rows:
            conn.execute(insert(FieldValue), row)
        one_by_one = {tuple(row) for row in conn.execute(read)}
        conn.rollback()
    assert by_bulk == one_by_one
    assert len(by_bulk) == len(rows)


@pytest.mark.parametrize("count", [1, bulk.COPY_FROM - 1, bulk.COPY_FROM, 100])
def test_rows_go_with_the_transaction(engine, count):
    rows = [{"hash": n.to_bytes(16), "expires_at": n} for n in range(count)]
    with engine.connect() as conn:
        insert_rows(conn, SeenProof, rows)
        conn.rollback()
    with engine.begin() as conn:
        assert conn.execute(select(SeenProof.__table__)).all() == []
        insert_rows(conn, SeenProof, rows)
    with engine.connect() as conn:
        assert len(conn.execute(select(SeenProof.__table__)).all()) == count


@pytest.mark.parametrize("count", [2, 100])
def test_a_row_that_is_there_already_is_a_conflict(engine, count):
    rows = [{"hash": n.to_bytes(16), "expires_at": n} for n in range(count - 1)]
    with pytest.raises(Conflict), translate(), engine.begin() as conn:
        insert_rows(conn, SeenProof, [*rows, rows[0]])


def test_null_and_order_of_columns(engine):
    row = {
        "until_at": None,  # the mapping's own order does not matter
        "subject_id": bytes(16),
        "brand": "aurelle",
        "purpose": "marketing",
        "shard": 0,
        "state": "given",
        "since_at": 5,
        "epoch": 1,
        "event_id": bytes(range(16)),
        "notice_version": 1,
        "points": "",
    }
    with engine.begin() as conn:
        insert_rows(conn, ConsentState, [row | {"brand": f"b{n}"} for n in range(10)])
        insert_rows(conn, metadata.tables["consent_state"], [row])
        stored = conn.execute(select(ConsentState.__table__)).mappings().all()
    assert row in [dict(each) for each in stored]
    assert len(stored) == 11


def test_a_column_left_out_is_a_defect(engine):
    with pytest.raises(KeyError), engine.begin() as conn:
        insert_rows(conn, TokenSubject, [{"token_hash": bytes(32)}])


@given(st.lists(st.integers()))
def test_padding_repeats_the_last_key_to_a_power_of_two(keys):
    wide = padded(keys)
    assert set(wide) == set(keys)
    assert len(keys) <= len(wide) < max(1, 2 * len(keys))
    assert len(wide) & (len(wide) - 1) == 0
