"""Retention: what is over its time goes, what something keeps stays, and a dry run only counts."""

import pytest
from erasure_scene import DPO
from maison_people import FIELDS, change, one, person, rows, take_in, value

from audit.entry import Act
from vault.erasure import holds, retention
from vault.erasure.holds import HoldReason
from vault.erasure.keeping import DAY


@pytest.fixture
def years(scene, clock):
    """Turn the clock to the last second of a category's time."""

    def turn(category, *, over):
        days = scene.vault.bundle.catalogue.category(category).retention_days
        clock.seconds = turn.start + days * DAY - (not over)

    turn.start = clock.now()
    return turn


def test_a_category_goes_when_its_time_is_over_and_not_a_second_before(scene, years, clock):
    vault = scene.vault
    who = one(take_in(vault, person(FIELDS | {"last_purchase_date": "2026-03-02"})))
    years("contact", over=False)
    assert retention.sweep(vault, DPO) == retention.Sweep(0, {}, {}, 0)
    years("contact", over=True)
    found = retention.sweep(vault, DPO, dry_run=True)
    assert (found.subjects, found.requested, found.kept) == (0, 0, {})
    assert found.over["contact"] == found.over["identity"] == 1
    assert "purchases" not in found.over
    assert value(vault, who.subject, "email") != []
    assert rows(vault, "SELECT count(*) FROM erasure") == [(0,)]
    swept = retention.sweep(vault, DPO)
    assert swept.over == found.over
    assert swept.requested == sum(found.over.values())
    assert {cause for (cause,) in rows(vault, "SELECT cause FROM erasure")} == {"retention"}
    assert scene.run().erasures == swept.requested
    category = vault.bundle.catalogue.category("purchases").id
    assert rows(vault, "SELECT category_id FROM compartment") == [(category,)]
    assert retention.sweep(vault, DPO) == retention.Sweep(0, {}, {}, 0)
    assert scene.acts().count(Act.CATEGORY_ERASED) == swept.requested


def test_a_write_starts_its_categorys_time_anew(scene, years, clock):
    vault = scene.vault
    who = one(take_in(vault))
    clock.advance(100 * DAY)
    assert change(vault, who, append={"email": "later@example.com"}).version
    years("contact", over=True)
    assert "contact" not in retention.sweep(vault, DPO, dry_run=True).over
    clock.advance(100 * DAY)
    assert retention.sweep(vault, DPO, dry_run=True).over["contact"] == 1


def test_who_is_over_entirely_goes_entirely(scene, years):
    vault = scene.vault
    take_in(vault, person(FIELDS))
    years("contact", over=True)
    swept = retention.sweep(vault, DPO)
    assert (swept.subjects, swept.requested) == (1, 1)
    scene.run()
    assert rows(vault, "SELECT count(*) FROM subject") == [(0,)]


def test_what_is_held_is_counted_and_left(scene, years):
    vault = scene.vault
    who = one(take_in(vault))
    holds.place(vault, who.subject, HoldReason.AUTHORITY_ORDER, DPO, "contact")
    years("contact", over=True)
    swept = retention.sweep(vault, DPO)
    assert swept.kept == {"contact": 1}
    assert swept.subjects == 0
    scene.run()
    assert value(vault, who.subject, "email")
    # Not asked for, so not denied either: retention takes nothing from the hold.
    (hold,) = holds.listed(vault)
    holds.release(vault, hold.id, DPO)
    assert retention.sweep(vault, DPO).subjects == 1


def test_many_people_are_swept_in_pages(scene, years):
    vault = scene.vault
    many = retention.SUBJECTS_PER_UNIT + 5
    take_in(vault, *[person({"client_number": f"N-{each}"}) for each in range(many)])
    years("identity", over=True)
    assert retention.sweep(vault, DPO).requested == many
    ran = scene.run()
    assert (len(ran.ended), ran.erasures, ran.certificates) == (1, many, many)
    assert rows(vault, "SELECT count(*) FROM subject") == [(0,)]
