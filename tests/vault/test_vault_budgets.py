"""Budgets: distinct people and weight in four windows at once, exact at the edge whoever races for it."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_officers import Officers, acts
from process_racer import race
from sqlalchemy import text

from audit.entry import Actor, ActorKind
from vault import budgetmarks, budgetraises, budgets, housekeeping, systems
from vault.budgetlimits import DEFAULT, Budgets, load
from vault.budgets import Looked
from vault.errors import IntegrityFailure, InvalidRegistration, NotSigned, UnknownOfficer, UnknownProposal
from vault.governance.proposals import WAITING_SECONDS
from vault.officers import Role
from vault.systems import NewSystem
from vault.unit import execute

BY = Actor(ActorKind.VAULT, "operator")
KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a"}
HOUR = 3600
_numbers = itertools.count()


def system(vault, *limits, name="till", brand="aurelle"):
    new = NewSystem(name, brand, name, {"keys": [KEY]}, frozenset({"lookup"}), budgets=Budgets(limits))
    with vault.unit() as unit:
        made = systems.register(unit, new, BY)
        unit.commit()
    return made


def person(number):
    return sha256(b"person %d" % number).digest()[:16]


def look(by, number, *, purpose="clienteling", staff="", shape=7, weight=1):
    return Looked(by, person(number), purpose, staff, shape, weight)


def charge(vault, *looks):
    """Charge in a unit of its own: True for each look that fitted."""
    with vault.unit() as unit:
        answers = budgets.charge(unit, looks)
        unit.commit()
    return [answer is None for answer in answers]


@pytest.fixture
def hour(clock):
    """The beginning of a window of every length but the day's."""
    clock.seconds -= clock.seconds % HOUR
    return clock


def test_the_same_person_again_costs_nothing_and_a_new_one_does(store, hour):
    till = system(store, "system:people:2/hour")
    assert charge(store, look(till, 1), look(till, 1), look(till, 2), look(till, 3)) == [True, True, True, False]
    assert charge(store, look(till, 2), look(till, 1), look(till, 4)) == [True, True, False]


def test_what_was_refused_counts_nowhere(store, hour):
    till = system(store, "system:people:2/hour", "system:people:3/day")
    assert charge(store, look(till, 1), look(till, 2), look(till, 3), look(till, 4)) == [True, True, False, False]
    hour.advance(HOUR)
    assert charge(store, look(till, 3), look(till, 4)) == [True, False]  # one of the day was left, not none


def test_each_window_is_counted_by_itself(store, hour):
    till = system(store, "system:people:1/second", "system:people:2/minute", "system:people:3/hour")
    assert charge(store, look(till, 1), look(till, 2)) == [True, False]
    hour.advance(1)
    assert charge(store, look(till, 2)) == [True]
    hour.advance(1)
    assert charge(store, look(till, 3)) == [False]
    hour.advance(60)
    assert charge(store, look(till, 3)) == [True]
    hour.advance(60)
    assert charge(store, look(till, 4)) == [False]
    assert charge(store, look(till, 1)) == [True]  # of this hour already
    hour.advance(HOUR)
    assert charge(store, look(till, 4)) == [True]


def test_purposes_have_their_own_meter_and_share_their_systems(store, hour):
    till = system(store, "system:people:3/hour", "purpose:people:1/hour", "purpose=service.repair:people:2/hour")
    repair = [look(till, number, purpose="service.repair") for number in (1, 2, 3)]
    assert charge(store, *repair) == [True, True, False]
    assert charge(store, look(till, 4), look(till, 5)) == [True, False]
    assert charge(store, look(till, 6, purpose="legal.claims")) == [False]  # the system's own is used up
    assert charge(store, look(till, 1, purpose="legal.claims")) == [True]


def test_staff_have_one_budget_at_every_till_of_their_brand(store, hour):
    first, second = (system(store, "staff:people:1/hour", name=name) for name in ("till", "desk"))
    sister = system(store, "staff:people:1/hour", name="other", brand="vantier")
    assert charge(store, look(first, 1, staff="ab")) == [True]
    assert charge(store, look(second, 2, staff="ab"), look(second, 2, staff="cd")) == [False, True]
    assert charge(store, look(sister, 3, staff="ab")) == [True]


def test_weight_counts_what_is_newly_shown(store, hour):
    till = system(store, "system:weight:10/hour")
    assert charge(store, look(till, 1, shape=1, weight=4), look(till, 1, shape=1, weight=4)) == [True, True]
    assert charge(store, look(till, 1, shape=1, weight=4)) == [True]
    assert charge(store, look(till, 1, shape=2, weight=4)) == [True]
    assert charge(store, look(till, 1, shape=3, weight=4)) == [False]
    assert charge(store, look(till, 2, shape=9, weight=2), look(till, 3, shape=9, weight=1)) == [True, False]


def test_two_shapes_of_one_person_in_a_batch_both_weigh(store, hour):
    till = system(store, "system:weight:9/hour")
    assert charge(store, look(till, 1, shape=1, weight=4), look(till, 1, shape=2, weight=4)) == [True, True]
    assert charge(store, look(till, 2, shape=1, weight=2)) == [False]


def test_the_refusal_says_which_limit_and_when_it_ends_and_not_whose_look(store, hour):
    till = system(store, "system:people:0/minute", "system:people:0/hour")
    hour.advance(90)
    with store.unit() as unit:
        (refused,) = budgets.charge(unit, [look(till, 1)])
    assert (refused.limit, refused.quota, refused.window, refused.reset) == ("people-hour", 0, HOUR, HOUR - 90)
    assert person(1).hex() not in repr(refused)


def test_a_host_whose_clock_is_behind_resets_nothing(store, hour):
    till = system(store, "system:people:1/minute")
    hour.advance(60)
    assert charge(store, look(till, 1)) == [True]
    hour.advance(-1)
    charge(store, look(till, 1))
    hour.advance(1)
    assert charge(store, look(till, 2)) == [False]


def test_a_clock_that_was_far_ahead_locks_nobody_out(store, hour):
    till = system(store, "system:people:1/hour")
    hour.advance(400 * 86_400)
    assert charge(store, look(till, 1)) == [True]
    hour.advance(-400 * 86_400)
    assert charge(store, look(till, 2), look(till, 3)) == [True, False]


def test_units_that_race_for_the_last_people_get_exactly_those(store, hour):
    till = system(store, "system:people:10/hour")

    def racer(number):
        def batch(unit, looks):
            answers = budgets.charge(unit, looks)
            return lambda _: [answer or True for answer in answers]

        looks = [look(till, number * 100 + each) for each in range(4)]
        return [answer is True for answer in execute(store, batch, looks)]

    with ThreadPoolExecutor(6) as pool:
        answers = [answer for batch in pool.map(racer, range(6)) for answer in batch]
    assert answers.count(True) == 10


@pytest.mark.postgresql
def test_processes_that_race_for_the_last_people_get_exactly_those(store, place, hour):
    if store.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one process")
    system(store, "system:people:10/hour")
    assert sum(race(place.database, hour.now(), "people")) == 10


def test_a_unit_that_rolls_back_has_counted_nobody(store, hour):
    till = system(store, "system:people:1/hour")
    with store.unit() as unit:
        assert budgets.charge(unit, [look(till, 1)]) == [None]
    assert charge(store, look(till, 2)) == [True]


def test_many_marks_go_in_small_units(store, hour):
    till = system(store, "system:people:1000/day")
    people = housekeeping.ROWS_PER_UNIT + 1
    charge(store, *[look(till, each) for each in range(people)])
    hour.advance(2 * 86_400 + budgetmarks.SKEW)
    # A unit for each table, whatever there is in it.
    assert housekeeping.purge(store, most_units=1).budget_marks == housekeeping.ROWS_PER_UNIT
    assert housekeeping.purge(store).budget_marks == 1


def test_marks_go_when_no_window_asks_for_them(store, hour):
    till = system(store, "system:people:1/day")
    hour.seconds -= hour.seconds % 86_400
    charge(store, look(till, 1))
    hour.advance(86_400 + budgetmarks.SKEW)
    assert housekeeping.purge(store).budget_marks == 0
    with store.reading() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM budget_mark").scalar_one() == 1
    hour.advance(1)
    gone = housekeeping.purge(store)
    assert (gone.budget_marks, gone.budget_meters) == (1, 1)
    with store.reading() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM budget_mark").scalar_one() == 0
        assert conn.exec_driver_sql("SELECT count(*) FROM budget_meter").scalar_one() == 0


LIMITS = {"second": 2, "minute": 3, "hour": 5, "day": 8}
SECONDS = {"second": 1, "minute": 60, "hour": HOUR, "day": 86_400}
STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 7, 60, 900, HOUR, 40_000]), st.lists(st.integers(0, 9), max_size=5)), max_size=8
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_no_window_ever_holds_more_people_than_it_may(store, clock, steps):
    """Against a model that remembers every look: never more than the limit, never a refusal without cause."""
    till = system(
        store, *[f"system:people:{quota}/{window}" for window, quota in LIMITS.items()], name=f"s{next(_numbers)}"
    )
    looked = []  # (time, person) of every look that fitted
    for wait, people in steps:
        clock.advance(wait)
        for number, fitted in zip(people, charge(store, *[look(till, each) for each in people]), strict=True):
            room = True
            for window, quota in LIMITS.items():
                start = clock.seconds - clock.seconds % SECONDS[window]
                seen = {who for at, who in looked if at >= start}
                room &= number in seen or len(seen) < quota
            assert fitted is room
            if fitted:
                looked.append((clock.seconds, number))


# --- limits, and who may raise them


@pytest.mark.parametrize(
    "limit",
    [
        "people:1/hour",
        "system:people:1/week",
        "system:people:-1/hour",
        "system:people:01/hour",
        "nobody:people:1/hour",
        "system:people:9999999999/hour",
        "purpose=:people:1/hour",
        "system:names:1/hour",
        "system:people:1/hour ",
    ],
)
def test_misspelt_limits_are_refused(limit):
    with pytest.raises(InvalidRegistration):
        Budgets((limit,))


def test_a_limit_given_twice_is_refused():
    with pytest.raises(InvalidRegistration):
        Budgets(("system:people:1/hour", "system:people:2/hour"))


def test_limits_read_back_as_they_were_written():
    assert load(DEFAULT.dump()) == DEFAULT


def test_a_system_registered_without_a_word_has_limits(store):
    with store.unit() as unit:
        made = systems.register(unit, NewSystem("till", "aurelle", "Till", {"keys": [KEY]}, frozenset({"lookup"})), BY)
    assert made.budgets == DEFAULT


def test_an_operator_lowers_and_never_raises(store):
    system(store, "system:people:10/hour")
    with store.unit() as unit:
        lowered = systems.lower_budgets(unit, "till", ["system:people:5/hour", "staff:people:1/day"], BY)
        unit.commit()
    assert set(lowered.budgets.spelt) == {"system:people:5/hour", "staff:people:1/day"}
    with store.unit() as unit, pytest.raises(InvalidRegistration):
        systems.lower_budgets(unit, "till", ["system:people:6/hour"], BY)


SIGNING = {}


@pytest.fixture
def desks(store):
    """Officers of every role with keys, by name."""
    made = Officers(store)
    for name, role in (
        ("alice", Role.OPERATOR),
        ("bob", Role.APPROVER),
        ("carol", Role.AUDITOR),
        ("dora", Role.APPROVER),
    ):
        made.add(name, role)
    SIGNING.update({each: made.signing(each) for each in made.keys})


def propose(store, limit, by, seconds=HOUR):
    return budgetraises.propose(store, "till", (limit,), seconds, by, SIGNING[by])


def approve(store, made, by):
    return budgetraises.approve(store, made if isinstance(made, str) else made.id, by, SIGNING[by])


def test_two_officers_raise_for_a_time_and_no_longer(store, hour, desks):
    system(store, "system:people:1/minute")
    made = propose(store, "system:people:2/minute", "alice")

    def now(number):
        with store.reading() as conn:
            return charge(store, *[look(systems.get(conn, "till"), number + each) for each in range(3)])

    assert now(0) == [True, False, False]  # a proposal raises nothing
    assert approve(store, made, "bob").until_at == hour.now() + HOUR
    hour.advance(60)
    assert now(10) == [True, True, False]
    hour.advance(HOUR)
    assert now(20) == [True, False, False]
    with pytest.raises(UnknownProposal):
        approve(store, made, "bob")


def test_nobody_approves_their_own_and_not_every_role_approves(store, desks):
    system(store, "system:people:1/minute")
    made = propose(store, "system:people:2/minute", "dora")
    for each in ("dora", "alice", "carol"):
        with pytest.raises(NotSigned):
            approve(store, made, each)
    with pytest.raises(NotSigned):
        budgetraises.approve(store, made.id, "bob", SIGNING["dora"])
    with pytest.raises(NotSigned):
        propose(store, "system:people:2/minute", "carol")
    for nothing in ("00" * 8, "no id"):
        with pytest.raises(UnknownProposal):
            approve(store, nothing, "bob")
    with pytest.raises(UnknownOfficer):
        budgetraises.approve(store, made.id, "jeanne.martin", SIGNING["bob"])
    denied = [(act, by) for act, out, by, _ in acts(store, "budget.") if out == "deny"]
    assert denied == [
        *[("budget.raised", by) for by in ("dora", "alice", "carol", "bob")],
        ("budget.proposed", "carol"), ("budget.raised", "bob"), ("budget.raised", "bob"), ("budget.raised", "unknown"),
    ]  # fmt: skip
    with store.unit() as unit:  # what was proposed is what is approved
        unit.conn.execute(text("UPDATE budget_raise SET limits = 'system:people:900/minute'"))
        unit.commit()
    with pytest.raises(IntegrityFailure):
        approve(store, made, "bob")


@pytest.mark.parametrize("limit", ["system:people:1/minute", "system:people:9/hour", "staff:people:9/minute"])
def test_what_would_not_be_a_raise_is_refused(store, limit, desks):
    system(store, "system:people:1/minute")
    with pytest.raises(InvalidRegistration):
        propose(store, limit, "alice")


@pytest.mark.parametrize("seconds", [0, budgetraises.LONGEST + 1])
def test_a_raise_is_for_a_time(store, seconds, desks):
    system(store, "system:people:1/minute")
    with pytest.raises(InvalidRegistration):
        propose(store, "system:people:2/minute", "alice", seconds)


def test_a_raise_may_be_ended_early_and_an_old_proposal_is_void(store, hour, desks):
    till = system(store, "system:people:1/minute")
    first = propose(store, "system:people:2/minute", "alice")
    approve(store, first, "bob")
    budgetraises.withdraw(store, first.id, "alice", SIGNING["alice"])
    with pytest.raises(UnknownProposal):
        budgetraises.withdraw(store, first.id, "alice", SIGNING["alice"])
    second = propose(store, "system:people:3/minute", "alice")
    assert charge(store, look(till, 1), look(till, 2)) == [True, False]
    hour.advance(WAITING_SECONDS)
    with pytest.raises(UnknownProposal):
        approve(store, second, "bob")
    housekeeping.purge(store)
    with store.reading() as conn:
        states = {each.id: each.state for each in budgetraises.listed(conn)}
    assert states == {first.id: "withdrawn", second.id: "expired"}
    housekeeping.purge(store)
    ran_out = ("budget.expired", "allow", store.deployment, (f"raise:{second.id}",))
    assert acts(store, "budget.expired") == [ran_out]  # once
