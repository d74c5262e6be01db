"""The unit of work: all or nothing, proof of commit, one item's failure fails that item alone."""

import pytest

from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault.unit import Commit

ENTRY = Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.SYSTEM, "test"))


def size(store):
    with store.reading() as conn:
        return ledger.head(conn, 0).size


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


def test_a_unit_without_commit_leaves_no_entry(store):
    before = size(store)
    with store.unit() as unit:
        unit.record(ENTRY)
    assert size(store) == before


def test_nobody_else_makes_a_commit():
    with pytest.raises(TypeError):
        Commit(0, 0, {}, (), object())
