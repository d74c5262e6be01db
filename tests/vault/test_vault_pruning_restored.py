"""Backups from before and after a pruning, brought back: nothing is mistaken for tampering, and nobody erased comes back."""

import pytest
from maison_people import FIELDS, person, take_in, value
from pruning_scene import MONTH, Pruning
from recovery_scene import Recovery

from audit import ledger, pruning, succession
from audit.checkpoint import parse
from audit.entry import commitment
from audit.findings import Verdict
from audit.note import split_note
from audit.pruning import commitments
from vault import evidence

OTHER = FIELDS | {"client_number": "AU-7", "phone": ["+33639980007"], "email": ["other@example.com"]}


@pytest.fixture
def scene(vault, place, tmp_path, clock, databases):
    scene = Recovery(vault, place, tmp_path, clock, databases)
    yield scene
    scene.close()


@pytest.fixture
def old(scene, tmp_path):
    """A log of 600 entries of thirteen months ago, with somebody erased among them."""
    made = Pruning(scene, tmp_path)
    made.goes, made.stays = (take_in(scene.vault, person(each))[0] for each in (FIELDS, OTHER))
    made.com = commitment(made.log_key(made.goes.subject))
    scene.back_up("before-erasure.backup")
    scene.whole(made.goes.subject)
    scene.run()
    made.grow(600 - len(made.bodies()))
    made.sign()
    made.clock.advance(13 * MONTH)
    made.grow(3)
    made.sign()
    return made


def told(vault, shard=0):
    with vault.reading() as conn:
        return commitments(each.body for each in ledger.read(conn, shard, 0, 100_000))


def test_a_backup_from_before_closes_its_log_with_all_bodies_and_both_verify(scene, old):
    scene.back_up("before.backup")
    old.prune()
    restored, done = scene.restore("before.backup")
    (over,) = done.successions
    assert over.lost > 0  # what tells of the pruning is among what was lost, and so the log is closed
    evidence.sign_checkpoints(restored, scene.outside)
    with restored.reading() as conn:
        (closed,) = (shard for shard in ledger.shards(conn) if shard < 0)
        assert len(ledger.read(conn, closed, 0, 512)) == 512  # they are back, in a log that ended
    for shard in (closed, 0):
        assert evidence.verify(restored, shard, []).verdict is Verdict.FINE
    assert old.com in told(restored, closed)
    assert value(restored, old.stays.subject, "email") == ["other@example.com"]


def test_a_backup_from_after_closes_its_log_as_it_was_pruned(scene, old):
    done = old.prune()
    with scene.vault.reading() as conn:  # as for a database put back by hand: hashes lead to what was signed
        note = scene.outside.read_text()
        assert succession.extends(conn, 0, parse(split_note(note).text))
    scene.back_up("after.backup")
    restored, _ = scene.restore("after.backup")
    evidence.sign_checkpoints(restored, scene.outside)
    with restored.reading() as conn:
        (closed,) = (shard for shard in ledger.shards(conn) if shard < 0)
        assert not ledger.read(conn, closed, 0, 512)
        assert pruning.kept_from(conn, closed) == done.first
        assert pruning.kept_from(conn, 0) == 0
    result = evidence.verify(restored, closed, [note])
    assert (result.verdict, result.pruned) == (Verdict.FINE, done.first)
    assert old.com in told(restored, closed)
    assert evidence.verify(restored, 0, [scene.outside.read_text()]).verdict is Verdict.FINE


def test_the_oldest_backup_of_all_still_gives_nobody_erased_back(scene, old):
    """The keystore is the authority; what the newer log says under the same commitment is there for whoever reads it."""
    old.prune()
    assert old.com in told(scene.vault)
    restored, done = scene.restore("before-erasure.backup")
    assert done.carried.subjects == 1
    assert scene.vault.bundle is not None
    with restored.reading() as conn:
        rows = conn.exec_driver_sql("SELECT count(*) FROM subject").scalar()
    assert rows == 1
