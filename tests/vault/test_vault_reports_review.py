"""The review on real parts: each highlight from what a vault itself wrote, and silence where there is nothing to say."""

import pytest
from maison_people import AURELLE, VANTIER
from report_scene import DPO, OPERATOR

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import alerts, clockwatch, evidence
from vault.erasure import requests

OFFICER = Actor(ActorKind.OFFICER, "a.moreau")
REPAIR = "clienteling.aftercare"  # opens measurements in full, contact masked, notes not at all
HOUR = 3600


@pytest.fixture
def scene(reporting):
    reporting.system("aurelle-pos", purposes=(REPAIR,))
    reporting.system("vantier-pos", VANTIER, purposes=(REPAIR,))
    return reporting


def told(scene, **asked):
    return [row for row in scene.rows("anomalies", **asked) if row["severity"] != "none"]


def of(scene, rule, **asked):
    return [row for row in told(scene, **asked) if row["rule"] == rule]


def hours(scene, count):
    """Time goes by, with a heartbeat each hour."""
    for _ in range(count):
        scene.clock.advance(HOUR)
        clockwatch.heartbeat(scene.vault)


def test_an_ordinary_day_points_at_nothing(scene):
    clockwatch.note_start(scene.vault)
    scene.did("aurelle-pos", fld=("ring_size:raw", "phone:masked"), pur=REPAIR, times=4)
    hours(scene, 24)
    assert evidence.reconciled(scene.vault, holder(scene, 40), OPERATOR).unusual == ()
    assert told(scene) == []


def test_a_purpose_that_does_not_open_a_field_is_told_by_the_policies_in_force(scene):
    scene.did("aurelle-pos", fld=("ring_size:raw", "phone:masked"), pur=REPAIR)
    scene.did("aurelle-pos", fld=("phone:raw", "ring_size:raw"), pur=REPAIR, times=6)
    scene.did("vantier-pos", fld=("phone:masked",), pur="no.such.purpose")
    scene.did("aurelle-pos", Act.FIELD_DENIED, Outcome.DENY, fld=("email:raw",), pur=REPAIR)
    one, two = of(scene, "undeclared_field")
    assert (one["actor"], one["about"], one["seen"]) == ("aurelle-pos", f"{REPAIR} phone:raw", 6)
    assert (two["actor"], two["about"], two["seen"]) == ("vantier-pos", "no.such.purpose phone:masked", "<5")
    assert [row["actor"] for row in of(scene, "undeclared_field", brand=VANTIER)] == ["vantier-pos"]


def test_looks_before_an_erasure_are_found_while_the_key_lives_and_forgotten_with_it(scene):
    her, him = scene.person(), scene.person()
    catalogue = scene.vault.bundle.catalogue
    look = {"fld": ("ring_size:raw",), "pur": REPAIR}
    scene.did("aurelle-pos", whom=her, times=2, **look)
    scene.clock.advance(2 * HOUR)
    for person in (her, him):
        scene.did("aurelle-pos", whom=person, times=3, **look)
    scene.did("aurelle-pos", whom=her, times=3, fld=("phone:masked",), pur=REPAIR)
    assert of(scene, "look_before_erasure") == []
    scene.clock.advance(600)
    requests.erase(scene.vault, [requests.of_category(catalogue, her.subject, "contact", DPO)])
    scene.did("aurelle-pos", whom=her, **look)
    scene.clock.advance(60)
    (row,) = of(scene, "look_before_erasure")
    assert (row["actor"], row["brand"], row["seen"], row["entry"]) == ("aurelle-pos", AURELLE, "<5", -1)
    assert her.references[AURELLE] not in str(row)
    requests.erase(scene.vault, [requests.Erase(her.subject, DPO)])  # all of her: her key is refused from here on
    assert of(scene, "look_before_erasure") == []


def test_an_officer_who_looks_in_an_emergency_and_asks_for_the_erasure_is_told(scene):
    her, him = scene.person(), scene.person()
    catalogue = scene.vault.bundle.catalogue
    scene.noted(
        Entry(Act.BREAKGLASS_DISCLOSED, Outcome.ALLOW, OFFICER, ("phone:raw",), "break_glass", pol=("case:ab",))
    )
    scene.clock.advance(600)
    requests.erase(scene.vault, [requests.of_category(catalogue, him.subject, "contact", DPO)])
    assert [row["actor"] for row in of(scene, "look_before_erasure")] == []
    requests.erase(scene.vault, [requests.of_category(catalogue, her.subject, "contact", OFFICER)])
    (row,) = of(scene, "look_before_erasure")
    assert (row["severity"], row["actor"]) == ("high", OFFICER.id)


def test_silence_is_told_with_its_hours(scene):
    clockwatch.note_start(scene.vault)
    hours(scene, 3)
    assert of(scene, "heartbeat_gap") == []
    scene.clock.advance(5 * HOUR)
    clockwatch.note_start(scene.vault)
    scene.did("aurelle-pos", fld=("ring_size:raw",), pur=REPAIR)
    (row,) = of(scene, "heartbeat_gap")
    assert (row["seen"], row["usual"], row["severity"]) == (300, 60, "medium")
    scene.clock.advance(3 * HOUR)
    scene.did("aurelle-pos", fld=("ring_size:raw",), pur=REPAIR)  # somebody is served, and no heartbeat is written
    assert [row["seen"] for row in of(scene, "heartbeat_gap")] == [300, 180]
    assert of(scene, "heartbeat_gap", system="aurelle-pos") == []


def holder(scene, count, refused=0):
    from datetime import UTC, datetime

    import orjson

    when = datetime.fromtimestamp(scene.clock.now() - scene.clock.now() % HOUR, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [orjson.dumps({"event": "keyd.opened", "count": count, "refused": refused, "time": when}).decode()]


def test_what_the_key_holder_counted_and_the_log_does_not_explain_is_told(scene):
    scene.clock.advance(2 * HOUR)
    scene.did("aurelle-pos", fld=("ring_size:raw",), pur=REPAIR, times=20)
    assert evidence.reconciled(scene.vault, holder(scene, 21), OPERATOR).unusual == ()
    assert of(scene, "keys_unexplained") == []
    assert len(evidence.reconciled(scene.vault, holder(scene, 80_000), OPERATOR).unusual) == 1
    (row,) = of(scene, "keys_unexplained")
    assert (row["severity"], row["seen"], row["usual"]) == ("high", 80_000, 20)
    assert "80000" in row["why"] and "80000" in row["why_fr"]
    assert of(scene, "keys_unexplained", brand=AURELLE) == []


def test_two_fields_of_one_entry_are_two_alerts_each_decided_by_itself(scene):
    scene.did("aurelle-pos", fld=("phone:raw", "email:raw"), pur=REPAIR)
    scene.sign()
    _, found = alerts.found(scene.vault, DPO)
    mine = [each for each in found if each.row["rule"] == "undeclared_field"]
    assert len({each.name for each in mine}) == len(mine) == 2
    alerts.decide(scene.vault, mine[0].name, alerts.Finding.EXPLAINED, DPO)
    _, found = alerts.found(scene.vault, DPO)
    decided = {each.row["about"]: each.decision is not None for each in found if each.row["rule"] == "undeclared_field"}
    assert decided == {mine[0].row["about"]: True, mine[1].row["about"]: False}
