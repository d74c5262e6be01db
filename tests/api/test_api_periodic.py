"""Background jobs: one behind the door rests while that is shut, and only what is a fault is told as one."""

import io
import json
from types import SimpleNamespace

import pytest
from maison_people import given, one, person, take_in

from api import jobs
from api.observability.events import Event
from api.observability.logs import Log
from api.periodic import Periodic
from vault import errands
from vault.errors import KeyHolderUnavailable, Sealed, StoreUnavailable


class Job:
    """A job, what it did, and what it told."""

    def __init__(self, clock, raises=None, **how):
        self.turns, self.raises, self.lines = 0, raises, io.BytesIO()
        self.periodic = Periodic(3600, self.work, Log(clock, stream=self.lines), Event.EPOCH_FAILED, **how)

    def work(self):
        self.turns += 1
        if self.raises is not None:
            raise self.raises

    @property
    def told(self):
        return [json.loads(line)["error"] for line in self.lines.getvalue().splitlines()]


def test_behind_a_shut_door_nothing_is_done_and_nothing_told(clock):
    door = SimpleNamespace(open=False)
    job = Job(clock, door=door)
    job.periodic.turn()
    job.periodic.close()  # nor as the last thing
    assert (job.turns, job.told) == (0, [])
    door.open = True
    job.periodic.turn()
    job.periodic.close()
    assert (job.turns, job.told) == (2, [])


@pytest.mark.parametrize("shut", [Sealed, KeyHolderUnavailable])
def test_a_door_that_shuts_under_a_job_is_no_fault_of_the_job(clock, shut):
    job = Job(clock, shut("closed"), door=SimpleNamespace(open=True))
    job.periodic.turn()
    assert (job.turns, job.told) == (1, [])


@pytest.mark.parametrize("how", [{}, {"door": SimpleNamespace(open=True)}])
def test_any_other_failure_is_told_by_its_class_and_the_job_lives_on(clock, how):
    job = Job(clock, StoreUnavailable("no disk"), **how)
    job.periodic.turn()
    job.periodic.turn()
    assert (job.turns, job.told) == (2, ["StoreUnavailable"] * 2)


def test_without_a_door_a_sealed_vault_is_a_failure(clock):
    job = Job(clock, Sealed("closed"), last=False)
    job.periodic.turn()
    job.periodic.close()
    assert (job.turns, job.told) == (1, ["Sealed"])


def test_consents_are_ended_by_one_process_once_an_hour(vault, clock):
    one(take_in(vault, person(consents=[given("clienteling.hospitality", "hospitality"), given()])))

    def ended():
        with vault.reading() as conn:
            return conn.exec_driver_sql("SELECT count(*) FROM consent_event WHERE state = 'expired'").scalar_one()

    jobs.end_consents(vault)  # planned: the first is an hour off
    clock.advance(365 * 86_400)
    assert errands.claim(vault, "consents", jobs.CONSENT_SECONDS)  # another process is at it
    jobs.end_consents(vault)
    assert ended() == 0
    clock.advance(jobs.CONSENT_SECONDS)
    jobs.end_consents(vault)
    assert ended() == 1
