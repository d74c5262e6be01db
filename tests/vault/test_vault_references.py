"""Pairwise references: one per brand and subject for ever, and nothing in the database that links two of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maison_people import AURELLE, VANTIER, one, person, rows, take_in

from vault import references
from vault.errors import IntegrityFailure
from vault.references import decode, encode


@given(st.binary(min_size=16, max_size=16))
def test_a_reference_spells_its_bits(bits):
    reference = encode(bits)
    assert len(reference) == 30
    assert decode(reference) == bits


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "ref_",
        "ref_" + "0" * 25,
        "ref_" + "0" * 27,
        "REF_" + "0" * 26,
        "ref_" + "0" * 25 + "A",
        "ref_" + "0" * 25 + "u",
        "ref_" + "0" * 25 + "o",
        "ref_8" + "0" * 25,  # 2^128
        "ref_" + "z" * 26,
        "0" * 30,
        "ref_" + "\uff10" * 26,
        "ref_" + "0" * 25 + "\n",
    ],
)
def test_there_is_one_spelling(reference):
    assert decode(reference) is None


def test_unknown_malformed_and_another_brands_are_one_answer(vault):
    registered = one(take_in(vault, person(vantier={})))
    own = registered.references[AURELLE]
    strangers = [registered.references[VANTIER], encode(bytes(16)), "ref_", own.upper()]
    with vault.unit() as uow:
        assert references.resolve(uow, AURELLE, [own, *strangers, own]) == [
            registered.subject,
            *[None] * 4,
            registered.subject,
        ]
        assert references.locate(uow, [(VANTIER, own), (VANTIER, registered.references[VANTIER])]) == [
            None,
            registered.subject,
        ]
        assert references.resolve(uow, "solenne", [own]) == [None]
        assert references.resolve(uow, AURELLE, []) == []


def test_assigning_again_gives_the_same_reference(vault):
    registered = one(take_in(vault))
    with vault.unit() as uow:
        pairs = [(registered.subject, VANTIER), (registered.subject, AURELLE), (registered.subject, VANTIER)]
        first = references.assign(uow, pairs)
        uow.commit()
    assert first[0] == first[2] != first[1] == registered.references[AURELLE]
    with vault.unit() as uow:
        assert references.assign(uow, pairs) == first
        assert references.of(uow, VANTIER, [registered.subject, bytes(16)]) == [first[0], None]
        assert references.of(uow, AURELLE, []) == []
        assert references.resolve(uow, VANTIER, first[:1]) == [registered.subject]


def test_a_dump_alone_links_nothing(vault):
    registered = one(take_in(vault, person(vantier={})))
    bits = [decode(each) for each in registered.references.values()]
    for mac, pointer in rows(vault, "SELECT mac, pointer FROM reference"):
        assert bytes(mac) not in bits
        assert registered.subject not in bytes(pointer)
    sealed = [bytes(each) for (each,) in rows(vault, "SELECT reference_sealed FROM relation")]
    assert len(set(sealed)) == 2
    assert not any(each in whole for each in bits for whole in sealed)


def test_a_row_given_another_brand_resolves_for_nobody(vault):
    registered = one(take_in(vault))
    own = registered.references[AURELLE]
    rows(vault, "UPDATE reference SET brand = ?", VANTIER)
    with vault.unit() as uow:
        assert references.resolve(uow, AURELLE, [own]) == [None]
        assert references.resolve(uow, VANTIER, [own]) == [None]


def test_a_pointer_moved_to_another_reference_dangles(vault):
    one_, two = take_in(vault, person(), person())
    (_, pointer), (second, _) = rows(vault, "SELECT mac, pointer FROM reference")
    rows(vault, "UPDATE reference SET pointer = ? WHERE mac = ?", pointer, second)
    with vault.unit() as uow:
        found = references.resolve(uow, AURELLE, [each.references[AURELLE] for each in (one_, two)])
    assert sorted(found, key=str) != sorted([one_.subject, two.subject], key=str)
    assert found.count(None) == 1


def test_a_sealed_reference_moved_to_another_subject_is_an_integrity_failure(vault):
    one_, two = take_in(vault, person(), person())
    (sealed,) = rows(vault, "SELECT reference_sealed FROM relation WHERE subject_id = ?", one_.subject)[0]
    rows(vault, "UPDATE relation SET reference_sealed = ? WHERE subject_id = ?", sealed, two.subject)
    with vault.unit() as uow, pytest.raises(IntegrityFailure):
        references.of(uow, AURELLE, [two.subject])
