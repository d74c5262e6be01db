"""The census: who shares what, kept without anybody in it; and what is held back, coarsened or released by it."""

import dataclasses

import pytest
from maison_people import AURELLE, VANTIER, change, grant, look_all, one, person, rows, take_in
from policy_officers import acts

from audit.entry import Actor, ActorKind
from policies.levels import Level
from vault import census, envelope, restrictions
from vault.crowds import Crowds
from vault.openings import STORED, Stored, context
from vault.restrictions import Ground, Restrict
from vault.store.tables import metadata
from vault.unit import execute

DAY = 86_400


def never(_):
    return False


def crowd(vault, *days, brand=AURELLE):
    """One person for each birth date."""
    return take_in(vault, *(person({"birth_date": day}, brand=brand) for day in days))


def shown(vault, subject, field="birth_date", least=20, brand=AURELLE):
    """The generalised value under a threshold, as a purpose that names nobody would get it."""
    (made,) = [grant(vault, subject, (field, Level.GENERALISED), brand=brand)]
    fields = tuple(dataclasses.replace(each, least_group=least) for each in made.fields)
    made = dataclasses.replace(made, fields=fields)
    return one(look_all(vault, [made]))[field]


def counted(vault):
    assert census.count(vault, never)
    census.take_up(vault)


@pytest.fixture
def may(vault):
    """Twenty people born in May, five in June of the same quarter, and one in December."""
    return crowd(vault, *["1980-05-17"] * 20, *["1980-06-01"] * 5, "1980-12-24")


def test_a_value_is_released_where_enough_share_it_coarsened_where_that_helps_and_else_held_back(vault, may):
    counted(vault)
    common, scarce, alone = (shown(vault, may[at].subject) for at in (0, 20, 25))
    assert (common.value, common.coarser, common.withheld) == ({"month": 5}, False, False)
    assert (scarce.value, scarce.coarser, scarce.withheld) == ({"quarter": 2}, True, False)
    assert (alone.value, alone.present, alone.withheld) == (None, True, True)
    assert shown(vault, may[25].subject, least=1).value == {"month": 12}
    assert shown(vault, may[0].subject, least=25).value == {"quarter": 2}
    assert shown(vault, may[0].subject, least=26).withheld


def test_before_the_first_census_and_without_one_of_this_week_nothing_is_released(vault, may, clock):
    assert shown(vault, may[0].subject).withheld
    counted(vault)
    assert shown(vault, may[0].subject).value == {"month": 5}
    clock.advance(8 * DAY)
    census.take_up(vault)
    assert shown(vault, may[0].subject).withheld


def test_brands_are_views_of_their_own(vault):
    ours = crowd(vault, *["1980-05-17"] * 20)
    theirs = crowd(vault, *["1980-05-17"] * 19, brand=VANTIER)
    counted(vault)
    assert shown(vault, ours[0].subject).value == {"month": 5}
    assert shown(vault, theirs[0].subject, brand=VANTIER).withheld


def test_who_is_restricted_is_counted_no_more(vault, may):
    counted(vault)
    assert shown(vault, may[2].subject).value == {"month": 5}
    asked = Restrict(AURELLE, may[1].references[AURELLE], Ground.UNLAWFUL, Actor(ActorKind.OFFICER, "dpo-1"))
    one(execute(vault, restrictions.restrictions, [asked]))
    counted(vault)
    assert shown(vault, may[2].subject).value == {"quarter": 2}


def test_who_left_or_changed_is_counted_no_more_and_an_absent_value_is_absent(vault, may):
    counted(vault)
    change(vault, may[0], set={"birth_date": "1980-11-17"})
    rows(vault, "UPDATE subject SET state = 'erasing' WHERE id = ?", may[1].subject)
    counted(vault)
    assert shown(vault, may[2].subject).value == {"quarter": 2}
    nobody = one(take_in(vault, person({"ring_size": {"value": "52", "system": "eu"}})))
    assert (shown(vault, nobody.subject).present, shown(vault, nobody.subject).withheld) == (False, False)


def test_of_a_list_each_item_must_be_shared_and_one_person_counts_once(vault):
    twice = ["+33639981234", "+33639981235"]
    people = take_in(
        vault, *(person({"phone": twice}) for _ in range(19)), person({"phone": [twice[0], "+971501234567"]})
    )
    counted(vault)
    many = shown(vault, people[0].subject, "phone")
    assert [each["value"] for each in many.value] == [{"country": "FR"}] * 2
    assert shown(vault, people[19].subject, "phone").withheld
    assert shown(vault, people[0].subject, "phone", least=21).withheld


def test_what_is_kept_leads_to_nobody_and_holds_no_small_group(vault, may):
    counted(vault)
    kept = rows(vault, "SELECT number, bucket, subjects FROM census_group ORDER BY subjects")
    assert [subjects for _, _, subjects in kept] == [20, 25]
    assert all(len(bytes(bucket)) == 16 for _, bucket, _ in kept)
    stored = [
        bytes(column) if isinstance(column, bytes | memoryview) else str(column).encode()
        for table in ("census_group", "census_run")
        for row in rows(vault, f"SELECT * FROM {table}")  # noqa: S608 - our own two names
        for column in row
    ]
    told = {word for each in may for word in (bytes(each.subject), bytes(each.subject).hex().encode())}
    told |= {reference.encode() for each in may for reference in each.references.values()}
    assert stored
    assert not [column for column in stored if any(word in column for word in told)]
    (entry,) = acts(vault, "crowd.")
    assert entry[:2] == ("crowd.counted", "allow")
    assert entry[3] == ("groups:2",)


def test_values_that_cannot_be_read_are_counted_and_told_and_stop_nothing(vault, may):
    """One does not open; one opens and is no value: sealed by whatever had the keys, or by a version that erred."""
    query = STORED.where(metadata.tables["field_value"].c.subject_id.in_([may[0].subject, may[1].subject]))
    with vault.reading() as conn:
        first, second = [Stored._make(row) for row in conn.execute(query)]
    dek = bytes(32)
    (wrapped,) = vault.keys.wrap([(second.leaf, dek)])
    where = context(vault.deployment, second)
    sealed = envelope.seal(dek, wrapped, second.generation, where, b"\x01no value of ours")
    for row, stored in ((first, first.envelope[:-1] + bytes([first.envelope[-1] ^ 1])), (second, sealed)):
        rows(vault, "UPDATE field_value SET envelope = ? WHERE subject_id = ?", stored, row.subject)
    made = census.count(vault, never)
    assert (made.people, made.unreadable) == (26, 2)
    census.take_up(vault)
    assert acts(vault, "crowd.")[-1][3] == ("groups:1", "unreadable:2")
    # Eighteen are left in May, and five in June: the quarter is shared, the month is not any more.
    assert shown(vault, may[2].subject).value == {"quarter": 2}


def test_a_census_is_due_when_the_log_has_grown_or_a_day_is_over_and_one_counts_at_a_time(vault, may, clock):
    assert census.is_due(vault)
    counted(vault)
    assert not census.is_due(vault)
    crowd(vault, *["1980-05-17"] * 20)
    assert not census.is_due(vault)  # not within the minute
    clock.advance(61)
    assert census.is_due(vault)
    counted(vault)
    clock.advance(61)
    assert not census.is_due(vault)
    clock.advance(DAY)
    assert census.is_due(vault)
    assert not census.count(vault, lambda _: True)  # given up: the old one stays in use
    assert shown(vault, may[0].subject).value == {"month": 5}
    assert not census.count(vault, never)  # somebody counts, it seems
    clock.advance(census.PATIENCE + 1)
    census.turn(vault, never)
    assert vault.crowds.number == 4
    assert len(rows(vault, "SELECT number FROM census_run")) == 1


def test_of_fewer_than_the_least_group_nobody_is_counted(vault):
    crowd(vault, *["1980-05-17"] * 19)
    assert not census.is_due(vault)
    census.turn(vault, never)
    assert acts(vault, "crowd.") == []
    crowd(vault, "1980-05-17")
    assert census.is_due(vault)


def test_every_process_takes_up_the_newest(opening, bundle, may, vault):
    other = opening(bundle)
    assert census.count(vault, never)
    census.take_up(other)
    assert shown(other, may[0].subject).value == {"month": 5}
    assert other.crowds.number == 1
    assert Crowds().number == 0
