"""Reports in the background: by one process at a time, found again after a crash, and never about a person."""

import json
import threading

import pytest
from maison_people import AURELLE, rows
from report_scene import DPO, OPERATOR

from audit.checkpoint import parse
from audit.entry import Act, Actor, ActorKind, Outcome, decode
from audit.note import split_note, vkey
from audit.reports import document
from audit.reports.asked import Asked
from vault import housekeeping
from vault.errors import InvalidReport, Refused, ReportNotReady, UnknownReport
from vault.keys.service import SigningKey
from vault.reports import running, runs
from vault.reports.runs import RunState

DAY = 86_400


@pytest.fixture
def busy(reporting):
    """A log with a few refusals, signed."""
    reporting.system("aurelle-pos")
    reporting.did("aurelle-pos", act=Act.FIELD_DENIED, out=Outcome.DENY, times=7, pol=("store.contact",))
    reporting.sign()
    return reporting


def asked(scene, **more):
    return Asked(scene.start, scene.clock.now() + 1, **more)


def viewed(vault):
    bodies = rows(vault, "SELECT body FROM log_entry ORDER BY idx")
    return [entry for entry in (decode(bytes(body)) for (body,) in bodies) if entry["act"] == Act.AUDIT_VIEWED]


def test_what_cannot_be_made_is_refused_when_it_is_asked_for(busy):
    person = busy.person()
    for name, more, error in (
        ("nothing", {}, UnknownReport),
        ("transfers", {"staff": "ab" * 16}, InvalidReport),
        ("access", {"brand": AURELLE, "reference": person.references[AURELLE]}, InvalidReport),  # never kept
    ):
        with pytest.raises(error):
            runs.queue(busy.vault, name, asked(busy, **more), DPO)
    assert runs.listed(busy.vault) == []
    for take in (runs.standing, lambda vault, run: runs.taken(vault, run, DPO)):
        with pytest.raises(UnknownReport):
            take(busy.vault, bytes(16))


def test_who_has_many_waiting_asks_for_no_more(busy):
    """Each reads the whole log, the oldest first: somebody who asks without end would have everybody wait."""
    for _ in range(runs.MOST_WAITING):
        runs.queue(busy.vault, "refusals", asked(busy), DPO)
    with pytest.raises(Refused) as refused:
        runs.queue(busy.vault, "refusals", asked(busy), DPO)
    assert refused.value.code == "too_many_requests"
    assert runs.queue(busy.vault, "refusals", asked(busy), OPERATOR).state is RunState.QUEUED
    assert runs.turn(busy.vault)
    assert runs.queue(busy.vault, "refusals", asked(busy), DPO).state is RunState.QUEUED


def test_it_is_made_once_kept_signed_and_each_taking_is_an_entry(busy):
    run = runs.queue(busy.vault, "refusals", asked(busy, brand=AURELLE), DPO)
    assert (run.state, run.filter["brand"], run.actor) == (RunState.QUEUED, AURELLE, DPO)
    with pytest.raises(ReportNotReady):
        runs.taken(busy.vault, run.id, DPO)
    assert runs.turn(busy.vault) is True
    assert runs.turn(busy.vault) is False
    assert runs.standing(busy.vault, run.id).state is RunState.DONE
    (made,) = viewed(busy.vault)
    assert (made["actor"]["id"], made["n"]) == (DPO.id, 1)
    assert {"report:refusals", f"run:{run.id.hex()}"} <= set(made["pol"])
    given = runs.taken(busy.vault, run.id, OPERATOR)
    assert [each["actor"]["id"] for each in viewed(busy.vault)] == [DPO.id, OPERATOR.id]
    name = running.report_key_name(busy.vault)
    keys = [vkey(name, busy.vault.keys.public_key(SigningKey.RECEIPT))]
    origin = name.removesuffix(document.SUFFIX)
    for form in (given.json, given.csv):
        assert document.verify(given.note, form, keys, origin) == "refusals"
    assert json.loads(given.json)["content"]["rows"][0][0] == "store.contact"
    direct = running.run(busy.vault, "refusals", asked(busy, brand=AURELLE), DPO)
    assert given.csv == document.to_csv(direct)


def test_a_process_that_died_is_followed_by_another_and_a_deadly_report_is_given_up(busy):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    for attempt in range(1, runs.MOST_ATTEMPTS + 1):
        assert runs._claim(busy.vault) is not None  # and nothing more is heard of whoever claimed it
        assert runs.standing(busy.vault, run.id).state is RunState.RUNNING
        assert runs._claim(busy.vault) is None, attempt
        busy.clock.advance(runs.LEASE_SECONDS + 1)
    assert runs.turn(busy.vault) is False
    found = runs.standing(busy.vault, run.id)
    assert (found.state, found.problem) == (RunState.FAILED, "given_up")
    assert viewed(busy.vault) == []


def test_whoever_lost_the_lease_stores_nothing(busy):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    late = runs._claim(busy.vault)
    busy.clock.advance(runs.LEASE_SECONDS + 1)
    assert runs.turn(busy.vault) is True
    late.fail(busy.vault, "internal_error")
    with busy.vault.unit() as uow:
        assert late.update(uow, {"state": "queued"}) is False
    beat = late.beat(lambda: False)
    busy.clock.advance(runs.RENEW_SECONDS)
    with pytest.raises(runs._Over):
        beat(4096, 8192)
    assert runs.standing(busy.vault, run.id).state is RunState.DONE
    assert len(viewed(busy.vault)) == 1


def test_while_it_is_made_the_lease_is_kept_and_how_far_it_is_is_told(busy):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    work = runs._claim(busy.vault)
    beat = work.beat(lambda: False)
    beat(1, 9)
    assert runs.standing(busy.vault, run.id).seen == 0  # not at every piece
    for seen in (4, 8):
        busy.clock.advance(runs.LEASE_SECONDS - 1)
        beat(seen, 9)
        found = runs.standing(busy.vault, run.id)
        assert (found.seen, found.size, found.state) == (seen, 9, RunState.RUNNING)
        assert runs._claim(busy.vault) is None


def test_a_process_that_is_stopped_puts_it_back_and_begins_none(busy):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    assert runs.turn(busy.vault, lambda: True) is False
    answers = iter([False])
    assert runs.turn(busy.vault, lambda: next(answers, True)) is True
    assert runs.standing(busy.vault, run.id).state is RunState.QUEUED
    assert runs.turn(busy.vault) is True
    assert runs.standing(busy.vault, run.id).state is RunState.DONE


def test_what_fails_says_why_and_the_next_is_made_all_the_same(busy, monkeypatch):
    one = runs.queue(busy.vault, "blast_radius", asked(busy), DPO)  # of no system
    two = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    assert runs.turn(busy.vault) and runs.turn(busy.vault)
    found = {each.id: (each.state, each.problem) for each in runs.listed(busy.vault)}
    assert found == {one.id: (RunState.FAILED, "invalid_report"), two.id: (RunState.DONE, "")}


def test_many_processes_make_each_report_once(busy):
    asked_for = {runs.queue(busy.vault, "refusals", asked(busy), DPO).id for _ in range(6)}

    def work():
        while any(each.state is not RunState.DONE for each in runs.listed(busy.vault)):
            runs.turn(busy.vault)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {each.id for each in runs.listed(busy.vault)} == asked_for
    made = [rule for entry in viewed(busy.vault) for rule in entry["pol"] if rule.startswith("run:")]
    assert sorted(made) == sorted(f"run:{each.hex()}" for each in asked_for)


def test_a_report_goes_no_further_than_the_checkpoint_asked_for(busy):
    with busy.vault.reading() as conn:
        from audit.reports.lines import vouched

        (before,) = vouched(conn)
    busy.did("aurelle-pos", act=Act.FIELD_DENIED, out=Outcome.DENY, times=9, pol=("store.contact",))
    busy.sign()
    newest = running.run(busy.vault, "refusals", asked(busy), DPO)
    earlier = running.run(busy.vault, "refusals", asked(busy, upto=before.size), DPO)
    between = running.run(busy.vault, "refusals", asked(busy, upto=before.size + 1), DPO)
    assert [report.body.rows[0][5] for report in (newest, earlier, between)] == [16, 7, 7]
    assert earlier.upto == between.upto == (before,)
    assert parse(split_note(earlier.upto[0].note).text).size == before.size
    assert earlier.filter["upto"] == f"{before.size}"
    none = running.run(busy.vault, "refusals", asked(busy, upto=1), DPO)
    assert none.body.rows == ()


def test_results_expire(busy):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    runs.turn(busy.vault)
    busy.clock.advance(runs.KEPT_SECONDS + housekeeping.GRACE_SECONDS + 1)
    assert housekeeping.purge(busy.vault).reports == 1
    with pytest.raises(UnknownReport):
        runs.taken(busy.vault, run.id, DPO)


def test_nothing_is_kept_that_relates_the_entries_of_a_person(busy):
    """An access report kept has a pseudonym a row, another in each: as the log itself."""
    person = busy.person()
    busy.did("aurelle-pos", whom=person, times=3, fld=("phone:masked",))
    busy.sign()
    runs.queue(busy.vault, "access", asked(busy), Actor(ActorKind.SYSTEM, "aurelle-pos"))
    runs.turn(busy.vault)
    ((kept,),) = rows(busy.vault, "SELECT document FROM report_run")
    content, _ = document.opened(bytes(kept))
    subject = [each["name"] for each in content["columns"]].index("subject")
    pseudonyms = [row[subject] for row in content["rows"] if row[subject]]
    assert len(pseudonyms) == len(set(pseudonyms)) >= 3
    assert person.references[AURELLE].encode() not in bytes(kept)
