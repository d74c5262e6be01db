"""Signs of life and of the clock: what is an entry, and what is not."""

import pytest

from audit import ledger
from audit.entry import decode
from vault import clockwatch
from vault.clockwatch import ClockWatch
from vault.errors import StoreUnavailable


class Steady:
    """A clock that nobody sets."""

    seconds = 1000.0

    def __call__(self):
        return self.seconds


def told(vault):
    with vault.reading() as conn:
        return [decode(each.body) for each in ledger.read(conn, 0, 0, 1000)]


def clocks(vault):
    return [(each["pol"], each["n"]) for each in told(vault) if each["act"] == "log.clock"]


def test_a_start_is_an_entry_and_a_clock_behind_the_log_another(store, clock):
    clockwatch.note_start(store)
    assert [each["act"] for each in told(store)][-1] == "log.started"
    clock.advance(-2)
    clockwatch.note_start(store)
    assert clocks(store) == []
    clock.advance(-600)
    clockwatch.note_start(store)
    assert clocks(store) == [(["clock.back", "clock.start"], 602)]


def test_a_heartbeat_tells_how_long_the_log_is(store):
    before = len(told(store))
    clockwatch.heartbeat(store)
    last = told(store)[-1]
    assert (last["act"], last["out"], last["n"], last["actor"]["k"]) == ("log.heartbeat", "allow", before, "vault")


def test_a_heartbeat_is_due_an_hour_after_the_last_whoever_asks(store, opening, clock):
    other = opening()
    for minute in range(0, 121, 20):
        for each in (store, other):
            clockwatch.heartbeat_due(each)
        assert len([each for each in told(store) if each["act"] == "log.heartbeat"]) == minute // 60
        clock.advance(1200)


@pytest.mark.parametrize(("step", "way"), [(-3, "clock.back"), (3, "clock.forward"), (-86_400, "clock.back")])
def test_a_step_while_running_is_an_entry_once(store, clock, step, way):
    steady = Steady()
    watch = ClockWatch(store, steady)
    for _ in range(3):
        clock.advance(60)
        steady.seconds += 60.4
        steady.seconds -= 0.4
        assert watch.look() == 0
    clock.advance(60 + step)
    steady.seconds += 60
    assert watch.look() == step
    assert watch.look() == 0
    assert clocks(store) == [([way, "clock.running"], abs(step))]


@pytest.mark.parametrize("step", [-2, -1, 1, 2])
def test_keeping_time_is_no_step(store, clock, step):
    watch = ClockWatch(store, Steady())
    clock.advance(step)
    assert watch.look() == 0
    assert clocks(store) == []


def test_steps_too_small_to_see_add_up(store, clock):
    watch = ClockWatch(store, Steady())
    steps = []
    for _ in range(4):
        clock.advance(-1)
        steps.append(watch.look())
    assert steps == [0, 0, -3, 0]


def test_a_step_that_could_not_be_logged_is_seen_again(store, clock):
    watch = ClockWatch(store, Steady())
    clock.advance(-50)
    whole = store.engine
    store.engine = _Gone()
    with pytest.raises(StoreUnavailable):
        watch.look()
    store.engine = whole
    assert watch.look() == -50


class _Gone:
    def connect(self):
        from sqlalchemy.exc import OperationalError

        raise OperationalError("", {}, Exception("gone"))
