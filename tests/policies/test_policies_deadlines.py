"""How deadlines are counted: over year ends, leap days, holidays, summer time; and what pauses and extensions add."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.deadlines import (
    Clock,
    Deadline,
    Period,
    acknowledge_by,
    add_months,
    day_of,
    days_left,
    due_at,
    extendable_until,
    may_pause,
)
from policies.rights import STRICTEST, Right

ANY_DAY = st.dates(dt.date(2018, 6, 1), dt.date(2090, 12, 31))


def at(rule, text, hour=12):
    day = dt.date.fromisoformat(text)
    return int(dt.datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(rule.zone)).timestamp())


def last_day(rule, clock, now=None):
    return day_of(rule, due_at(rule, clock, clock.received_at if now is None else now) - 1).isoformat()


def rule_of(maisons, jurisdiction, right=Right.ACCESS, on=dt.date(2026, 9, 21)):
    return maisons.rights.deadline(right, jurisdiction, on)


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-03-05", "2026-04-07"),  # the 5th of April is Easter Sunday, the 6th Easter Monday
        ("2025-08-31", "2025-09-30"),  # there is no 31st of September
        ("2026-01-31", "2026-03-02"),  # the 28th of February is a Saturday
        ("2028-01-31", "2028-02-29"),  # a leap year
        ("2028-01-29", "2028-02-29"),
        ("2027-01-29", "2027-03-01"),  # no leap year, and the 28th a Sunday
        ("2024-02-29", "2024-03-29"),  # Good Friday is no holiday in France outside Alsace and Moselle
        ("2025-11-30", "2025-12-30"),
        ("2025-12-01", "2026-01-02"),  # New Year's Day
        ("2025-11-25", "2025-12-26"),  # Christmas Day
        ("2026-04-14", "2026-05-15"),  # Ascension Day
        ("2026-10-11", "2026-11-12"),  # Armistice Day
        ("2026-07-14", "2026-08-14"),  # a request may come in on a holiday
    ],
)
def test_a_month_of_the_gdpr(maisons, received, due):
    rule = rule_of(maisons, "eu")
    assert last_day(rule, Clock(at(rule, received))) == due


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-03-03", "2026-04-07"),  # Good Friday, the week-end, Easter Monday
        ("2026-11-25", "2026-12-29"),  # Christmas on a Friday: Boxing Day is taken on the Monday
        ("2026-07-31", "2026-09-01"),  # the summer bank holiday
        ("2026-05-14", "2026-06-15"),
    ],
)
def test_a_month_in_the_united_kingdom(maisons, received, due):
    rule = rule_of(maisons, "uk")
    assert last_day(rule, Clock(at(rule, received))) == due


@pytest.mark.parametrize(
    ("jurisdiction", "received", "due"),
    [
        ("us", "2026-01-01", "2026-02-15"),  # a Sunday: 45 calendar days are 45 calendar days
        ("us", "2027-12-31", "2028-02-14"),
        ("us", "2028-02-01", "2028-03-17"),  # over a leap day
        ("cn", "2026-02-01", "2026-03-03"),
        ("cn", "2025-12-15", "2026-01-14"),
        ("default", "2026-01-31", "2026-02-28"),  # rolls nowhere
    ],
)
def test_periods_of_other_laws(maisons, jurisdiction, received, due):
    rule = rule_of(maisons, jurisdiction)
    assert last_day(rule, Clock(at(rule, received))) == due


def test_an_extension_counts_from_receipt(maisons):
    eu, us = rule_of(maisons, "eu"), rule_of(maisons, "us")
    assert last_day(eu, Clock(at(eu, "2025-11-30"), extended=True)) == "2026-03-02"  # the 28th is a Saturday
    assert last_day(eu, Clock(at(eu, "2023-11-30"), extended=True)) == "2024-02-29"
    assert last_day(us, Clock(at(us, "2026-01-01"), extended=True)) == "2026-04-01"  # ninety days


def test_an_extension_is_there_once_and_where_the_law_has_one(maisons):
    eu, cn = rule_of(maisons, "eu"), rule_of(maisons, "cn")
    received = at(eu, "2026-03-10")
    assert extendable_until(eu, Clock(received), received) == due_at(eu, Clock(received), received)
    assert extendable_until(eu, Clock(received, extended=True), received) is None
    assert extendable_until(cn, Clock(received), received) is None


def test_receipt_is_confirmed_in_ten_business_days(maisons):
    us = rule_of(maisons, "us")
    by = acknowledge_by(us, at(us, "2026-11-20"))
    assert day_of(us, by - 1).isoformat() == "2026-12-08"  # Thanksgiving and the day after are off
    assert acknowledge_by(rule_of(maisons, "eu"), by) is None


def test_to_stop_a_sale_takes_fifteen_business_days(maisons):
    us = rule_of(maisons, "us", Right.OBJECTION)
    assert last_day(us, Clock(at(us, "2026-12-18"))) == "2027-01-12"  # Christmas, New Year, and three week-ends
    assert rule_of(maisons, "us", Right.ACCESS).answer == Period(days=45)


def test_the_day_is_the_one_of_the_jurisdiction(maisons):
    """Half past eleven in Paris on the 31st is the 31st, wherever the server stands; and days are as long as they are."""
    eu, cn = rule_of(maisons, "eu"), rule_of(maisons, "cn")
    late = int(dt.datetime(2026, 1, 31, 22, 30, tzinfo=dt.UTC).timestamp())
    assert day_of(eu, late).isoformat() == "2026-01-31"
    assert day_of(cn, late).isoformat() == "2026-02-01"
    summer = due_at(
        eu, Clock(at(eu, "2026-09-25")), 0
    )  # the 25th of October 2026 has twenty-five hours and is a Sunday
    assert dt.datetime.fromtimestamp(summer, dt.UTC).isoformat() == "2026-10-26T23:00:00+00:00"


def test_a_pause_stops_the_clock_day_by_day(maisons):
    eu = rule_of(maisons, "eu")
    received = at(eu, "2026-06-01")
    running = Clock(received, paused_at=at(eu, "2026-06-02"))
    assert last_day(eu, running, at(eu, "2026-06-02")) == "2026-07-01"
    assert last_day(eu, running, at(eu, "2026-06-08")) == "2026-07-07"
    assert last_day(eu, Clock(received, paused_days=6), at(eu, "2026-06-20")) == "2026-07-07"
    assert last_day(eu, Clock(received, paused_days=3), at(eu, "2026-06-20")) == "2026-07-06"  # a week-end follows


def test_only_who_asks_promptly_may_pause(maisons):
    eu, us = rule_of(maisons, "eu"), rule_of(maisons, "us")
    received = at(eu, "2026-06-01", hour=23)
    assert may_pause(eu, received, at(eu, "2026-06-04", hour=1))
    assert not may_pause(eu, received, at(eu, "2026-06-05", hour=0))
    assert not may_pause(us, received, received)


def test_what_is_left_is_told_in_days(maisons):
    eu = rule_of(maisons, "eu")
    clock = Clock(at(eu, "2026-06-01"))
    assert days_left(eu, clock, at(eu, "2026-06-01")) == 30
    assert days_left(eu, clock, at(eu, "2026-07-01", hour=23)) == 0
    assert days_left(eu, clock, at(eu, "2026-07-02", hour=0)) == -1


def test_the_rule_is_the_one_of_the_day(maisons):
    assert maisons.rights.deadline(Right.ACCESS, "eu", dt.date(2018, 5, 24)) == STRICTEST
    assert maisons.rights.deadline(Right.ACCESS, "uk", dt.date(2020, 12, 31)).jurisdiction == "default"
    assert maisons.rights.deadline(Right.ACCESS, "ae", dt.date(2026, 1, 1)).jurisdiction == "default"


@pytest.mark.parametrize(
    ("place", "due"), [("ch", "2026-03-02"), ("jp", "2026-02-14"), ("kr", "2026-02-10"), ("br", "2026-02-15")]
)
def test_places_with_a_number_of_days_of_their_own(maisons, place, due):
    rule = rule_of(maisons, place, on=dt.date(2026, 1, 31))
    assert last_day(rule, Clock(at(rule, "2026-01-31"))) == due
    assert rule.extension.is_none


def test_states_of_the_united_states_have_their_own_since_their_own_day(maisons):
    rights, purposes = maisons.rights, maisons.purposes

    def rule(state, on, right=Right.ACCESS):
        return rights.deadline(right, rights.place(state, purposes.jurisdiction(state)), dt.date.fromisoformat(on))

    virginia = rule("usva", "2026-12-01")
    assert (virginia.answer, virginia.extension, virginia.acknowledge.is_none, virginia.voluntary) == (
        Period(days=45), Period(days=45), True, {},
    )  # fmt: skip
    assert rule("usca", "2026-12-01").acknowledge == Period(working_days=10)
    assert rule("usca", "2026-12-01", Right.OBJECTION).answer == Period(working_days=15)
    # Nothing of a law before its day, nor where there is none: then the house's word holds.
    assert rights.place("usny", purposes.jurisdiction("us")) == "us"
    assert rule("us", "2026-12-01").voluntary
    for each in rights.deadlines:
        if each.jurisdiction.startswith("us") and each.jurisdiction != "us":
            assert purposes.jurisdiction(each.jurisdiction) == "us"  # its bases are those of the country
            before = each.since - dt.timedelta(days=1)
            assert rights.deadline(Right.ACCESS, each.jurisdiction, before).jurisdiction in {
                "default",
                each.jurisdiction,
            }


def test_the_united_kingdom_has_its_own_article_since_february_2026(maisons):
    before, after = (rule_of(maisons, "uk", on=dt.date.fromisoformat(each)) for each in ("2026-02-04", "2026-02-05"))
    assert "12A" not in before.source
    assert "12A" in after.source
    assert rule_of(maisons, "uk", Right.COMPLAINT, dt.date(2026, 6, 19)).acknowledge == Period(days=30)
    assert rule_of(maisons, "uk", Right.COMPLAINT, dt.date(2026, 6, 18)).acknowledge.is_none


def test_every_rule_says_what_was_read_or_what_a_lawyer_has_to_say(maisons):
    for each in maisons.rights.deadlines:
        assert each.source, each
        if (
            each.since >= dt.date(2023, 1, 1)
            and each.checked is None
            and not each.voluntary
            and each.kinds != {Right.OBJECTION}
        ):
            assert each.counsel, each
        assert each.checked is None or each.checked <= dt.date(2026, 12, 1)


def test_what_is_applied_by_the_houses_own_word_says_so_and_why(maisons):
    voluntary = {each.jurisdiction for each in maisons.rights.deadlines if each.voluntary}
    assert voluntary == {"us", "jp", "br", "uk", "default"}


@given(day=ANY_DAY, months=st.integers(0, 40))
def test_months_keep_the_day_or_take_the_last(day, months):
    there = add_months(day, months)
    assert (there.year * 12 + there.month) - (day.year * 12 + day.month) == months
    assert there.day == day.day or (there.day < day.day and (there + dt.timedelta(days=1)).day == 1)


@given(day=ANY_DAY, name=st.sampled_from(["FR", "GB/ENG", ""]))
def test_a_period_that_rolls_ends_on_a_working_day_and_never_early(day, name):
    rolling = Deadline(
        "x", dt.date.min, Period(months=1), Period(), Period(), frozenset(), True, False, 0, name, "UTC", ""
    )
    received = int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp())
    end = day_of(rolling, due_at(rolling, Clock(received), received) - 1)
    assert end.weekday() < 5
    assert dt.timedelta(0) <= end - add_months(day, 1) <= dt.timedelta(days=6)


@given(first=ANY_DAY, gap=st.integers(0, 60))
def test_who_asks_later_is_never_due_earlier(maisons, first, gap):
    rule = rule_of(maisons, "eu", on=dt.date(2026, 1, 1))
    second = first + dt.timedelta(days=gap)
    ends = [last_day(rule, Clock(at(rule, each.isoformat()))) for each in (first, second)]
    assert ends == sorted(ends)
