"""Scrubs: bits that fell over are named, what is sound stays quiet, and the panel tells when it was looked at."""

import pytest
from sqlalchemy import text

from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from audit.scrub import FULL, SAMPLE, Scrub
from vault import evidence, scrubbing

SIZE = 600


@pytest.fixture
def grown(store, tmp_path):
    """A vault whose log has 600 entries under a checkpoint."""
    with store.unit() as uow:
        for _ in range(SIZE - ledger.head(uow.conn, 0).size):
            uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")))
        uow.commit()
    evidence.sign_checkpoints(store, tmp_path / "kept")
    return store


def damage(vault, statement, **values):
    with vault.engine.begin() as conn:
        conn.execute(text(statement), values)


def last(vault):
    with vault.reading() as conn:
        size = ledger.head(conn, 0).size
        return decode(ledger.read(conn, 0, size - 1, 1)[0].body)


@pytest.mark.parametrize("kind", [FULL, SAMPLE])
def test_a_sound_log_is_quiet_and_a_full_scrub_is_on_record(grown, kind, clock):
    assert scrubbing.run(grown, kind) == []
    told = scrubbing.integrity(grown)
    assert (told.full_scrub if kind == FULL else told.sample_scrub) == Scrub(clock.now(), SIZE, 0)
    assert told.sound
    assert told.signed == SIZE
    entry = last(grown)
    expected = ("log.scrubbed", "allow", SIZE) if kind == FULL else ("log.heartbeat", "allow", None)
    assert (entry["act"], entry["out"], entry.get("n")) == expected


@pytest.mark.parametrize("kind", [FULL, SAMPLE])
@pytest.mark.parametrize("index", [0, 255, 256, SIZE - 1])
def test_a_bit_that_fell_over_is_named(grown, kind, index):
    with grown.reading() as conn:
        (record,) = ledger.read(conn, 0, index, 1)
    fallen = bytes([record.body[0], record.body[1] ^ 4]) + record.body[2:]
    damage(grown, "UPDATE log_entry SET body = :body WHERE idx = :idx AND shard = 0", body=fallen, idx=index)
    (found,) = scrubbing.run(grown, kind)
    assert found.index == index
    entry = last(grown)
    assert (entry["act"], entry["out"], entry["pol"]) == ("log.scrubbed", "error", [f"scrub.{kind}"])
    assert not scrubbing.integrity(grown).sound


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM log_entry WHERE idx = 300",
        "UPDATE log_entry SET leaf = (SELECT leaf FROM log_entry WHERE idx = 1) WHERE idx = 300",
        "UPDATE log_node SET hash = (SELECT leaf FROM log_entry WHERE idx = 1) WHERE level = 1 AND idx = 1",
        "DELETE FROM log_node WHERE level = 1 AND idx = 1",
        "UPDATE log_checkpoint SET note = 'x'",
    ],
)
def test_damage_of_each_kind_is_found_by_a_full_scrub(grown, statement):
    damage(grown, statement)
    assert scrubbing.run(grown, FULL)


def test_an_entry_changed_with_its_hash_leads_to_another_root(grown):
    with grown.reading() as conn:
        one, other = ledger.read(conn, 0, 598, 2)
    damage(grown, "UPDATE log_entry SET body = :body, leaf = :leaf WHERE idx = 598", body=other.body, leaf=other.leaf)
    assert one.leaf != other.leaf
    (found,) = scrubbing.run(grown, FULL)
    assert "do not lead to the root" in found.message


def test_what_is_due_is_done_once_by_whichever_process_comes_first(grown, clock):
    def kinds():
        told = scrubbing.integrity(grown)
        return [None if each is None else each.at for each in (told.full_scrub, told.sample_scrub)]

    begin = clock.now()
    for _ in range(3):
        scrubbing.turn(grown)
    assert kinds() == [begin, begin]
    clock.advance(scrubbing.SAMPLE_EVERY)
    scrubbing.turn(grown)
    assert kinds() == [begin, clock.now()]
    clock.advance(scrubbing.FULL_EVERY)
    scrubbing.turn(grown)
    assert kinds()[0] == clock.now()


def test_a_log_too_long_for_one_sample_is_sampled(grown, monkeypatch, tmp_path):
    monkeypatch.setattr(scrubbing, "SAMPLED", 2)
    scrubbing.run(grown, SAMPLE)
    assert scrubbing.integrity(grown).sample_scrub.size in {256, 512, 344, 88}


def test_before_anything_is_signed_there_is_nothing_to_scrub(store):
    assert scrubbing.run(store, FULL) == []
    told = scrubbing.integrity(store)
    assert (told.signed, told.root, told.witnessed_at, told.stamped_at) == (0, "", None, None)
