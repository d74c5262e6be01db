"""Normal forms: frozen examples (a published rule never changes), and spellings that must or must not meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.normalise import NotNormalisable, known, normalise

FROZEN = [
    ("email/1", "Apolline.Rousselin@Example.COM", b"apolline.rousselin@example.com"),
    ("email/1", "a+b.c@example.com", b"a+b.c@example.com"),
    ("email/1", "jörg@müller.example", "jörg@xn--mller-kva.example".encode()),
    ("email/1", "straße@example.com", b"strasse@example.com"),
    ("email/1", "\uff4a@example.com", b"j@example.com"),
    ("email/1", "x@例え.テスト", b"x@xn--r8jz45g.xn--zckzah"),
    ("phone/1", "+33639981234", b"+33639981234"),
    ("client_number/1", "AU-00 42.a/b_c", b"au0042abc"),
    ("client_number/1", "\uff21\uff35\uff14\uff12", b"au42"),
]


@pytest.mark.parametrize(("rule", "value", "normal"), FROZEN)
def test_frozen_examples(rule, value, normal):
    assert normalise(rule, value) == normal


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("email/1", "@example.com"),
        ("email/1", "nobody"),
        ("email/1", "a@"),
        ("email/1", "a@-é-.example"),
        ("phone/1", "0639981234"),
        ("phone/1", "+33 6 39 98 12 34"),
        ("phone/1", "+0639981234"),
        ("phone/1", "+336399812345678901"),
        ("phone/1", "+3363998123٤"),
        ("client_number/1", " - "),
        ("client_number/1", None),
        ("client_number/1", {"number": "1"}),
        ("phone/1", 33639981234),
    ],
)
def test_what_has_no_normal_form_is_refused_without_a_word_of_it(rule, value):
    with pytest.raises(NotNormalisable) as refused:
        normalise(rule, value)
    assert not refused.value.args
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_an_unknown_rule_is_a_defect_and_not_a_miss():
    assert known("phone/1")
    assert not known("phone/2")
    with pytest.raises(KeyError):
        normalise("phone/2", "+33639981234")


@given(st.text(min_size=1, max_size=30))
def test_a_normal_form_is_its_own_normal_form(text):
    try:
        once = normalise("client_number/1", text)
    except NotNormalisable:
        return
    assert normalise("client_number/1", once.decode()) == once


@given(st.from_regex(r"[a-zA-Zäöüß.+-]{1,12}@[a-z]{1,8}\.(com|fr)", fullmatch=True))
def test_case_never_matters_in_an_address(address):
    assert normalise("email/1", address) == normalise("email/1", address.upper())
