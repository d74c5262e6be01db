"""Details of entries: open under the person's log key alone, proven by the log, gone with the person in every copy."""

import pytest
from maison_people import FIELDS, one, person, rows, take_in

from audit.detail import detail_commitment, hand_over, with_details, write_detail
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from vault import details, evidence, housekeeping, locked
from vault.errors import IntegrityFailure
from vault.keys.service import Slot

OFFICER = Actor(ActorKind.OFFICER, "m.lefevre")
WORDS = {"reason": "Malaise signalé à la boutique, allergie possible"}


def key_of(vault, who):
    with vault.unit() as uow:
        return locked.by_id(uow, {who.subject})[who.subject].log_key


def noted(vault, log_key, detail=WORDS):
    with vault.unit() as uow:
        entry = Entry(Act.BREAKGLASS_DISCLOSED, Outcome.ALLOW, OFFICER, detail=detail)
        entry_id = uow.record(entry, log_key=log_key)
        uow.commit()
    return entry_id


def last(vault):
    return bytes(rows(vault, "SELECT body FROM log_entry ORDER BY idx DESC LIMIT 1")[0][0])


def opened(vault, key, *ids):
    with vault.reading() as conn:
        return details.opened(conn, vault.deployment, key, ids)


@pytest.fixture
def known(vault):
    return one(take_in(vault, person(FIELDS)))


def test_a_detail_opens_under_its_persons_key_and_the_entry_proves_it(vault, known):
    key = key_of(vault, known)
    entry_id = noted(vault, key)
    body = last(vault)
    found = opened(vault, key, entry_id)[entry_id]
    assert found.detail == write_detail(WORDS)
    assert decode(body)["dc"] == detail_commitment(found.salt, found.detail).hex()
    (row,) = with_details([(0, body)], hand_over([(entry_id, *found)]))
    assert row["detail"].encode() == found.detail
    with pytest.raises(IntegrityFailure):
        opened(vault, b"\x01" * 32, entry_id)
    assert opened(vault, key, bytes(16)) == {}
    assert "Malaise" not in repr(found) and "Malaise" not in repr(
        Entry(Act.LOG_STARTED, Outcome.ALLOW, OFFICER, detail=WORDS)
    )


def test_the_same_words_are_another_commitment_and_of_one_length_each_time(vault, known):
    key = key_of(vault, known)
    first, second, longer = noted(vault, key), noted(vault, key), noted(vault, key, {"reason": "x" * 100})
    kept = {bytes(row[0]): bytes(row[1]) for row in rows(vault, "SELECT entry_id, sealed FROM log_detail")}
    assert len({len(kept[each]) for each in (first, second, longer)}) == 1
    bodies = [bytes(body) for (body,) in rows(vault, "SELECT body FROM log_entry")]
    commitments = [entry["dc"] for entry in map(decode, bodies) if "dc" in entry]
    assert len(set(commitments)) == len(commitments) == 3
    for stored in (*kept.values(), *bodies):
        assert b"Malaise" not in stored


def test_a_row_beside_another_entry_or_altered_opens_for_nobody(vault, known):
    key = key_of(vault, known)
    one_, other = noted(vault, key), noted(vault, key)
    ((sealed,),) = rows(vault, "SELECT sealed FROM log_detail WHERE entry_id = ?", one_)
    rows(vault, "UPDATE log_detail SET sealed = ? WHERE entry_id = ?", bytes(sealed), other)
    with pytest.raises(IntegrityFailure):
        opened(vault, key, other)
    rows(vault, "UPDATE log_detail SET sealed = ? WHERE entry_id = ?", bytes(sealed)[:-1] + b"x", one_)
    with pytest.raises(IntegrityFailure):
        opened(vault, key, one_)


def test_about_nobody_nothing_is_kept_and_nothing_too_large(vault, known):
    noted(vault, None)
    assert "dc" not in decode(last(vault))
    with pytest.raises(ValueError, match="too large"):
        noted(vault, key_of(vault, known), {"reason": "x" * details.LARGEST})
    assert rows(vault, "SELECT count(*) FROM log_detail")[0][0] == 0


def test_what_is_rolled_back_leaves_no_detail(vault, known):
    key = key_of(vault, known)
    with vault.unit() as uow:
        uow.record(Entry(Act.BREAKGLASS_DISCLOSED, Outcome.ALLOW, OFFICER, detail=WORDS), log_key=key)
    assert rows(vault, "SELECT count(*) FROM log_detail")[0][0] == 0


def test_details_go_with_the_entries_that_are_pruned(vault, known, clock):
    key = key_of(vault, known)
    old = noted(vault, key)
    clock.advance(100)
    new = noted(vault, key)
    with vault.unit() as uow:
        assert details.forget(uow.conn, uow.now) == 1
        uow.commit()
    assert set(opened(vault, key, old, new)) == {new}


def test_after_the_erasure_no_copy_of_a_detail_opens_and_the_log_still_verifies(scene):
    """The thief has an old backup of the data, its rows of details and wrapped log keys, and all keys that live today."""
    vault = scene.vault
    stays, goes = (one(take_in(vault, person(FIELDS | {"client_number": number}))) for number in ("AU-1", "AU-2"))
    told = {who.subject: noted(vault, key_of(vault, who)) for who in (stays, goes)}
    backup = {bytes(r[0]): bytes(r[1]) for r in rows(vault, "SELECT entry_id, sealed FROM log_detail")}
    leaves = {
        bytes(r[0]): (Slot(r[1], r[2]), bytes(r[3]))
        for r in rows(vault, "SELECT id, log_slot, log_generation, log_key FROM subject")
    }
    lost_key = key_of(vault, goes)
    scene.whole(goes.subject)
    scene.run()
    opened_now = dict(zip(leaves, vault.keys.unwrap(list(leaves.values())), strict=True))
    assert opened_now[goes.subject] is None
    with vault.reading() as conn:
        assert details.opened(conn, vault.deployment, opened_now[stays.subject], [told[stays.subject]])
    # The row is where it was, and it is the key that is missing: with it, it would open.
    assert backup[told[goes.subject]] in {bytes(r[0]) for r in rows(vault, "SELECT sealed FROM log_detail")}
    assert details._key(lost_key, told[goes.subject]) != details._key(opened_now[stays.subject], told[goes.subject])
    with pytest.raises(IntegrityFailure), vault.reading() as conn:
        details.opened(conn, vault.deployment, opened_now[stays.subject], [told[goes.subject]])
    notes = evidence.sign_checkpoints(vault, scene.outside)
    assert evidence.verify(vault, 0, notes).verdict == 0


def test_old_details_go_by_themselves_and_an_entry_says_how_many(vault, known, clock):
    key = key_of(vault, known)
    old = [noted(vault, key) for _ in range(3)]
    clock.advance(100 * 86_400)
    new = noted(vault, key)
    assert housekeeping.forget_details(vault, 180) == 0
    assert decode(last(vault))["act"] != "detail.forgotten"
    clock.advance(81 * 86_400)
    assert housekeeping.forget_details(vault, 180) == 3
    entry = decode(last(vault))
    assert (entry["act"], entry["n"], entry["pol"]) == ("detail.forgotten", 3, ["days:180"])
    assert set(opened(vault, key, *old, new)) == {new}


def test_many_old_details_go_in_several_units(vault, known, clock, monkeypatch):
    monkeypatch.setattr(details, "AT_ONCE", 2)
    monkeypatch.setattr(details.forget, "__defaults__", (2,))
    for _ in range(5):
        noted(vault, key_of(vault, known))
    clock.advance(181 * 86_400)
    assert housekeeping.forget_details(vault, 180) == 5
