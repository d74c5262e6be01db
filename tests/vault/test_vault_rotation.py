"""Rotation without downtime: roots, leaves and formats change while people are served, and every job may be cut short."""

import hashlib
import itertools
import os
import threading
from contextlib import contextmanager

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from maison_people import FIELDS, change, person, rows, take_in, value

from vault import envelope, leftleaves
from vault.compartments import domain
from vault.envelope import Earlier, FieldContext, context_bytes
from vault.errors import IntegrityFailure, LeavesExhausted, StoreUnavailable
from vault.keys.service import Slot
from vault.leftleaves import retire_left
from vault.rotation.rekeying import rekey_all
from vault.rotation.resealing import reseal_all

NAMES = ("client_number", "name", "phone", "email", "birth_date", "ring_size")


def people(count):
    """People whom a search tells apart."""
    for number in range(count):
        yield person(FIELDS | {"client_number": f"AU-{number:04}", "email": [f"guest{number}@example.com"]})


def shown(vault, registered):
    return [[value(vault, each.subject, name) for name in NAMES] for each in registered]


def slots(vault):
    """Every leaf that a row of somebody hangs on."""
    logs = rows(vault, "SELECT log_slot, log_generation FROM subject")
    return {Slot(*row) for row in rows(vault, "SELECT slot, generation FROM compartment") + logs}


def saved(vault):
    """As a verified backup of this moment does; real ones: `test_vault_leftleaves`."""
    with vault.unit() as uow:
        leftleaves.saved(uow, leftleaves.number(uow.conn))
        uow.commit()
    retire_left(vault)


@contextmanager
def at_work(scene, registered):
    """People are read, found, changed and taken in by four threads; whatever they meet is raised at the end."""
    vault, over, met, rounds = scene.vault, threading.Event(), [], [0] * 4
    numbers = itertools.count(1000)

    def reads():
        for each in registered:
            assert value(vault, each.subject, "birth_date") == "1984-05-17"

    def finds():
        for number, each in enumerate(registered):
            assert scene.found("client_number", f"AU-{number:04}") == [each.subject]

    def changes():
        for each in registered:
            version = change(vault, each, set={"ring_size": {"value": "53", "system": "eu"}})
            if isinstance(version, Exception):
                raise version

    def takes_in():
        (made,) = take_in(vault, person(FIELDS | {"client_number": f"AU-{next(numbers)}"}))
        if isinstance(made, Exception):
            raise made

    def run(place, act):
        try:
            while not over.is_set():
                act()
                rounds[place] += 1
        except BaseException as error:  # noqa: BLE001 - raised by the test
            met.append(error)
            over.set()  # one that failed does no more rounds: nobody shall wait for it

    threads = [threading.Thread(target=run, args=each) for each in enumerate((reads, finds, changes, takes_in))]
    for thread in threads:
        thread.start()
    try:
        yield rounds, over
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    if met:
        raise met[0]


def test_the_root_changes_under_load_and_nobody_notices(scene):
    registered = take_in(scene.vault, *people(6))
    before = shown(scene.vault, registered)
    roots = set()
    with at_work(scene, registered) as (rounds, over):
        for epoch in range(3):
            so_far = list(rounds)
            ran = scene.run(anyway=True)
            assert [each.epoch for each in ran.ended] == [epoch]
            assert ran.ended[0].slots == ()
            roots.add(ran.ended[0].root_ref)
            while any(now == then for now, then in zip(rounds, so_far, strict=True)) and not over.wait(0.01):
                pass
    assert len(roots) == 3
    ring = NAMES.index("ring_size")
    for now, then in zip(shown(scene.vault, registered), before, strict=True):
        assert now[:ring] == then[:ring]
    for number in range(1000, 1000 + rounds[3]):  # whoever came in meanwhile is found under the key of the last epoch
        assert len(scene.found("client_number", f"AU-{number}")) == 1


def test_everything_moves_to_a_fresh_leaf_and_the_old_ones_die_with_the_epoch_after_a_backup(scene):
    vault = scene.vault
    registered = take_in(vault, *people(7))
    before, old = shown(vault, registered), slots(vault)
    told = list(rekey_all(vault, rows=3))
    assert (told[0].done, told[0].left) == (0, len(old))
    assert [each.done + each.left for each in told] == [len(old)] * len(told)
    assert (told[-1].left, len(told)) == (0, 1 + 3)
    assert (told[-1].compartments, told[-1].log_keys) == (len(old) - 7, 7)
    assert not slots(vault) & old
    assert shown(vault, registered) == before
    assert scene.run(anyway=True).ended[0].slots == ()  # nobody has a newer backup yet
    assert vault.keys.alive(sorted(old)) == [True] * len(old)
    saved(vault)
    assert vault.keys.alive(sorted(old)) == [False] * len(old)
    assert rows(vault, "SELECT * FROM left_leaf") == []
    ran = scene.run()
    assert set(ran.ended[0].slots) == old
    assert shown(vault, registered) == before
    assert [each.left for each in rekey_all(vault, told[0].last)] == [0]


def test_rekeying_under_load_reaches_all_and_fails_nobody(scene):
    registered = take_in(scene.vault, *people(6))
    old = slots(scene.vault)
    with at_work(scene, registered):
        *_, last = rekey_all(scene.vault, rows=2)
        assert last.left == 0
        saved(scene.vault)
    assert not slots(scene.vault) & old
    assert scene.vault.keys.alive(sorted(old)) == [False] * len(old)


def test_rekeying_that_was_stopped_goes_on_where_it_was(scene):
    vault = scene.vault
    registered = take_in(vault, *people(5))
    before, old = shown(vault, registered), slots(vault)
    job = rekey_all(vault, rows=2)
    next(job)
    stopped = next(job)
    job.close()
    moved = slots(vault) - old
    assert 0 < stopped.done < len(old)
    again = list(rekey_all(vault, stopped.last, rows=2))
    assert (again[0].left, again[-1].left) == (stopped.left, 0)
    assert moved <= slots(vault)  # those that were moved were left alone
    assert shown(vault, registered) == before


class Falters:
    """A key service that a crash keeps from queueing."""

    def __init__(self, keys):
        self._keys = keys

    def __getattr__(self, name):
        return getattr(self._keys, name)

    def retire(self, slots):
        raise StoreUnavailable("the crash")


def test_leaves_that_a_crash_left_unqueued_are_queued_by_the_next_run(scene):
    vault = scene.vault
    take_in(vault, *people(2))
    old, keys = slots(vault), vault.keys
    list(rekey_all(vault))
    vault.keys = Falters(keys)
    with pytest.raises(StoreUnavailable):
        saved(vault)
    vault.keys = keys
    assert not slots(vault) & old
    assert keys.alive(sorted(old)) == [True] * len(old)
    retire_left(vault)
    assert keys.alive(sorted(old)) == [False] * len(old)
    assert rows(vault, "SELECT * FROM left_leaf") == []


def test_what_is_being_erased_is_not_moved(scene):
    vault = scene.vault
    goes, stays = take_in(vault, *people(2))
    scene.whole(goes.subject)
    queued = {Slot(*row) for row in rows(vault, "SELECT slot, generation FROM erasure_leaf WHERE state = 'queued'")}
    *_, last = rekey_all(vault)
    assert (last.left, slots(vault) & queued) == (0, queued)
    assert set(scene.run().ended[0].slots) == queued
    assert value(vault, stays.subject, "birth_date") == "1984-05-17"


def use_up(keys):
    """Reserve every leaf that there is."""
    most = keys.status().slots_total
    while most:
        try:
            keys.reserve(most)
        except LeavesExhausted:
            most //= 2


def test_a_job_that_runs_out_of_leaves_goes_on_once_there_are_more(scene):
    vault = scene.vault
    registered = take_in(vault, *people(4))
    before, old = shown(vault, registered), slots(vault)
    job = rekey_all(vault, rows=2)
    next(job)
    next(job)
    use_up(vault.keys)
    with pytest.raises(LeavesExhausted):
        next(job)
    assert shown(vault, registered) == before
    scene.changing().grow()
    *_, last = rekey_all(vault, max(slot.number for slot in old))
    assert last.left == 0
    assert not slots(vault) & old
    assert shown(vault, registered) == before


# Formats. An earlier one, for tests alone: AES-256-GCM under the data key, no padding, no commitment.

VERSION, SUITE = 0, 7
STORE = "UPDATE field_value SET envelope = ? WHERE subject_id = ? AND field_id = ? AND item = ? AND version = ?"


def seal_earlier(dek, wrapped, generation, context, plaintext):
    nonce = os.urandom(12)
    head = bytes((VERSION, SUITE)) + generation.to_bytes(4) + wrapped
    return head + nonce + AESGCM(dek).encrypt(nonce, plaintext, context_bytes(generation, context))


def open_earlier(sealed, dek, context):
    nonce, message = sealed.message[:12], sealed.message[12:]
    try:
        return AESGCM(dek).decrypt(nonce, message, context_bytes(sealed.generation, context))
    except InvalidTag:
        raise IntegrityFailure(IntegrityFailure.code) from None


@pytest.fixture
def earlier():
    """This release reads the earlier format, as one that replaced it would."""
    known = VERSION << 8 | SUITE
    envelope.EARLIER[known] = Earlier(46 + 28, 46 + 28 + envelope.MAX_PLAINTEXT, open_earlier)
    yield
    del envelope.EARLIER[known]


def turn_back(vault, every=1):
    """Seal values as the earlier release did: every one, or every second. Returns how many."""
    found = rows(
        vault,
        "SELECT v.subject_id, v.category_id, v.field_id, v.item, v.version, v.holder, v.schema_version, v.envelope,"
        " c.slot, c.generation FROM field_value v JOIN compartment c"
        " ON c.subject_id = v.subject_id AND c.category_id = v.category_id ORDER BY 1, 2, 3, 4, 5",
    )[::every]
    for subject, category, of, item, version, holder, schema, stored, slot, generation in found:
        context = FieldContext(domain(vault.deployment, holder), bytes(subject), category, of, item, schema, version)
        sealed, home, dek = envelope.parse(bytes(stored)), Slot(slot, generation), os.urandom(32)
        (old,), (wrapped,) = vault.keys.unwrap([(home, sealed.wrapped)]), vault.keys.wrap([(home, dek)])
        text = seal_earlier(dek, wrapped, generation, context, envelope.open_(bytes(stored), old, context))
        assert rows(vault, STORE, text, subject, of, item, version) == 1
    return len(found)


def formats(vault):
    return {bytes(row[0])[:2] for row in rows(vault, "SELECT envelope FROM field_value")}


def test_values_of_an_earlier_format_open_and_are_sealed_anew_in_the_background(scene, earlier):
    vault = scene.vault
    registered = take_in(vault, *people(4))
    before = shown(vault, registered)
    count = turn_back(vault, every=2)
    assert formats(vault) == {bytes((VERSION, SUITE)), envelope.CURRENT}
    assert shown(vault, registered) == before
    told = list(reseal_all(vault, rows=5))
    assert [(each.done + each.left, each.failed) for each in told] == [(count, 0)] * len(told)
    assert (told[-1].left, len(told)) == (0, 1 + -(-count // 5))
    assert formats(vault) == {envelope.CURRENT}
    assert shown(vault, registered) == before
    assert [each.left for each in reseal_all(vault)] == [0]


def test_sealing_anew_that_was_stopped_goes_on_and_works_beside_people(scene, earlier):
    vault = scene.vault
    registered = take_in(vault, *people(5))
    before = shown(vault, registered)
    count = turn_back(vault)
    job = reseal_all(vault, rows=4)
    next(job)
    assert next(job).done == 4
    job.close()
    with at_work(scene, registered):
        *_, last = reseal_all(vault, rows=4)
    assert (last.done, last.failed, last.left) == (count - 4, 0, 0)
    assert formats(vault) == {envelope.CURRENT}
    assert [each[:-1] for each in shown(vault, registered)] == [each[:-1] for each in before]


def test_earlier_formats_are_rekeyed_and_erased_like_any(scene, earlier):
    vault = scene.vault
    goes, stays = take_in(vault, *people(2))
    before = shown(vault, [stays])
    turn_back(vault)
    list(rekey_all(vault))
    assert formats(vault) == {bytes((VERSION, SUITE))}
    scene.field(goes.subject, "email")
    assert value(vault, goes.subject, "birth_date") == "1984-05-17"
    scene.whole(goes.subject)
    scene.run()
    assert shown(vault, [stays]) == before


def test_what_does_not_open_is_counted_and_left_as_it_is(scene, earlier):
    vault = scene.vault
    registered = take_in(vault, *people(2))
    count = turn_back(vault)
    at = rows(vault, "SELECT subject_id, field_id, item, version, envelope FROM field_value ORDER BY 1, 2, 3, 4")
    altered = bytes(at[0][4])[:-1] + bytes([bytes(at[0][4])[-1] ^ 1])
    strange = b"\xfe\xfe" + bytes(at[-1][4])[2:]
    for row, stored in ((at[0], altered), (at[-1], strange)):
        rows(vault, STORE, stored, *row[:4])
    *_, last = reseal_all(vault, rows=3)
    assert (last.done, last.failed, last.left) == (count - 2, 2, 0)
    left = {bytes(row[0]) for row in rows(vault, "SELECT envelope FROM field_value")}
    assert {altered, strange} <= left
    assert registered


def test_a_format_nobody_knows_is_refused_and_none_is_known_today():
    assert envelope.EARLIER == {}
    for stored in (b"", bytes(45), bytes(46), bytes((VERSION, SUITE)) + bytes(200), hashlib.sha512(b"").digest() * 4):
        with pytest.raises(IntegrityFailure):
            envelope.parse(stored)


def test_an_earlier_format_has_its_own_bounds(earlier):
    head = bytes((VERSION, SUITE))
    for size in (46, 46 + 27, 46 + 28 + envelope.MAX_PLAINTEXT + 1):
        with pytest.raises(IntegrityFailure):
            envelope.parse(head + bytes(size - 2))
    assert envelope.parse(head + bytes(46 + 28 - 2)).suite == SUITE
