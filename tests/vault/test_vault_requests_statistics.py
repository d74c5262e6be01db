"""The figures of the register: by brand and right, with what is late and how long it took."""

import pytest
from policy_officers import APPROVER
from request_desk import DAY, Desk

from policies.rights import Right
from vault.requests import handling, statistics
from vault.requests.records import Ground
from vault.requests.states import Move


@pytest.fixture
def desk(vault, clock):
    return Desk(vault, clock)


def figures(desk, since=0, until=2**40):
    with desk.vault.reading() as conn:
        found = statistics.counted(conn, desk.vault.bundle.rights, desk.clock.now(), since, until)
    return {each.right: each for each in found}


def test_nothing_is_counted_where_nothing_came(desk):
    assert figures(desk) == {}


def test_what_came_and_how_it_ended(desk, clock):
    first = desk.ask()
    desk.ask()  # a duplicate
    clock.advance(3 * DAY)
    desk.advance(first, Move.WITHDRAW)
    refused = desk.reviewed(Right.COMPLAINT)
    handling.propose_refusal(desk.vault, refused.id, Ground.UNFOUNDED, desk.by())
    handling.decide_refusal(desk.vault, refused.id, desk.by(APPROVER), confirm=True)
    found = figures(desk)
    access = found[Right.ACCESS]
    assert (access.received, access.open, access.outcomes) == (2, 0, {"duplicate": 1, "withdrawn": 1})
    assert (access.median_days, access.longest_days, access.late) == (3, 3, 0)
    assert (found[Right.COMPLAINT].open, found[Right.COMPLAINT].grounds) == (1, {"unfounded": 1})


def test_what_is_late_is_said_to_be(desk, clock):
    request = desk.ask()
    clock.seconds = request.due_at - 1
    assert figures(desk)[Right.ACCESS].late == 0
    clock.advance(1)
    assert figures(desk)[Right.ACCESS].late == 1
    desk.advance(request, Move.WITHDRAW)
    assert figures(desk)[Right.ACCESS].late == 1


def test_a_period_is_one_of_receipt(desk, clock):
    request = desk.ask()
    assert figures(desk, since=clock.now() + 1) == {}
    assert figures(desk, until=request.clock.received_at) == {}
    assert set(figures(desk, clock.now(), clock.now() + 1)) == {Right.ACCESS}


def test_more_than_a_page_is_counted_whole(desk, monkeypatch):
    monkeypatch.setattr(statistics, "PAGE", 3)
    monkeypatch.setattr(statistics, "Wanted", lambda **more: handling.Wanted(**more, most=3))
    names = [each.name for each in desk.vault.bundle.catalogue.categories][:7]
    for name in names:
        desk.ask(names=(name,))
    assert figures(desk)[Right.ACCESS].received == 7
