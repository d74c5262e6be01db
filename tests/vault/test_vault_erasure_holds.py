"""Holds and laws: they stop an erasure wherever it is, keep without using, and let it go on by itself."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from erasure_scene import DPO
from maison_people import FIELDS, change, given, look, one, person, rows, take_in, value
from policy_officers import FILES

from audit.certificate import KeptBack
from audit.entry import Act
from policies.bundle import parse_bundle
from policies.errors import UnknownCategory
from vault.erasure import epochrun, holds, requests
from vault.erasure.holds import HoldReason
from vault.erasure.keeping import DAY, Because
from vault.erasure.records import ErasureState
from vault.erasure.settling import queue
from vault.errors import StoreUnavailable, UnknownHold, UnknownReference
from vault.keys.service import Slot


def place(scene, subject, category=None, reason=HoldReason.LEGAL_CLAIM):
    return holds.place(scene.vault, subject, reason, DPO, category)


def states(vault):
    return {state for (state,) in rows(vault, "SELECT state FROM erasure_leaf")}


def leaf_of(vault, category):
    number = vault.bundle.catalogue.category(category).id
    (row,) = rows(vault, "SELECT slot, generation FROM compartment WHERE category_id = ?", number)
    return Slot(*row)


def test_what_is_held_is_denied_and_kept_and_the_certificate_says_until_when(scene):
    vault = scene.vault
    goes = one(take_in(vault, person(consents=[given()])))
    place(scene, goes.subject, "contact")
    requested = scene.whole(goes.subject)
    assert requested.state is ErasureState.PARTIAL
    assert [(each.because, each.reason, each.until) for each in requested.kept] == [(Because.HOLD, "legal_claim", None)]
    assert not look(vault, goes.subject, "email")["email"].present
    assert scene.found("phone", "+33639981234") == []
    scene.run()
    certificate = scene.certificate(requested)
    assert certificate.kept == (KeptBack("contact", "hold", "legal_claim", ""),)
    assert vault.keys.alive([leaf_of(vault, "contact")]) == [True]
    categories = rows(vault, "SELECT category_id FROM compartment")
    assert categories == [(vault.bundle.catalogue.category("contact").id,)]
    # Still denied: keeping is not using.
    assert not look(vault, goes.subject, "email")["email"].present


def test_a_released_hold_lets_the_rest_go_with_the_next_run(scene):
    vault = scene.vault
    goes = one(take_in(vault))
    held = place(scene, goes.subject, "contact")
    requested = scene.whole(goes.subject)
    scene.run()
    assert scene.run().ended == ()
    holds.release(vault, held.hold, DPO)
    assert holds.listed(vault) == []
    assert [each.released_by for each in holds.listed(vault, released=True)] == [DPO.id]
    assert len(scene.run().ended) == 1
    assert rows(vault, "SELECT count(*) FROM subject") == [(0,)]
    assert rows(vault, "SELECT count(*) FROM hold") == [(0,)]
    certificate = scene.certificate(requested)
    assert certificate.kept == ()
    assert states(vault) == {"destroyed"}


@pytest.mark.parametrize("moment", ["queued", "built"])
def test_a_hold_placed_midway_stops_its_category_alone(scene, moment):
    vault = scene.vault
    goes = one(take_in(vault))
    requested = scene.whole(goes.subject)
    placed = []
    if moment == "queued":
        placed.append(place(scene, goes.subject, "contact"))
        scene.run()
    else:
        change = scene.changing()

        def last_moment():
            if not placed:  # built, replicated, and only the old root's destruction is left
                placed.append(place(scene, goes.subject, "contact"))
            epochrun.before_destroy(vault)

        destroyed = change.run(last_moment)
        epochrun.reconcile(vault, change, scene.outside, [destroyed])
    assert (placed[0].saved, placed[0].late) == (("contact",), ())
    assert vault.keys.alive([leaf_of(vault, "contact")]) == [True]
    assert rows(vault, "SELECT state FROM erasure") == [("partial",)]
    assert scene.certificate(requested).kept == (KeptBack("contact", "hold", "legal_claim", ""),)
    holds.release(vault, placed[0].hold, DPO)
    scene.run()
    assert scene.certificate(requested).kept == ()


def test_a_hold_that_comes_after_the_destruction_is_told_that_it_is_late(scene):
    vault = scene.vault
    goes = one(take_in(vault))
    scene.whole(goes.subject)
    scene.changing().run(lambda: epochrun.before_destroy(vault))  # and nobody has finished it yet
    placed = place(scene, goes.subject, "contact")
    assert (placed.saved, placed.late) == ((), ("contact",))
    scene.run()
    assert rows(vault, "SELECT count(*) FROM subject") == [(0,)]
    with pytest.raises(UnknownReference):
        place(scene, goes.subject)


def test_a_request_that_died_before_it_was_queued_does_not_overrule_a_hold(scene):
    """The queueing of a request may come late, from a process that stood still: it reads the states anew."""
    vault = scene.vault
    goes = one(take_in(vault))
    with vault.unit() as uow:
        (requested,) = requests.request(uow, [requests.Erase(goes.subject, DPO)])
        uow.commit()
    place(scene, goes.subject, "contact")
    queue(vault, [requested.erasure])
    assert vault.keys.alive([leaf_of(vault, "contact"), leaf_of(vault, "identity")]) == [True, False]
    scene.run()
    assert vault.keys.alive([leaf_of(vault, "contact")]) == [True]


def test_a_law_keeps_for_its_time_and_no_longer(scene, clock):
    vault = scene.vault
    law = vault.bundle.catalogue.category("purchases").legal_retention
    goes = one(take_in(vault, person(FIELDS | {"last_purchase_date": "2026-03-02"})))
    until = clock.now() + law.days * DAY
    requested = scene.whole(goes.subject)
    assert [(each.because, each.reason, each.until) for each in requested.kept] == [(Because.LAW, law.basis, until)]
    scene.run()
    (kept,) = scene.certificate(requested).kept
    assert (kept.category, kept.because, kept.reason, kept.until[:4]) == ("purchases", "law", law.basis, "2036")
    clock.advance(law.days * DAY - 1)
    assert scene.run().ended == ()
    clock.advance(1)
    assert len(scene.run().ended) == 1
    assert scene.certificate(requested).kept == ()


def lawful(category, days, basis):
    """The bundle as a later version has it, in which a law keeps a category."""
    files = dict(FILES)
    head = f"[{category}]\n".encode()
    law = f'legal_retention = {{ days = {days}, basis = "{basis}" }}\n'.encode()
    assert files["catalogue.toml"].count(head) == 1
    files["catalogue.toml"] = files["catalogue.toml"].replace(head, head + law)
    return parse_bundle("maisons", files)


@pytest.mark.parametrize("moment", ["queued", "built"])
def test_a_law_that_begins_midway_stops_its_category_and_ends_by_the_clock_alone(scene, clock, moment):
    """The policies in force change between the request and the destruction; then nobody calls anything."""
    vault = scene.vault
    goes = one(take_in(vault))
    requested = scene.whole(goes.subject)
    assert requested.kept == ()
    later = lawful("contact", 30, "art. 7")
    if moment == "queued":
        vault.bundle = later
        scene.run()
    else:
        change = scene.changing()

        def last_moment():
            vault.bundle = later
            epochrun.before_destroy(vault)

        epochrun.reconcile(vault, change, scene.outside, [change.run(last_moment)])
    assert vault.keys.alive([leaf_of(vault, "contact")]) == [True]
    assert rows(vault, "SELECT state FROM erasure") == [("partial",)]
    until = datetime.fromtimestamp(clock.now() + 30 * DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert scene.certificate(requested).kept == (KeptBack("contact", "law", "art. 7", until),)
    assert not look(vault, goes.subject, "email")["email"].present
    clock.advance(30 * DAY - 1)
    assert scene.run().ended == ()
    clock.advance(1)
    assert len(scene.run().ended) == 1
    assert scene.certificate(requested).kept == ()
    assert rows(vault, "SELECT count(*) FROM subject") == [(0,)]


def test_a_fields_hold_keeps_its_values_out_of_sight_until_it_ends(scene):
    vault = scene.vault
    goes = one(take_in(vault))
    held = place(scene, goes.subject, reason=HoldReason.DISPUTE)
    requested = scene.field(goes.subject, "email")
    assert requested.state is ErasureState.PARTIAL
    assert not look(vault, goes.subject, "email")["email"].present
    today = datetime.fromtimestamp(vault.clock.now(), UTC).date()
    assert not look(vault, goes.subject, "email", known_on=today)["email"].present
    assert scene.found("email", "Apolline.Rousselin@example.com") == []
    field_id = vault.bundle.catalogue.field("email").id
    assert rows(vault, "SELECT count(*) FROM field_value WHERE field_id = ?", field_id) == [(1,)]
    assert scene.field(goes.subject, "email").erasure == requested.erasure
    # What is written meanwhile is new data, and no part of what was asked.
    assert change(vault, goes, append={"email": "new@example.com"}).version
    scene.run()
    holds.release(vault, held.hold, DPO)
    assert value(vault, goes.subject, "email") == ["new@example.com"]
    scene.run()
    assert rows(vault, "SELECT count(*) FROM field_value WHERE field_id = ?", field_id) == [(1,)]
    assert value(vault, goes.subject, "email") == ["new@example.com"]
    assert value(vault, goes.subject, "phone") == ["+33639981234", "+971501234567"]
    assert scene.certificate(requested).scope == "field email"


def test_a_waiting_field_goes_with_the_whole_person(scene):
    vault = scene.vault
    goes = one(take_in(vault))
    held = place(scene, goes.subject)
    field = scene.field(goes.subject, "email")
    whole = scene.whole(goes.subject)
    scene.run()
    holds.release(vault, held.hold, DPO)
    scene.run()
    assert {state for (state,) in rows(vault, "SELECT state FROM erasure")} == {"done"}
    assert {subject for (subject,) in rows(vault, "SELECT subject_id FROM erasure")} == {None}
    assert scene.certificate(field).index == scene.certificate(whole).index


@pytest.mark.parametrize("order", ["field first", "category first by id"])
def test_a_waiting_field_goes_with_its_category(scene, order):
    """The field's erasure is then done and certified, in whatever order the two come up."""
    vault = scene.vault
    goes = one(take_in(vault))
    held = place(scene, goes.subject, "contact")
    field = scene.field(goes.subject, "email")
    category = scene.category(goes.subject, "contact")
    if order == "category first by id":  # ids are drawn: put the one that is taken up second first
        rows(vault, "UPDATE erasure SET id = ? WHERE id = ?", b"\xff" * 16, field.erasure)
        field = replace(field, erasure=b"\xff" * 16)
    holds.release(vault, held.hold, DPO)
    scene.run()
    assert rows(vault, "SELECT count(*) FROM erasure WHERE state <> 'done'") == [(0,)]
    assert scene.certificate(category).scope == "category contact"
    certificate = scene.certificate(field)
    assert (certificate.scope, certificate.epoch, certificate.keys) == ("field email", 0, ())
    assert scene.acts().count("field.erased") == 1


def test_what_is_written_after_a_category_went_is_not_taken_by_a_field_that_waited_in_it(scene):
    """Versions begin anew with the compartment: what the request reached up to means nothing there."""
    vault = scene.vault
    stays = one(take_in(vault))
    held = place(scene, stays.subject, "contact")
    scene.field(stays.subject, "email")
    scene.category(stays.subject, "contact")
    holds.release(vault, held.hold, DPO)
    scene.run()
    assert not isinstance(change(vault, stays, set={"email": ["new@example.com"]}), Exception)
    scene.run(anyway=True)
    assert value(vault, stays.subject, "email") == ["new@example.com"]
    assert scene.found("email", "new@example.com") == [stays.subject]


def test_holds_are_listed_logged_and_refused_where_there_is_nothing(scene):
    vault = scene.vault
    goes = one(take_in(vault))
    every = place(scene, goes.subject)
    one_ = place(scene, goes.subject, "contact", HoldReason.AUTHORITY_ORDER)
    assert {(each.id, each.category, each.reason) for each in holds.listed(vault)} == {
        (every.hold, "", "legal_claim"),
        (one_.hold, "contact", "authority_order"),
    }
    holds.release(vault, one_.hold, DPO)
    for wrong in (one_.hold, "00" * 16, "no hex"):
        with pytest.raises(UnknownHold):
            holds.release(vault, wrong, DPO)
    with pytest.raises(UnknownCategory):
        place(scene, goes.subject, "no_such_category")
    with pytest.raises(UnknownReference):
        place(scene, bytes(16))
    assert [act for act in scene.acts() if act.startswith("hold")] == [
        Act.HOLD_PLACED,
        Act.HOLD_PLACED,
        Act.HOLD_RELEASED,
    ]


def test_a_store_that_fails_at_the_last_moment_leaves_the_change_to_be_carried_on(scene):
    vault = scene.vault
    goes = one(take_in(vault))
    requested = scene.whole(goes.subject)

    def fails():
        raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        scene.changing().run(fails)
    place(scene, goes.subject, "contact")
    scene.clock.advance(600)  # the lease of the run that failed
    scene.run()
    assert scene.certificate(requested).kept == (KeptBack("contact", "hold", "legal_claim", ""),)
