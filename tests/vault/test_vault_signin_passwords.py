"""Passwords that are not taken: short ones, those that are guessed first, and names that everybody here knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.opened import OPERATOR
from vault import officers
from vault.officers import Role
from vault.signin import passwords
from vault.signin.passwords import Flaw, UnfitPassword, check, words_of

WORDS = frozenset({"aurelle", "claire", "ecrin"})
GOOD = "seven lamps by the quay"


def flaw(password, words=WORDS):
    with pytest.raises(UnfitPassword) as caught:
        check(password, words)
    assert password not in str(caught.value)
    assert password not in repr(caught.value)
    return caught.value.flaw


def test_a_few_words_are_taken_whatever_they_are_made_of():
    for good in (
        GOOD,
        "é" * 3 + "une tasse bleue",
        "!?;: ,. -_ /\\ ~#",
        "aurelle opens at seven each day",
        "x" * 9 + "quay-lamp",
    ):
        check(good, WORDS)


def test_length_is_counted_in_characters_at_least_and_in_bytes_at_most():
    assert flaw("seven lamps") is Flaw.SHORT
    assert flaw("é" * (passwords.LONGEST // 2) + "e") is Flaw.LONG
    check("quay " * 12 + "z" * (passwords.LONGEST - 60), WORDS)


@pytest.mark.parametrize(
    "common",
    ["passwordpassword", "PassWordPassWord", "qwertyuiop12", "azertyuiop123", "123456789012", "iloveyou1234", "xxxxxxxxxxxx",
     "motdepasse123", "correct horse battery staple", "CorrectHorseBatteryStaple"],
)  # fmt: skip
def test_what_is_guessed_first_is_refused_in_any_case(common):
    assert flaw(common) is Flaw.COMMON


@pytest.mark.parametrize(
    "named",
    ["aurelle-claire-ecrin", "Aurelle 2026!", "4ur3ll3 2026!!", "Aurélle Aurélle", "claire.claire.claire", "ÉCRIN écrin 26"],
)  # fmt: skip
def test_names_count_for_nothing(named):
    assert flaw(named) is Flaw.NAMED
    check(f"{named} by the quay at dawn", WORDS)


def test_the_words_are_those_of_officer_deployment_brands_and_ours(vault):
    words = words_of("c.marchand", "ecrin-atelier", vault.bundle)
    assert {"c.marchand", "marchand", "atelier", "ecrin-atelier", "aurelle", "aurelle sa", "solenne", "password"} <= {
        *words, "c.marchand", "aurelle sa",
    }  # fmt: skip
    assert all(len(each) >= 4 for each in words)
    for each in ("marchand-atelier1", "Solenne Vantier", "my password 26", "Ecrin Console!"):
        assert flaw(each, words) is Flaw.NAMED


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_is_taken_or_refused_for_a_reason(text):
    try:
        check(text, WORDS)
    except UnfitPassword as unfit:
        assert unfit.flaw in Flaw
    else:
        assert len(text) >= passwords.SHORTEST


@pytest.mark.parametrize("unfit", ["short", "passwordpassword", "claire at Aurelle"])
def test_no_officer_gets_one_that_does_not_fit(vault, unfit):
    for act in (
        lambda uow: officers.add(uow, "claire", Role.AUDITOR, unfit, OPERATOR),
        lambda uow: officers.change_password(uow, "claire", unfit),
    ):
        with pytest.raises(UnfitPassword), vault.unit() as uow:
            act(uow)
    with vault.reading() as conn:
        assert "claire" not in {each.id for each in officers.listed(conn)}
