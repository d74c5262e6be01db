"""Letters: which we have, what is spelled, where a word may break, and what language a name is told in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.typesetting.glyphs import Glyphs, folders

GLYPHS = Glyphs()  # fonts are read once


def plain(said):
    return said if isinstance(said, str) else "".join(text for _, text in said)


def test_no_font_of_the_machine_is_asked():
    assert len(folders()) == 3
    assert all("site-packages" in str(each) or "dist-packages" in str(each) for each in folders())


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("family: 王, given: 小明", [("", "family: "), ("zh", "王"), ("", ", given: "), ("zh", "小明")]),
        ("山田 さくら", [("ja", "山田 さくら")]),
        ("김철수 金哲洙", [("ko", "김철수 金哲洙")]),
        ("محمد Al", [("ar", "محمد "), ("", "Al")]),
        ("Анна", "Анна"),
        ("", ""),
    ],
)
def test_a_stretch_has_the_language_of_its_script(text, runs):
    assert GLYPHS.said(text) == runs


@pytest.mark.parametrize(
    "text", ["e\u0323\u0301", "q\u0301", "葛\U000e0100", "م\u06cc\u200cخو\u0627\u0647م", "a\u00a0b", "line\nbreak"]
)
def test_marks_joiners_and_variants_go_with_their_letter(text):
    assert plain(GLYPHS.said(text)) == text


@pytest.mark.parametrize("text", ["王\u0301\u0e31", "a\u0e31", "\u200d", "\ufe0f", "\u00ad", "\u2028", "\u2066x"])
def test_a_letter_whose_mark_is_in_no_font_of_its_own_is_spelled(text):
    assert "[U+" in plain(GLYPHS.said(text))


def test_a_long_word_may_break_and_a_title_may_not():
    assert GLYPHS.said("ab" * 32).replace("\u200b", "") == "ab" * 32
    assert max(map(len, GLYPHS.said("ab" * 32).split("\u200b"))) == 12
    assert GLYPHS.said("clienteling.in_store") == "clienteling.\u200bin_\u200bstore"
    assert GLYPHS.said("ab" * 32, whole=True) == "ab" * 32


@given(st.text(max_size=60))
def test_nothing_is_lost(text):
    """Spelled or as it is: every character is told, and what is told holds none that has no shape."""
    told = plain(GLYPHS.said(text)).replace("\u200b", "")
    kept = text.replace("\r\n", "\n").replace("\t", " ").replace("\u200b", "")
    for each in set(kept):
        assert each in told or f"[U+{ord(each):04X}]" in told


def test_where_letters_make_no_shape_together_all_but_the_plain_are_spelled():
    assert Glyphs(only_plain=True).said("Élise 王") == "Élise [U+738B]"
