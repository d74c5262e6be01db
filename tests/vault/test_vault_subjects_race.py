"""Changes that race: of two, one waits; nobody is lost, no chain forks, no pair of batches locks each other out."""

from concurrent.futures import ThreadPoolExecutor

from maison_people import AURELLE, given, ordered, person, rows, take_in, value

from vault.consents import Change, ConsentAct, ConsentEvent, record, verify_chain
from vault.errors import VersionConflict
from vault.subjects import update
from vault.unit import execute

RACERS = 6


def race(act):
    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(act, range(RACERS)))


def test_one_of_many_updates_from_the_same_version_wins(vault):
    (registered,) = take_in(vault)
    answers = race(
        lambda racer: execute(vault, update, [ordered(registered, expected=1, set={"client_number": f"N{racer}"})])[0]
    )
    won = [racer for racer, answer in enumerate(answers) if not isinstance(answer, Exception)]
    assert len(won) == 1
    assert all(isinstance(answer, VersionConflict) for racer, answer in enumerate(answers) if racer not in won)
    assert value(vault, registered.subject, "client_number") == f"N{won[0]}"


def test_batches_that_share_subjects_in_opposite_order_both_get_through(vault):
    people = take_in(vault, *[person({"client_number": "x"}) for _ in range(4)])
    answers = race(
        lambda racer: execute(
            vault,
            update,
            [
                ordered(each, append={"wish_list": [f"piece {racer}"]})
                for each in (people if racer % 2 else reversed(people))
            ],
        )
    )
    assert not [answer for batch in answers for answer in batch if isinstance(answer, Exception)]
    for each in people:
        assert sorted(value(vault, each.subject, "wish_list")) == [f"piece {racer}" for racer in range(RACERS)]
    assert {version for (version,) in rows(vault, "SELECT version FROM subject")} == {1 + RACERS}


def test_racing_consents_make_one_chain(vault):
    (registered,) = take_in(vault)
    reference = registered.references[AURELLE]
    events = [given(), ConsentEvent("clienteling", ConsentAct.WITHDRAWN, "web")]
    race(lambda racer: execute(vault, record, [Change(reference, AURELLE, "s", events[racer % 2])]))
    with vault.unit() as uow:
        assert verify_chain(uow, registered.subject, AURELLE) == RACERS
    assert rows(vault, "SELECT epoch FROM consent_state") == [(RACERS,)]
