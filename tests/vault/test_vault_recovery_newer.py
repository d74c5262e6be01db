"""What only lost data named: leaves that no erasure can name any more, and the operator's word that they may go."""

from contextlib import closing

import pytest
from erasure_scene import DPO
from maison_people import FIELDS, change, one, person, rows, take_in, value
from recovery_scene import OPERATOR, Recovery
from request_desk import SECRET, Desk
from test_vault_erasure_backups import Backup

from vault.erasure import holds
from vault.erasure.holds import HoldReason
from vault.errors import Conflict, RestoreUnfinished, Sealed
from vault.recovery import newer, restores
from vault.recovery.guard import Carried
from vault.requests import handling
from vault.requests.content import Content
from vault.store.leaves import LEAF_COLUMNS

OTHER = FIELDS | {"client_number": "AU-0099", "email": ["blaise@example.com"], "phone": ["+33612345678"]}


@pytest.fixture
def scene(vault, place, tmp_path, clock, databases):
    with closing(Recovery(vault, place, tmp_path, clock, databases)) as made:
        yield made


def go_back(scene, name):
    scene.move(scene.load(name))
    return scene.carry_on(scene.vault)


def test_a_copy_of_what_was_lost_opens_until_nothing_newer_is_to_come_back(scene):
    """A field that was erased gave its category another leaf, which only the lost data knew."""
    goes = one(take_in(scene.vault, person(FIELDS)))
    scene.back_up("old")
    scene.field(goes.subject, "email")
    late = one(take_in(scene.vault, person(OTHER)))
    stolen = Backup(scene.vault)
    go_back(scene, "old")
    scene.whole(goes.subject)
    scene.run()
    # Whoever was erased, and who is in no row any more, open in a copy of the lost data: the limit that is stated.
    assert stolen.opens(scene.vault) == {goes.subject, late.subject}
    assert newer.forget(scene.vault, OPERATOR) > 0
    assert stolen.opens(scene.vault) == set()  # refused at once
    scene.run()
    assert stolen.opens(scene.vault) == set()
    told = [each for each in scene.entries() if each.get("pol") == ["carried.newer"]]
    assert [each["act"] for each in told] == ["erasure.carried"]


def test_nobody_who_is_there_is_touched_and_the_vault_goes_on(scene):
    stays, held = take_in(scene.vault, person(FIELDS), person(OTHER))
    holds.place(scene.vault, held.subject, HoldReason.DISPUTE, DPO, "contact")
    scene.category(held.subject, "contact")
    before = Backup(scene.vault)
    assert newer.forget(scene.vault, OPERATOR) > 0
    scene.run()
    assert before.opens(scene.vault) == {stays.subject, held.subject}
    assert value(scene.vault, stays.subject, "email") == ["Apolline.Rousselin@example.com"]
    # Leaves that this process had set aside are among those that went: it gives out others.
    again = one(take_in(scene.vault, person(OTHER | {"client_number": "AU-0100"})))
    assert value(scene.vault, again.subject, "birth_date") == OTHER["birth_date"]
    assert not isinstance(change(scene.vault, stays, set={"email": ["new@example.com"]}), Exception)
    scene.run(anyway=True)
    assert value(scene.vault, stays.subject, "email") == ["new@example.com"]


def test_words_that_hang_on_a_leaf_of_their_own_are_not_nobodys(scene, clock):
    desk = Desk(scene.vault, clock)
    request = desk.ask(content=Content(words=SECRET))
    assert newer.forget(scene.vault, OPERATOR) > 0
    scene.run()
    assert handling.view(scene.vault, request.id, desk.by())[1].words == SECRET


def test_every_column_that_names_a_leaf_is_known():
    assert {str(each) for each in LEAF_COLUMNS} == {
        "break_glass_case.slot",
        "compartment.slot",
        "erasure_leaf.slot",
        "left_leaf.slot",
        "left_leaf.heir_slot",
        "subject.log_slot",
        "subject_request.content_slot",
        "suppression_key.slot",
    }


def test_a_newer_backup_comes_back_as_long_as_nobody_said_that_none_will(scene):
    one(take_in(scene.vault, person(FIELDS)))
    scene.back_up("old")
    late = one(take_in(scene.vault, person(OTHER)))
    scene.back_up("newer")
    go_back(scene, "old")
    scene.run(anyway=True)
    go_back(scene, "newer")
    assert value(scene.vault, late.subject, "birth_date") == OTHER["birth_date"]
    go_back(scene, "old")
    newer.forget(scene.vault, OPERATOR)
    scene.run()
    assert go_back(scene, "newer").carried.subjects == 1
    assert rows(scene.vault, "SELECT count(*) FROM subject WHERE id = ?", late.subject) == [(0,)]


def test_not_beside_a_service_and_not_half_way_through_a_restore(scene):
    one(take_in(scene.vault, person(FIELDS)))
    with pytest.raises(Conflict):
        newer.alone(scene.place.database)
    scene.back_up("old")
    scene.move(scene.load("old"))
    with pytest.raises(RestoreUnfinished):
        newer.forget(scene.vault, OPERATOR)
    assert scene.vault.keys.status().retired == 0
    scene.carry_on(scene.vault)
    newer.forget(scene.vault, OPERATOR)
    scene.vault.keys.close()
    with pytest.raises(Sealed):
        newer.forget(scene.vault, OPERATOR)


def test_a_request_of_which_everything_was_kept_is_lost_with_the_data_and_can_be_made_again(scene):
    """The limit that the threat model states: nothing was destroyed, so the keystore knows of nothing."""
    goes = one(take_in(scene.vault, person(FIELDS)))
    scene.back_up("old")
    holds.place(scene.vault, goes.subject, HoldReason.DISPUTE, DPO)
    assert scene.whole(goes.subject).kept
    scene.run()
    assert go_back(scene, "old").carried == Carried()
    assert value(scene.vault, goes.subject, "birth_date") == FIELDS["birth_date"]
    scene.whole(goes.subject)
    scene.run()
    assert rows(scene.vault, "SELECT count(*) FROM subject") == [(0,)]


def test_a_field_that_waited_goes_with_the_category_that_a_backup_brought_back(scene):
    """Once it stopped every later change of epoch: it was to be re-keyed from a leaf that was gone."""
    goes = one(take_in(scene.vault, person(FIELDS)))
    placed = holds.place(scene.vault, goes.subject, HoldReason.DISPUTE, DPO, "contact")
    field = scene.field(goes.subject, "email")
    scene.back_up("old")
    holds.release(scene.vault, placed.hold, DPO)
    scene.run()
    done = go_back(scene, "old")
    assert done.carried.compartments == 1
    assert rows(scene.vault, "SELECT state FROM erasure") == [("done",)]
    for hold in holds.listed(scene.vault):
        holds.release(scene.vault, hold.id, DPO)
    assert scene.run(anyway=True).certificates == 1
    assert scene.certificate(field).scope == "field email"
    assert value(scene.vault, goes.subject, "birth_date") == FIELDS["birth_date"]


def test_a_field_that_waited_in_a_category_that_waits_is_done_at_the_next_start(scene):
    goes = one(take_in(scene.vault, person(FIELDS)))
    placed = holds.place(scene.vault, goes.subject, HoldReason.DISPUTE, DPO, "contact")
    scene.field(goes.subject, "email")
    scene.back_up("old")
    holds.release(scene.vault, placed.hold, DPO)  # re-keyed: the old leaf is on the queue
    assert go_back(scene, "old").carried.closed == 1
    scene.run()
    restores.admit(scene.vault, scene.history, scene.outside)
    assert rows(scene.vault, "SELECT state FROM erasure") == [("done",)]
    assert scene.run().certificates == 1


def test_what_the_guard_closed_goes_though_something_else_of_the_person_is_under_way(scene):
    goes = one(take_in(scene.vault, person(FIELDS)))
    holds.place(scene.vault, goes.subject, HoldReason.DISPUTE, DPO, "identity")
    scene.category(goes.subject, "identity")
    scene.back_up("old")
    scene.category(goes.subject, "contact")
    assert go_back(scene, "old").carried.closed == 1
    scene.run()
    restores.admit(scene.vault, scene.history, scene.outside)
    number = scene.vault.bundle.catalogue.category("contact").id
    assert rows(scene.vault, "SELECT count(*) FROM compartment WHERE category_id = ?", number) == [(0,)]
