"""The register of requests: on time or not, whose, and how it ended; and nothing of the person in it."""

import pytest
from maison_people import AURELLE, FIELDS
from report_scene import told
from request_desk import AUTHOR, DAY, Desk

from policies.rights import Right
from vault.errors import InvalidReport
from vault.requests.states import Move


@pytest.fixture
def desk(reporting):
    return Desk(reporting.vault, reporting.clock)


def test_an_open_request_counts_down_and_then_is_late(reporting, desk):
    desk.ask()
    report = reporting.run("requests")
    (row,) = told(report)
    assert (row["right"], row["brand"], row["outcome"], row["overdue"]) == ("access", AURELLE, "", False)
    assert row["days_left"] >= 27
    assert dict(report.body.totals)["open"] == "<5"
    reporting.clock.advance(40 * DAY)
    (row,) = reporting.rows("requests")
    assert (row["overdue"], row["days_left"] < 0) == (True, True)


def test_who_took_the_last_step_owns_it(reporting, desk):
    desk.to_review(desk.ask())
    reporting.clock.advance(3 * DAY)
    (row,) = reporting.rows("requests")
    assert row["owner"] == AUTHOR
    assert row["state"] == "officer_review"


def test_few_are_not_told_by_their_median(reporting, desk):
    desk.ask()
    totals = dict(reporting.run("requests").body.totals)
    assert (totals["median_days"], totals["p90_days"]) == ("too few", "too few")


def test_days_are_counted_to_the_close_and_what_ended_before_the_period_is_not_in_it(reporting, desk):
    rights = (Right.ACCESS, Right.PORTABILITY, Right.RECTIFICATION, Right.RESTRICTION, Right.ERASURE)
    asked = [desk.ask(right) for right in rights]
    for request in asked:
        reporting.clock.advance(2 * DAY)
        desk.advance(request, Move.WITHDRAW)
    report = reporting.run("requests")
    assert sorted(row["days_taken"] for row in told(report)) == [2, 4, 6, 8, 10]
    totals = dict(report.body.totals)
    assert (totals["closed"], totals["outcome_withdrawn"], totals["median_days"]) == (5, 5, 6)
    assert totals["p90_days"] >= 10
    assert len(reporting.rows("requests", since=reporting.clock.now() - 3 * DAY)) == 2


def test_the_period_holds_what_is_open_in_it_whenever_it_came(reporting, desk):
    desk.ask()
    reporting.clock.advance(5 * DAY)
    now = reporting.clock.now()
    assert len(reporting.rows("requests", since=now - DAY)) == 1
    assert reporting.rows("requests", since=0, until=reporting.start) == []
    assert reporting.rows("requests", brand="vantier") == []
    with pytest.raises(InvalidReport):
        reporting.run("requests", system="aurelle-crm")


def test_nothing_of_the_person_is_in_the_register(reporting, desk):
    desk.ask()
    report = reporting.run("requests")
    text = str(report.body)
    for personal in (desk.person.references[AURELLE], desk.person.subject.hex(), FIELDS["client_number"], "Rousselin"):
        assert personal not in text
