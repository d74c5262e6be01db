"""Wishes on being contacted narrow, and nothing they say ever permits more."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.contactability import WISHES, Channel, Why, evaluate

MONDAY = dt.datetime(2026, 9, 21, 10, 0, tzinfo=dt.UTC)
SATURDAY = MONDAY + dt.timedelta(days=5)

wishes = st.fixed_dictionaries(
    {},
    optional={
        "contact_channel": st.lists(st.sampled_from(list(Channel)).map(str), max_size=3),
        "contact_hours": st.lists(
            st.sampled_from(["weekday_morning", "weekday_afternoon", "weekday_evening", "weekend"]), max_size=3
        ),
        "keep_quiet": st.lists(st.booleans(), max_size=2),
        "advisor": st.lists(st.sampled_from(["advisor-1", "advisor-2"]), max_size=1),
        "discretion": st.lists(
            st.sampled_from(["own_advisor_only", "no_post_at_home", "plain_packaging", "gifts_kept_secret"]), max_size=3
        ),
    },
)
moments = st.one_of(st.none(), st.integers(0, 24 * 14).map(lambda hours: MONDAY + dt.timedelta(hours=hours)))


@pytest.mark.parametrize(
    ("said", "channel", "local", "staff", "why"),
    [
        ({}, Channel.PHONE, None, "", ()),
        ({"contact_channel": ["email"]}, Channel.PHONE, MONDAY, "", (Why.CHANNEL,)),
        ({"contact_channel": ["email"]}, Channel.EMAIL, MONDAY, "", ()),
        ({"contact_hours": ["weekday_morning"]}, Channel.PHONE, MONDAY, "", ()),
        ({"contact_hours": ["weekday_morning"]}, Channel.PHONE, MONDAY.replace(hour=12), "", (Why.HOURS,)),
        ({"contact_hours": ["weekday_morning"]}, Channel.PHONE, None, "", (Why.HOURS,)),
        ({"contact_hours": ["weekday_morning"]}, Channel.PHONE, SATURDAY, "", (Why.HOURS,)),
        ({"contact_hours": ["weekend"]}, Channel.PHONE, SATURDAY, "", ()),
        ({"contact_hours": ["weekend"]}, Channel.LETTER, MONDAY, "", ()),
        ({"keep_quiet": [True]}, Channel.LETTER, MONDAY, "", (Why.SILENCE,)),
        ({"keep_quiet": [False]}, Channel.LETTER, MONDAY, "", ()),
        ({"discretion": ["own_advisor_only"]}, Channel.PHONE, MONDAY, "a", (Why.ADVISOR,)),
        ({"discretion": ["own_advisor_only"], "advisor": ["a"]}, Channel.PHONE, MONDAY, "a", ()),
        ({"discretion": ["own_advisor_only"], "advisor": ["a"]}, Channel.PHONE, MONDAY, "b", (Why.ADVISOR,)),
        ({"discretion": ["no_post_at_home"]}, Channel.LETTER, MONDAY, "", (Why.HOME,)),
    ],
)
def test_each_wish_stands_against_what_it_is_about(said, channel, local, staff, why):
    found = evaluate(said, channel, local, staff)
    assert (found.allowed, found.why) == (not why, why)


@given(wishes, wishes, st.sampled_from(list(Channel)), moments, st.sampled_from(["", "advisor-1"]))
def test_one_more_wish_never_allows_what_was_not(said, more, channel, local, staff):
    # Lists of what is welcome are wishes by their absence from it, so a first one narrows and a longer one may not.
    added = {name: value for name, value in more.items() if name not in said and name != "advisor"}
    if evaluate({**said, **added}, channel, local, staff).allowed:
        assert evaluate(said, channel, local, staff).allowed


def test_the_catalogue_has_every_wish(maisons):
    assert set(WISHES) <= set(maisons.catalogue.fields)
