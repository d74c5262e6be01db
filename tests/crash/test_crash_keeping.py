"""SIGKILL at every statement and every commit of what keeps the log: a new key, the end of an old one, a checkpoint, a report.

On both engines. A change of the key is whole or not begun, and readers with either key verify the log after every death. A
report is made, or waits for whoever looks next, or is said to have failed; half of one is nowhere, and none is made twice.
"""

import json
import os
import signal

import pytest
from sqlalchemy import func, select, update
from test_crash_requests import MOST, breeder, elsewhere
from test_crash_writers import cluster, scene

from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from audit.findings import Verdict
from audit.note import split_note
from audit.reports import document
from audit.reports.asked import Asked
from audit.tables import metadata as audit_metadata
from audit.verify import verify_log
from vault import evidence, logkeys
from vault.reports import runs
from vault.reports.runs import RunState
from vault.store.tables import metadata

pytestmark = [pytest.mark.crash, pytest.mark.xdist_group("crash")]

__all__ = ["breeder", "cluster", "elsewhere", "scene"]

OPERATOR = Actor(ActorKind.VAULT, "operator")
CLAIMED = 8  # a moment after the lease is taken, while the log is read
_KEY, _RUN = audit_metadata.tables["log_key"], metadata.tables["report_run"]


class Log:
    """One vault as its outsiders see it."""

    def __init__(self, scene, vault):
        self.scene, self.vault = scene, vault
        evidence.sign_checkpoints(vault, scene.pin)
        self.held = [self.keys()[0].key.vkey]  # a reader's, from the beginning
        self.kept = [evidence.latest_checkpoint(vault)]

    def keys(self):
        return list(reversed(logkeys.shown(self.vault)))

    def entries(self, *acts):
        with self.vault.reading() as conn:
            read = []
            while piece := ledger.read(conn, 0, len(read), 4096):
                read += [decode(each.body) for each in piece]
        return [each for each in read if each["act"] in acts]

    def in_use(self):
        with self.vault.reading() as conn:
            return logkeys.in_use(conn, 0)

    def sign(self):
        """Have something to sign, and sign it; returns how many lines the note bears."""
        with self.vault.unit() as uow:
            uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, OPERATOR))
            uow.commit()
        evidence.sign_checkpoints(self.vault, self.scene.pin)
        return len(split_note(evidence.latest_checkpoint(self.vault)).unverified)

    def hold(self):
        """Row, log and signatures agree, and the log verifies for holders of the first key, of the newest, and of ours."""
        using, known = self.in_use(), self.keys()
        assert using[-1] == len(known)
        assert len(self.entries("log.key_added")) == len(known) - 1
        assert len(self.entries("log.key_retired")) == len(known) - len(using)
        assert self.sign() == len(using)
        for given in (self.held, [known[-1].key.vkey], [each.key.vkey for each in known]):
            with self.vault.reading() as conn:
                found = verify_log(ledger.stored_log(conn, 0), given, self.kept)
            assert found.verdict is Verdict.FINE, (given, found)
            assert found.signed == found.size

    def let_the_time_pass(self):
        with self.vault.engine.begin() as conn:
            conn.execute(update(_KEY).values(ends_at=0).where(_KEY.c.ended_at.is_(None)))


@pytest.fixture
def log(scene):
    with scene.vault() as vault:
        yield Log(scene, vault)


def deaths(scene, breeder, act, prepare):
    """Do the act once per moment, with a death at it; the last one lives. Yields whether it died, after each."""
    for at in range(MOST):
        prepare()
        status = breeder(scene.order | {"act": act, "at": at})
        died = os.WIFSIGNALED(status)
        assert (os.WTERMSIG(status) == signal.SIGKILL) if died else status == 0
        yield died
        if not died:
            assert at > 3
            return
    pytest.fail("the act has no end")


def test_a_new_key_comes_in_wholly_or_not_at_all(log, breeder):
    came = 0

    def settled():
        log.let_the_time_pass()
        logkeys.retire_due(log.vault)
        assert len(log.in_use()) == 1

    for died in deaths(log.scene, breeder, "rotate", settled):
        came += len(log.in_use()) == 2
        assert died or len(log.in_use()) == 2
        log.hold()
    assert came >= 1


def test_an_old_key_ends_wholly_or_not_at_all(log, breeder):
    ended = 0

    def begun():
        if len(log.in_use()) == 1:
            logkeys.rotate(log.vault, 1, OPERATOR)
        assert log.sign() == 2
        log.let_the_time_pass()

    for died in deaths(log.scene, breeder, "retire", begun):
        ended += len(log.in_use()) == 1
        assert died or len(log.in_use()) == 1
        log.hold()
    assert ended >= 1


def test_a_checkpoint_of_two_keys_is_signed_by_both_whenever_the_signer_dies(log, breeder):
    logkeys.rotate(log.vault, 1, OPERATOR)

    def grown():
        with log.vault.unit() as uow:
            uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, OPERATOR))
            uow.commit()

    for _ in deaths(log.scene, breeder, "sign", grown):
        kept = log.scene.pin.read_text()
        assert len(split_note(kept).unverified) in {1, 2}  # 1: the one from before the change
        with log.vault.reading() as conn:
            found = verify_log(ledger.stored_log(conn, 0), log.held, [kept])
        assert found.verdict is Verdict.FINE  # what lies outside never claims what the log does not hold
        log.hold()


def asked(vault):
    return Asked(0, vault.clock.now() + 1)


def row_of(vault, run_id):
    with vault.reading() as conn:
        return conn.execute(select(_RUN).where(_RUN.c.id == run_id)).one()


def made_of(log, run_id):
    return [each for each in log.entries("audit.viewed") if f"run:{run_id.hex()}" in each.get("pol", ())]


def lease_over(vault):
    with vault.engine.begin() as conn:
        conn.execute(update(_RUN).values(lease_until=0).where(_RUN.c.state == RunState.RUNNING.value))


def whole(log, run_id):
    """The report is there, signed, and one entry says so; or nothing of it is."""
    row, entries = row_of(log.vault, run_id), made_of(log, run_id)
    if row.state == RunState.DONE.value:
        opened, note = document.opened(bytes(row.document))
        assert json.loads(bytes(row.document))["content"] == opened
        assert "report" in split_note(note).text.partition("\n")[0]
        assert len(entries) == 1
        return True
    assert (row.state in {RunState.QUEUED.value, RunState.RUNNING.value}, bytes(row.document), entries) == (
        True,
        b"",
        [],
    )
    return False


def test_a_report_is_made_once_whenever_its_process_dies(log, breeder):
    run_ids, left = [], 0

    def queued():
        run_ids.append(runs.queue(log.vault, "refusals", asked(log.vault), OPERATOR).id)

    for died in deaths(log.scene, breeder, "report", queued):
        done = whole(log, run_ids[-1])
        assert died or done
        left += not done
        lease_over(log.vault)
        while runs.turn(log.vault):
            pass
        assert whole(log, run_ids[-1])
    assert left >= 3  # it died with the report unmade, and another process made it
    assert {each.state for each in runs.listed(log.vault)} == {RunState.DONE}
    with log.vault.reading() as conn:
        assert conn.scalar(select(func.count()).select_from(_RUN)) == len(run_ids)
    assert evidence.verify(log.vault, 0, []).verdict is Verdict.FINE


def test_a_report_that_kills_whoever_makes_it_is_given_up_and_the_next_is_made(log, breeder):
    deadly = runs.queue(log.vault, "refusals", asked(log.vault), OPERATOR).id
    for attempt in range(1, runs.MOST_ATTEMPTS + 1):
        status = breeder(log.scene.order | {"act": "report", "at": CLAIMED})
        assert os.WIFSIGNALED(status)
        assert row_of(log.vault, deadly).attempts == attempt  # it was begun, and nothing more was heard
        assert not whole(log, deadly)
        lease_over(log.vault)
    following = runs.queue(log.vault, "refusals", asked(log.vault), OPERATOR).id
    while runs.turn(log.vault) or row_of(log.vault, following).state == RunState.QUEUED.value:
        pass
    row = row_of(log.vault, deadly)
    assert (row.state, row.problem, bytes(row.document), made_of(log, deadly)) == ("failed", "given_up", b"", [])
    assert whole(log, following)
