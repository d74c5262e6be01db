"""References that were replaced: they die with the person, and no later rotation lets an earlier one live longer."""

import pytest
from maison_people import AURELLE, VANTIER, one, person, rows, take_in

from vault import references
from vault.errors import IntegrityFailure, UnknownReference
from vault.referencerotation import MOST_REPLACED, Rotated, Rotation, rotate


def rotated(vault, reference, grace=0, brand=AURELLE):
    with vault.unit() as uow:
        answer = one(rotate(uow, [Rotation(brand, reference, grace)]))
        uow.commit()
    assert isinstance(answer, Rotated)
    return answer


def resolves(vault, *asked, brand=AURELLE):
    with vault.unit() as uow:
        return [each is not None for each in references.resolve(uow, brand, asked)]


@pytest.fixture
def somebody(vault):
    return one(take_in(vault, person(vantier={"known_as": "A."})))


@pytest.fixture
def first(somebody):
    return somebody.references[AURELLE]


def test_replaced_references_are_erased_with_the_person(scene, vault, somebody, first):
    stays = one(take_in(vault, person({"client_number": "AU-7"})))
    second = rotated(vault, first, 3000).reference
    third = rotated(vault, second, 3000).reference
    rotated(vault, stays.references[AURELLE], 3000)
    assert resolves(vault, first, second, third) == [True] * 3
    assert len(rows(vault, "SELECT mac FROM reference")) == 6
    scene.whole(somebody.subject)
    scene.run()
    # Those of whoever stays are all there is: the grace of the others had not ended.
    assert len(rows(vault, "SELECT mac FROM reference")) == 2
    assert resolves(vault, first, second, third, stays.references[AURELLE]) == [False, False, False, True]


def test_a_second_rotation_ends_the_grace_of_the_first_with_its_own(vault, first, clock):
    second = rotated(vault, first, 600)
    third = rotated(vault, second.reference, 60)
    assert third.until == clock.now() + 60
    clock.advance(60)
    assert resolves(vault, first, second.reference, third.reference) == [False, False, True]


def test_a_second_rotation_lengthens_nothing(vault, first, clock):
    second = rotated(vault, first, 60)
    third = rotated(vault, second.reference, 600)
    clock.advance(60)
    assert resolves(vault, first, second.reference, third.reference) == [False, True, True]


def test_without_a_grace_everything_before_dies(vault, first):
    second = rotated(vault, first, 600)
    third = rotated(vault, second.reference)
    assert third.until is None
    assert resolves(vault, first, second.reference, third.reference) == [False, False, True]
    assert len(rows(vault, "SELECT mac FROM reference WHERE brand = ?", AURELLE)) == 1


def test_asked_by_a_replaced_one_its_end_comes_earlier_and_is_told(vault, first, clock):
    second = rotated(vault, first, 600)
    end = clock.now() + 600
    clock.advance(10)
    again = rotated(vault, first, 600)
    assert (again.reference, again.fresh, again.until) == (second.reference, False, end)
    sooner = rotated(vault, first, 20)
    assert (sooner.reference, sooner.until) == (second.reference, clock.now() + 20)
    gone = rotated(vault, first)
    assert (gone.reference, gone.until) == (second.reference, None)
    assert resolves(vault, first, second.reference) == [False, True]
    with vault.unit() as uow, pytest.raises(UnknownReference):
        one(rotate(uow, [Rotation(AURELLE, first, 0)]))


def test_another_brands_reference_is_as_it_was(vault, somebody, first):
    rotated(vault, first)
    theirs = somebody.references[VANTIER]
    assert resolves(vault, theirs, brand=VANTIER) == [True]
    with vault.unit() as uow:
        assert references.of(uow, VANTIER, [somebody.subject]) == [theirs]


def test_of_many_the_oldest_die_early(vault, first):
    given = [first]
    for _ in range(MOST_REPLACED + 1):
        given.append(rotated(vault, given[-1], 600).reference)
    assert resolves(vault, *given) == [False] + [True] * (MOST_REPLACED + 1)
    with vault.unit() as uow:
        (subject,) = references.resolve(uow, AURELLE, given[-1:])
        assert references.of(uow, AURELLE, [subject]) == given[-1:]


def test_a_relation_that_does_not_open_is_not_replaced(vault, first):
    rows(vault, "UPDATE relation SET reference_sealed = ?", bytes(48))
    with vault.unit() as uow, pytest.raises(IntegrityFailure):
        rotate(uow, [Rotation(AURELLE, first, 0)])
