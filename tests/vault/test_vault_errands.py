"""Errands: one of all who ask does the work, when it is due and not before."""

import threading

import pytest

from vault import errands

NAME = "sweep"


def test_an_errand_is_planned_first_and_claimed_by_one_when_it_is_due(vault, clock):
    assert errands.claim(vault, NAME, 100) is False
    clock.advance(99)
    assert errands.claim(vault, NAME, 100) is False
    clock.advance(1)
    assert [errands.claim(vault, NAME, 100) for _ in range(3)] == [True, False, False]
    clock.advance(1000)  # what was missed is done once
    assert [errands.claim(vault, NAME, 100) for _ in range(2)] == [True, False]
    assert errands.claim(vault, "other", 100) is False


def test_one_that_failed_comes_back_sooner(vault, clock):
    errands.claim(vault, NAME, 1000)
    clock.advance(1000)
    assert errands.claim(vault, NAME, 1000) is True
    errands.put_off(vault, NAME, 10)
    clock.advance(9)
    assert errands.claim(vault, NAME, 1000) is False
    clock.advance(1)
    assert errands.claim(vault, NAME, 1000) is True


def test_of_several_that_ask_at_once_one_has_it(vault, clock):
    errands.claim(vault, NAME, 1)
    clock.advance(1)
    had = []
    threads = [threading.Thread(target=lambda: had.append(errands.claim(vault, NAME, 1000))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert sorted(had) == [False, False, False, True]


def test_work_that_is_due_is_done_once_and_what_fails_is_due_again_soon(vault, clock):
    done = []

    def ask(work=lambda: done.append(clock.now()) or "done"):
        return errands.run(vault, NAME, 1000, work, retry=10)

    def fail():
        raise ZeroDivisionError

    assert (ask(), done) == (None, [])
    clock.advance(1000)
    assert (ask(), ask(), len(done)) == ("done", None, 1)
    clock.advance(1000)
    with pytest.raises(ZeroDivisionError):
        ask(fail)
    clock.advance(9)
    assert (ask(), len(done)) == (None, 1)
    clock.advance(1)
    assert (ask(), len(done)) == ("done", 2)


def test_a_retry_is_never_later_than_the_next_time(vault, clock):
    errands.claim(vault, NAME, 5)
    clock.advance(5)
    with pytest.raises(ZeroDivisionError):
        errands.run(vault, NAME, 5, lambda: 1 / 0, retry=1000)
    clock.advance(5)
    assert errands.claim(vault, NAME, 5)
