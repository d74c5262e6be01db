"""French and English are complete: every sentence of code and templates, its placeholders, dates and numbers."""

import re
from datetime import date
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from api.packages.words import BASES
from api.pages import terms, words
from api.pages.language import FOLDER, LANGUAGES, language, preferred
from audit.entry import Act
from policies import phrases
from policies.difference import Part
from vault.erasure.holds import HoldReason

ROOT = Path(__file__).parents[2] / "api"
METHODS = [("**/templates/**.html", "jinja2.ext.babel_extract"), ("**.py", "python")]
OPTIONS = {"**/templates/**.html": {"trimmed": "false", "encoding": "utf-8"}}
PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def sentences():
    """Every sentence that a page may say, with where it stands."""
    found = {}
    for folder in ("pages", "console", "portal"):
        if not (ROOT / folder).is_dir():
            continue
        for name, line, message, _, _ in extract_from_dir(
            ROOT / folder,
            METHODS,
            OPTIONS,
            keywords={"_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "say": None, "say_many": (1, 2)},
        ):
            for each in message if isinstance(message, tuple) else (message,):
                found.setdefault(each, f"{folder}/{name}:{line}")
    return found


@pytest.fixture(scope="module")
def french():
    with (FOLDER / "fr.po").open("rb") as file:
        return read_po(file, locale="fr")


def test_no_sentence_lacks_its_french_and_none_is_left_over(french):
    said = sentences()
    assert len(said) > 100
    translated = {each.id for each in french if each.id and each.string and not each.fuzzy}
    assert {text: where for text, where in said.items() if text not in translated} == {}
    assert translated - set(said) == set()


def test_a_translation_keeps_what_is_filled_in(french):
    for each in french:
        if each.id:
            assert sorted(PLACEHOLDER.findall(each.id)) == sorted(PLACEHOLDER.findall(each.string)), each.id
            assert "<" not in each.string, each.id


def test_french_is_written_as_french_is(french):
    """A colon, a question mark and the like stand behind a no-break space; apostrophes are curved."""
    wrong = re.compile(r"[^\u202f\u00a0](?=[?!;:»])(?!:\w)|«(?!\u202f)|'")
    assert not [each.string for each in french if each.id and wrong.search(str(each.string))]


def test_every_act_of_the_log_has_its_words():
    assert set(words.ACTS) == {each.value for each in Act}


def test_every_reason_of_a_hold_and_every_part_of_a_bundle_has_its_words():
    assert set(terms.HELD_FOR) == {each.value for each in HoldReason}
    assert set(terms.PARTS) == {each.value for each in Part}


def test_rules_and_changes_call_codes_as_the_pages_do():
    say = language("fr").say
    assert {code: say(text) for code, text in words.LEVELS.items()} == phrases.LEVELS
    assert {code: each["fr"] for code, each in BASES.items()}.items() <= phrases.BASES.items()
    for code, text in {**terms.PARTS, **terms.SEVERITIES}.items():
        assert phrases.CODES[code] == say(text), code


def test_dates_and_numbers_are_the_languages_own():
    english, french = language("en"), language("fr")
    assert english.moment(1_790_000_000) == "21 Sep 2026, 14:13:20 UTC"
    assert french.moment(1_790_000_000) == "21 sept. 2026, 14:13:20 UTC"
    assert (english.number(1234567.5), french.number(1234567.5)) == ("1,234,567.5", "1\u202f234\u202f567,5")
    assert (english.percent(0.25), french.percent(0.25)) == ("25%", "25\xa0%")
    assert (english.day(1_790_000_000), french.day(1_790_000_000)) == ("September 21, 2026", "21 septembre 2026")
    assert [each.say_many("a", "b", count) for each in (english, french) for count in (0, 1, 2)] == list("babaab")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("fr", "fr"),
        ("fr-CA", "fr"),
        ("de, fr;q=0.3, en;q=0.2", "fr"),
        ("de", "en"),
        ("", "en"),
        ("*", "en"),
        ("fr;q=x", "en"),
        (",".join(["xx"] * 40) + ",fr", "en"),
    ],
)
def test_a_language_is_chosen_by_what_the_reader_prefers(accepted, expected):
    assert preferred(accepted) == expected
    assert language("xx") is language("xx")
    assert set(LANGUAGES) == {"en", "fr"}


def test_the_first_of_a_month_is_an_ordinal_in_french():
    assert [language(tag).day(date(2026, 12, 1)) for tag in ("fr", "en")] == ["1er décembre 2026", "December 1, 2026"]
    assert language("fr").day(date(2026, 12, 11)) == "11 décembre 2026"
    assert language("fr").day(1_796_083_200) == "1er décembre 2026"
    assert language("fr").moment(1_796_083_200) == "1er déc. 2026, 00:00:00 UTC"
    assert language("fr").moment(1_796_083_200 + 30 * 86_400) == "31 déc. 2026, 00:00:00 UTC"
    assert language("fr").moment(1_796_083_200 + 10 * 86_400) == "11 déc. 2026, 00:00:00 UTC"
    assert language("en").moment(1_796_083_200) == "1 Dec 2026, 00:00:00 UTC"
