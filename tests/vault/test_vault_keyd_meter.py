"""The holder counts what it opens, and opens no more than it may in a minute."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from key_homes import DEPLOYMENT, HeldClient

from vault.errors import StoreUnavailable
from vault.keys.keyd.meter import Meter, Opened
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.local import KeyFileProvider
from vault.runtime import SystemClock, SystemEntropy

ENTROPY = SystemEntropy()


def test_a_minutes_worth_at_once_and_then_as_it_comes_back():
    meter = Meter(600, 0.0)
    meter.take(600, 0.0)
    for at in (0.0, 0.05):
        with pytest.raises(StoreUnavailable):
            meter.take(1, at)
    meter.take(10, 1.1)
    with pytest.raises(StoreUnavailable):
        meter.take(2, 1.1)
    meter.take(600, 1000.0)
    with pytest.raises(StoreUnavailable):
        meter.take(1, 1000.0)


def test_what_is_refused_opens_nothing_and_costs_nothing():
    meter = Meter(60, 0.0)
    with pytest.raises(StoreUnavailable):
        meter.take(61, 0.0)
    meter.take(60, 0.0)


def test_counts_are_told_each_minute_and_begin_anew():
    meter = Meter(10, 0.0)
    assert meter.told(59.9) is None
    assert meter.told(60.0) is None  # nothing was opened
    meter.take(7, 61.0)
    with pytest.raises(StoreUnavailable):
        meter.take(9, 61.0)
    assert meter.told(119.0) is None
    assert meter.told(120.0) == Opened(7, 9)
    assert meter.told(180.0) is None


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0, 90)), max_size=30))
def test_no_window_of_time_lets_more_through_than_a_bucket_and_what_runs_in(asks):
    """Over every window from one take to another; and whatever fits into all of them is let through."""
    per_minute, now = 120, 0.0
    meter = Meter(per_minute, now)
    taken: list[tuple[float, int]] = []
    for count, pause in asks:
        now += pause
        windows = [(began, sum(each for _, each in taken[start:])) for start, (began, _) in enumerate(taken)]
        room = min([per_minute * (1 + (now - began) / 60) - held for began, held in windows], default=per_minute)
        room = min(room, per_minute)
        try:
            meter.take(count, now)
        except StoreUnavailable:
            assert count > room - 1e-6
            continue
        assert count <= room + 1e-6
        taken.append((now, count))


def test_a_holder_that_opened_enough_refuses_and_goes_on_with_everything_else(tmp_path):
    roots, path = KeyFileProvider(tmp_path / "roots", ENTROPY), tmp_path / "keys.db"
    create_keystore(path, roots, DEPLOYMENT, Geometry(4, 2), entropy=ENTROPY, clock=SystemClock())
    with closing(HeldClient(lambda: open_keystore(path, roots, DEPLOYMENT), opens=20)) as held:
        (slot,) = held.reserve(1)
        dek = bytes(range(32))
        items = [(slot, wrapped) for wrapped in held.wrap([(slot, dek)] * 20)]
        assert held.unwrap(items) == [dek] * 20
        with pytest.raises(StoreUnavailable):
            held.unwrap(items)
        assert held.wrap([(slot, dek)]) != [None]
        assert held.alive([slot]) == [True]
        assert held.mac("a", [b"x"])
