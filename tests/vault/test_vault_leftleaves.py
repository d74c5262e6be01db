"""Leaves that re-keying left: they wait for a verified backup of those who stay, and for nothing where somebody goes."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from erasure_scene import DPO
from maison_people import AURELLE, FIELDS, one, person, rows, take_in, value
from mortal_processes import Died, Fuse, MortalVault
from policy_officers import APPROVER, AUTHOR
from recovery_scene import Recovery
from request_desk import SECRET, Desk
from test_vault_breakglass import REASON
from test_vault_erasure_backups import Backup

from policies.levels import Level
from policies.model import Wanted
from vault import leftleaves
from vault.erasure import epochrun, holds, requests, settling
from vault.erasure.holds import HoldReason
from vault.erasure.requests import Erase
from vault.errors import Conflict
from vault.governance import breakglass, cases
from vault.keys.service import Slot
from vault.requests import handling
from vault.requests.content import Content
from vault.rotation.rekeying import MOVED, rekey_all
from vault.store import dumps
from vault.store.leaves import LEAF_COLUMNS

OTHER = FIELDS | {"client_number": "AU-0099", "email": ["blaise@example.com"], "phone": ["+33612345678"]}


@pytest.fixture
def scene(vault, place, tmp_path, clock, databases):
    with closing(Recovery(vault, place, tmp_path, clock, databases)) as made:
        yield made


def rekeyed(scene, **options):
    *_, last = rekey_all(scene.vault, **options)
    assert last.left == 0
    return last


def leaves(vault, subject, query="SELECT slot, generation FROM compartment WHERE subject_id = ?"):
    logs = rows(vault, "SELECT log_slot, log_generation FROM subject WHERE id = ?", subject)
    return {Slot(*row) for row in rows(vault, query, subject) + logs}


def named(vault):
    """Every leaf that any row names, those left aside."""
    found = set()
    for column in LEAF_COLUMNS:
        if column.table.name != "left_leaf":
            found |= {number for (number,) in rows(vault, f"SELECT {column.name} FROM {column.table.name}")}  # noqa: S608
    return found - {None}


def waiting(vault):
    with vault.reading() as conn:
        return leftleaves.waiting(conn)


def test_the_old_leaves_go_once_a_newer_backup_is_verified_and_not_before(scene):
    registered = take_in(scene.vault, person(FIELDS), person(OTHER))
    everybody = {each.subject for each in registered}
    old = set().union(*(leaves(scene.vault, each) for each in everybody))
    scene.back_up("before")
    stolen = Backup(scene.vault)
    rekeyed(scene)
    assert waiting(scene.vault) == len(old)
    assert scene.run(anyway=True).ended[0].slots == ()
    assert stolen.opens(scene.vault) == everybody
    drilled = scene.drill("before")  # the only backup that there is brings everybody back
    assert (drilled.holds, drilled.values.outdated, drilled.values.lost) == (True, 0, 0)
    assert drilled.values.identical > 0
    scene.back_up("after")
    assert waiting(scene.vault) == 0
    assert set(scene.run().ended[0].slots) == old
    assert stolen.opens(scene.vault) == set()
    drilled = scene.drill("after")
    assert (drilled.holds, drilled.values.outdated, drilled.values.unreadable) == (True, 0, 0)
    restored, _ = scene.restore("after")
    for each in registered:
        assert value(restored, each.subject, "email") == value(scene.vault, each.subject, "email") != []


@pytest.fixture
def meanwhile(scene, monkeypatch):
    """Makes a backup, and does something else once its moment is fixed."""
    real = dumps.dump

    def back_up(name, act):
        def dump(url, file, look, progress):
            real(url, file, lambda conn: (look(conn), act()), progress)

        monkeypatch.setattr(dumps, "dump", dump)
        try:
            scene.back_up(name)
        finally:
            monkeypatch.setattr(dumps, "dump", real)

    return back_up


def test_a_backup_that_did_not_come_about_releases_nothing(scene, meanwhile):
    stays = one(take_in(scene.vault, person(FIELDS)))
    rekeyed(scene)
    due = waiting(scene.vault)
    (scene.folder / "taken").write_bytes(b"")
    with pytest.raises(Conflict):
        scene.back_up("taken")
    with pytest.raises(Conflict):  # somebody else's manifest, of this moment
        meanwhile("late", lambda: (scene.folder / "late.manifest.json").write_bytes(b""))
    assert waiting(scene.vault) == due == len(leaves(scene.vault, stays.subject))
    assert scene.run(anyway=True).ended[0].slots == ()


def test_what_was_rekeyed_while_a_backup_was_made_waits_for_the_next(scene, meanwhile):
    first, second = sorted(take_in(scene.vault, person(FIELDS), person(OTHER)), key=lambda each: each.subject)
    old = [leaves(scene.vault, each.subject) for each in (first, second)]
    job = rekey_all(scene.vault, rows=1)
    next(job)
    next(job)
    meanwhile("one", lambda: [*job])
    assert waiting(scene.vault) == len(old[1])
    assert set(scene.run().ended[0].slots) == old[0]
    assert scene.drill("one").holds
    scene.back_up("two")
    assert set(scene.run().ended[0].slots) == old[1]


def test_every_column_that_names_a_leaf_in_use_is_moved():
    dying = {"erasure_leaf.slot", "left_leaf.slot", "left_leaf.heir_slot"}
    assert {str(each) for each in LEAF_COLUMNS} - {str(each) for each in MOVED} == dying


def whole(scene, subject):
    scene.whole(subject)


def category(scene, subject):
    scene.category(subject, "contact")


def field(scene, subject):
    scene.field(subject, "email")


@pytest.mark.parametrize("scope", [whole, category, field])
@pytest.mark.parametrize("times", [1, 2])
def test_an_erasure_waits_for_no_backup_and_reaches_what_rekeying_left(scene, scope, times):
    goes, stays = take_in(scene.vault, person(FIELDS), person(OTHER))
    contact = "SELECT slot, generation FROM compartment WHERE subject_id = ? AND category_id = 2"
    before = {slot for (slot, _) in rows(scene.vault, contact, goes.subject)}
    stolen = Backup(scene.vault)
    for _ in range(times):
        rekeyed(scene)
    scope(scene, goes.subject)
    ended = scene.run().ended
    assert before <= {slot.number for slot in ended[0].slots}
    assert goes.subject not in {subject for subject, category in stolen.opened(scene.vault) if category == 2}
    if scope is whole:
        assert goes.subject not in stolen.opens(scene.vault)
    assert stays.subject in stolen.opens(scene.vault)  # whose old leaves wait as before
    assert {state for (state,) in rows(scene.vault, "SELECT state FROM erasure")} == {"done"}
    scene.back_up("after")
    scene.run()
    assert stolen.opens(scene.vault) == set()


def test_no_epoch_takes_a_leaf_and_leaves_what_is_behind_it(scene):
    """The request is durable and its process dies; another one queues, which has not looked at what was left."""
    goes = one(take_in(scene.vault, person(FIELDS)))
    old = leaves(scene.vault, goes.subject)
    rekeyed(scene)
    new = leaves(scene.vault, goes.subject)
    with scene.vault.unit() as uow:
        (answer,) = requests.request(uow, [Erase(goes.subject, DPO)])
        uow.commit()
    settling.queue(scene.vault, [answer.erasure])
    assert scene.vault.keys.alive(sorted(old | new)) == [False] * len(old | new)
    (ended,) = scene.run().ended
    assert set(ended.slots) == old | new
    assert rows(scene.vault, "SELECT * FROM left_leaf") == []


def test_what_a_hold_keeps_of_somebody_moves_too_and_all_of_it_goes_in_the_end(scene):
    goes = one(take_in(scene.vault, person(FIELDS)))
    stolen = Backup(scene.vault)
    hold = holds.place(scene.vault, goes.subject, HoldReason.DISPUTE, DPO, "contact").hold
    asked = scene.whole(goes.subject)
    scene.run()
    kept = leaves(scene.vault, goes.subject)
    assert {category for _, category in stolen.opened(scene.vault)} == {2}
    told = rekeyed(scene)
    assert (told.compartments, told.log_keys) == (1, 1)
    now = leaves(scene.vault, goes.subject)
    query = "SELECT slot, generation FROM erasure_leaf WHERE state = 'kept'"
    assert {Slot(*row) for row in rows(scene.vault, query)} == now
    assert not now & kept
    later = Backup(scene.vault)
    scene.run(anyway=True)
    assert later.opens(scene.vault) == {goes.subject}
    holds.release(scene.vault, hold, DPO)
    assert set(scene.run().ended[0].slots) == now | kept
    assert stolen.opens(scene.vault) == later.opens(scene.vault) == set()
    assert scene.certificate(asked).kept == ()


def test_a_hold_that_comes_in_time_saves_the_leaf_that_is_in_use(scene):
    goes = one(take_in(scene.vault, person(FIELDS)))
    rekeyed(scene)
    scene.whole(goes.subject)
    placed = holds.place(scene.vault, goes.subject, HoldReason.DISPUTE, DPO, "contact")
    assert (placed.saved, placed.late) == (("contact",), ())
    now = Backup(scene.vault)
    scene.run()
    assert {category for _, category in now.opened(scene.vault)} == {2}
    holds.release(scene.vault, placed.hold, DPO)
    scene.run()
    assert now.opened(scene.vault) == set()


def test_words_of_requests_and_emergencies_move_and_die_with_all_their_leaves(scene, clock):
    desk = Desk(scene.vault, clock)
    request = desk.ask(content=Content(words=SECRET))
    reference = desk.person.references[AURELLE]
    asked = cases.Asked(AURELLE, reference, (Wanted("phone", Level.RAW),), AUTHOR, 15, REASON)
    case = breakglass.ask(scene.vault, asked, AUTHOR, desk.officers.signing(AUTHOR)).id
    before = named(scene.vault)
    told = rekeyed(scene)
    assert (told.requests, told.emergencies, told.log_keys) == (1, 1, 1)
    assert not named(scene.vault) & before
    assert handling.view(scene.vault, request.id, desk.by())[1].words == SECRET
    assert breakglass.show(scene.vault, case, APPROVER, desk.officers.signing(APPROVER))[1].reason == REASON
    moved = named(scene.vault)
    scene.whole(desk.person.subject)
    assert {slot.number for slot in scene.run().ended[0].slots} == before | moved


def test_whoever_was_erased_after_a_rekeying_is_erased_again_from_a_backup_between(scene):
    stays, goes = take_in(scene.vault, person(OTHER), person(FIELDS))
    rekeyed(scene)
    due = waiting(scene.vault)
    theirs = len(leaves(scene.vault, goes.subject))
    scene.back_up("between")
    with scene.vault.unit() as uow:  # as if that backup had not been verified before it was copied away
        uow.conn.exec_driver_sql("UPDATE deployment SET rekeyed_saved = 0")
        uow.commit()
    scene.whole(goes.subject)
    scene.run()
    restored, done = scene.restore("between")
    assert done.carried.subjects == 1
    assert value(restored, stays.subject, "email") == ["blaise@example.com"]
    settling.settle(restored)
    assert waiting(restored) == due - theirs
    assert rows(restored, "SELECT * FROM left_leaf WHERE waits = 0") == []


@pytest.mark.crash
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_job_that_dies_at_any_write_is_carried_on(scene, after):
    registered = take_in(scene.vault, person(FIELDS), person(OTHER))
    shown = [value(scene.vault, each.subject, "email") for each in registered]
    for left in range(1, 40):
        old = named(scene.vault)
        fuse = Fuse(left, after=after)
        mortal = MortalVault(scene.vault, fuse)
        try:
            [*rekey_all(mortal, rows=1)]
            epochrun.before_destroy(mortal)
            died = False
        except Died:
            died = True
        assert [value(scene.vault, each.subject, "email") for each in registered] == shown
        *_, last = rekey_all(scene.vault, max(old))
        assert last.left == 0
        assert not named(scene.vault) & old
        scene.back_up(f"backup-{left}")
        scene.run()
        alive = [Slot(number, 0) for number in sorted(old)]
        assert scene.vault.keys.alive(alive) == [False] * len(alive)
        assert [value(scene.vault, each.subject, "email") for each in registered] == shown
        if not died:
            assert left > 2
            return
    pytest.fail("the fuse never burnt down: more writes than expected")


@pytest.mark.crash
def test_a_killed_process_is_carried_on_by_another(scene):
    """A real process, killed between two units while it holds the keystore and the database open."""
    people = [person(FIELDS | {"client_number": f"AU-{n:04}", "email": [f"guest{n}@example.com"]}) for n in range(6)]
    registered = take_in(scene.vault, *people)
    shown = [value(scene.vault, each.subject, "email") for each in registered]
    old = named(scene.vault)
    place = scene.place
    script = Path(__file__).with_name("mortal_rekeying.py")
    command = [sys.executable, str(script), place.database, str(place.keystore), str(scene.folder / "roots")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            told = [process.stdout.readline().split()]
            for _ in range(2):
                process.stdin.write("\n")
                process.stdin.flush()
                told.append(process.stdout.readline().split())
        finally:
            process.send_signal(signal.SIGKILL)
    job, done = int(told[-1][0]), int(told[-1][1])
    assert 0 < done < len(old)
    assert 0 < len(named(scene.vault) & old) < len(old)
    assert [value(scene.vault, each.subject, "email") for each in registered] == shown
    first, *_, last = rekey_all(scene.vault, job)
    assert (first.left, last.left) == (len(old) - done, 0)
    assert not named(scene.vault) & old
    scene.back_up("after")
    assert {slot.number for slot in scene.run().ended[0].slots} == old
    assert [value(scene.vault, each.subject, "email") for each in registered] == shown
