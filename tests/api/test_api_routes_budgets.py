"""Budgets as callers meet them: 429 with the limit's name and its end, in single, bulk and search, logged each time."""

import pytest
from maison_callers import CONSENT, PERSON, problem_of

from vault import budgets, systems
from vault.budgetlimits import Budgets


@pytest.fixture(autouse=True)
def hour(clock):
    clock.seconds -= clock.seconds % 3600


def limit(maison, caller, *limits):
    with maison.vault.unit() as unit:
        systems.change_budgets(unit, caller.id, Budgets(limits))
        unit.commit()


def people(pos, count):
    return [pos.created(PERSON | {"client_number": f"AU-{n}"}, CONSENT) for n in range(count)]


def test_a_look_beyond_the_budget_is_refused_with_the_limit_and_its_end(maison, pos):
    first, second = people(pos, 2)
    limit(maison, pos, "system:people:1/hour")
    assert pos.disclose(pos.granted(first, ("phone", "masked"))).status_code == 200
    token = pos.granted(second, ("phone", "masked"))
    maison.clock.advance(600)
    answer = pos.disclose(token)
    body = problem_of(answer, 429, "budget_exhausted")
    assert (body["limit"], body["retry_after"]) == ("people-hour", 3000)
    assert answer.headers["retry-after"] == "3000"
    assert answer.headers["ratelimit"] == '"people-hour";r=0;t=3000'
    assert answer.headers["ratelimit-policy"] == '"people-hour";q=1;w=3600'
    last = maison.entries()[-1].read
    assert (last["act"], last["out"], last["pol"]) == ("field.denied", "deny", ["token.budget_exhausted"])
    assert "sref" in last


def test_a_refused_look_costs_no_use_and_fits_when_the_window_is_over(maison, pos):
    first, second = people(pos, 2)
    limit(maison, pos, "system:people:1/minute")
    assert pos.disclose(pos.granted(first, ("phone", "masked"))).status_code == 200
    token = pos.granted(second, ("phone", "masked"), max_uses=1)
    problem_of(pos.disclose(token), 429, "budget_exhausted")
    maison.clock.advance(60)
    assert pos.disclose(token).status_code == 200


def test_the_same_person_again_is_answered_when_nothing_is_left(maison, pos):
    (first,) = people(pos, 1)
    limit(maison, pos, "system:people:1/hour", "system:weight:100/hour")
    token = pos.granted(first, ("phone", "masked"), max_uses=3)
    assert [pos.disclose(token).status_code for _ in range(3)] == [200, 200, 200]


def test_bulk_gives_what_fits_and_refuses_the_rest(maison, pos):
    references = people(pos, 3)
    limit(maison, pos, "system:people:2/hour")
    answer = pos.bulk(pos.granted(references, ("phone", "masked")), references)
    assert [each.get("error") for each in answer.json()["disclosures"]] == [None, None, "budget_exhausted"]


def test_weight_is_sensitivity_times_level(maison, pos, bundle):
    from policies.model import GrantedField, Level

    phone, size = bundle.catalogue.field("phone"), bundle.catalogue.field("ring_size")
    raw, masked = (budgets.weigh(bundle.catalogue, [GrantedField(phone, level)]) for level in (Level.RAW, Level.MASKED))
    assert raw[1] > masked[1] > budgets.weigh(bundle.catalogue, [GrantedField(phone, Level.PRESENCE)])[1]
    assert raw[0] != masked[0]
    both = [GrantedField(phone, Level.RAW), GrantedField(size, Level.RAW)]
    assert budgets.weigh(bundle.catalogue, both) == budgets.weigh(bundle.catalogue, both[::-1])
    (first,) = people(pos, 1)
    limit(maison, pos, f"system:weight:{masked[1]}/hour")
    assert pos.disclose(pos.granted(first, ("phone", "masked"))).status_code == 200
    problem_of(pos.disclose(pos.granted(first, ("name", "raw"))), 429, "budget_exhausted")


def test_a_member_of_staff_has_a_budget_whose_name_is_stored_nowhere(maison, pos):
    first, second = people(pos, 2)
    limit(maison, pos, "staff:people:1/hour")
    for who, reference, status in (("a-lin", first, 200), ("a-lin", second, 429), ("b-moreau", second, 200)):
        token = pos.granted(reference, ("phone", "masked"), staff=who)
        assert pos.disclose(token).status_code == status
    with maison.vault.engine.connect() as conn:
        stored = conn.exec_driver_sql("SELECT detail FROM access_token").scalars().all()
    assert stored
    assert not any("a-lin" in each for each in stored)


def test_searches_count_and_finding_nobody_does_too(maison, pos):
    people(pos, 2)
    limit(maison, pos, "system:people:3/hour")
    assert pos.search("client_number", "AU-0").status_code == 200
    assert pos.search("client_number", "AU-0").status_code == 200  # the same one again
    assert pos.search("client_number", "nobody").status_code == 200
    assert pos.search("client_number", "nobody").status_code == 200  # a guess is never the same one
    problem_of(pos.search("client_number", "AU-1"), 429, "budget_exhausted")
    last = maison.entries()[-1].read
    assert (last["act"], last["out"], last["pol"]) == ("subject.searched", "deny", ["search.budget_exhausted"])
    assert "sref" not in last


def test_a_sister_maison_pays_nothing_for_it(maison, pos, sister):
    reference = sister.created(PERSON, CONSENT)
    limit(maison, pos, "system:people:0/day")
    assert sister.disclose(sister.granted(reference, ("phone", "masked"))).status_code == 200
