"""Kept filters and plans: each plan makes one report when it is due, whoever else looks, and says whose it is."""

import pytest
from maison_people import AURELLE, rows
from report_scene import DPO

from audit.entry import decode
from vault.errors import InvalidReport, UnknownReport
from vault.reports import runs, saved
from vault.reports.saved import NewSaved

DAY = 86_400
WEEKLY = NewSaved("Refusals of the week", "refusals", 7, {"brand": AURELLE}, every_days=7)


def last_entry(vault):
    return decode(bytes(rows(vault, "SELECT body FROM log_entry ORDER BY idx DESC LIMIT 1")[0][0]))


@pytest.mark.parametrize(
    ("new", "error"),
    [
        (NewSaved("", "refusals", 7, {}), InvalidReport),
        (NewSaved("x" * 81, "refusals", 7, {}), InvalidReport),
        (NewSaved("a\nb", "refusals", 7, {}), InvalidReport),
        (NewSaved("t", "nothing", 7, {}), UnknownReport),
        (NewSaved("t", "refusals", 0, {}), InvalidReport),
        (NewSaved("t", "refusals", 7, {}, every_days=-1), InvalidReport),
        (NewSaved("t", "access", 7, {"brand": AURELLE, "reference": "ref_5m2871qs5ys9s03frr8w4mabm6"}), InvalidReport),
        (NewSaved("t", "retention", 7, {"purpose": "clienteling"}), InvalidReport),
        (NewSaved("t", "access", 7, {"staff": "a name"}), InvalidReport),
    ],
)
def test_what_is_no_filter_is_not_kept(reporting, new, error):
    with pytest.raises(error):
        saved.save(reporting.vault, new, DPO)
    assert saved.listed(reporting.vault) == []


def test_a_filter_is_kept_found_and_forgotten_and_the_log_says_so(reporting):
    kept = saved.save(reporting.vault, WEEKLY, DPO)
    entry = last_entry(reporting.vault)
    assert (entry["act"], entry["actor"]["id"]) == ("report.saved", DPO.id)
    assert set(entry["pol"]) == {"report:refusals", f"saved:{kept.id.hex()}", "every:7"}
    assert saved.listed(reporting.vault) == [kept] == [saved.one(reporting.vault, kept.id)]
    period = saved.asked_of(kept, reporting.clock.now())
    assert (period.until - period.since, period.brand) == (7 * DAY, AURELLE)
    saved.forget(reporting.vault, kept.id, DPO)
    assert last_entry(reporting.vault)["act"] == "report.dropped"
    for again in (lambda: saved.one(reporting.vault, kept.id), lambda: saved.forget(reporting.vault, kept.id, DPO)):
        with pytest.raises(UnknownReport):
            again()


def test_a_plan_makes_one_report_when_it_is_due_and_one_after_a_long_pause(reporting):
    kept = saved.save(reporting.vault, WEEKLY, DPO)
    saved.save(reporting.vault, NewSaved("By hand", "refusals", 1, {}), DPO)
    assert saved.queue_due(reporting.vault) == 1
    assert saved.queue_due(reporting.vault) == 0
    reporting.clock.advance(7 * DAY - 1)
    assert saved.queue_due(reporting.vault) == 0
    reporting.clock.advance(30 * DAY)
    assert saved.queue_due(reporting.vault) == 1
    found = runs.listed(reporting.vault)
    assert [each.saved for each in found] == [kept.id, kept.id]
    assert {each.actor.kind for each in found} == {"vault"}  # nobody looked yet; whoever takes it away is told then
    assert [each.filter["until"] for each in found] == sorted([each.filter["until"] for each in found], reverse=True)
    reporting.sign()
    while runs.turn(reporting.vault):
        pass
    assert {each.state.value for each in runs.listed(reporting.vault)} == {"done"}


def test_two_processes_that_look_at_once_ask_once(reporting):
    kept = saved.save(reporting.vault, WEEKLY, DPO)
    reporting.clock.advance(8 * DAY)
    first = saved._queue(reporting.vault, kept.id)
    assert (first, saved._queue(reporting.vault, kept.id)) == (True, False)
    assert len(runs.listed(reporting.vault)) == 1
