"""What a machine takes out of free text before its person is given it: addresses, numbers and names of others, however written."""

# ruff: noqa: RUF001 - characters that look like others are what is tested

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.requests.masking import MARK, masks_of

OWN = masks_of(
    [("email", "Apolline.Rousselin@example.com"), ("phone", "+33639981234"), ("phone", {"number": "+971501234567"})],
    ["Capucine Delorme", "my sister Léa", "Étienne Rousselin", "王小明"],
    ["Apolline", "Rousselin"],
    ["adv-7781"],
)


@pytest.mark.parametrize(
    "theirs",
    [
        "etienne@example.org", "ETIENNE@Example.Org", "e.t-i+enne@mail.example.co.uk", "étienne@exämple.org",
        "etienne＠example．org", "etienne (at) example (dot) org", "etienne [at] example [dot] org", "etienne(at)example.org",
        "etienne arobase example point org", "etienne at example dot org", "e\u200btienne@exam\u200bple.org", "etienne{at}example{point}org",
        "еtienne@example.org", "etienne@例え.jp",
        "06 12 34 56 78", "+33 6 12 34 56 78", "0033612345678", "(06) 12-34-56-78", "06.12.34.56.78", "06/12/34/56/78",
        "０６１２３４５６７８", "٠٦١٢٣٤٥٦٧٨", "०६१२३४५६७८", "06\u00a012\u202f34\u200956 78", "0\u200b612345678", "06–12–34–56–78", "+1 (212) 555-0147",
        "𝟎𝟔𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖", "06\u206012345678", "06 - 12 - 34 - 56 - 78",
        "Capucine", "DELORME", "delorme", "Léa", "Lea", "LÉA", "Le\u0301a", "Étienne", "ｃａｐｕｃｉｎｅ", "Cap\u00aducine", "adv-7781", "ADV-7781", "王小明",
    ],
)  # fmt: skip
def test_what_is_somebody_elses_is_masked_however_it_is_written(theirs):
    for text in (theirs, f"Call {theirs} before noon.", f"({theirs}), then: {theirs}!"):
        masked, cut = OWN.masked(text)
        assert cut, text
        assert theirs not in masked
        assert MARK in masked


@pytest.mark.parametrize(
    "kept",
    [
        "likes sapphires, no yellow gold", "Apolline.Rousselin@example.com", "apolline.rousselin@EXAMPLE.com", "06 39 98 12 34", "+33 6 39 98 12 34",
        "+971 50 123 4567", "on 2026-01-05", "on 05/01/2026", "paid 3 200 000 EUR", "€ 1 250 000", "1250000 €", "reference AU-0042", "serial XK1234567",
        "Mme Rousselin", "my sister", "ring 52, wrist 16.5 cm", "12, rue de la Paix 75002", "a capucine-coloured stone"[:2] + " shade", "@ noon",
    ],
)  # fmt: skip
def test_what_is_the_persons_own_or_nobodys_stays_as_it_is(kept):
    assert OWN.masked(f"Note: {kept}.") == (f"Note: {kept}.", False)


def test_the_rest_of_the_text_stays_letter_for_letter():
    text = (
        "Le 5 janvier\u00a0: appeler Capucine au 06\u202f12\u202f34\u202f56\u202f78 (émue 💎), ou etienne@example.org."
    )
    assert OWN.masked(text)[0] == f"Le 5 janvier\u00a0: appeler {MARK} au {MARK} (émue 💎), ou {MARK}."


def test_of_a_record_that_holds_nothing_every_address_is_somebodys():
    assert masks_of([], [], [], []).masked("apolline@example.com 0639981234") == (f"{MARK} {MARK}", True)


@given(st.text(max_size=300))
def test_any_text_comes_through_and_twice_changes_no_more(text):
    masked, cut = OWN.masked(text)
    assert cut or masked == text
    again, _ = OWN.masked(masked)
    assert len(again) <= len(masked) + 3 * text.count("@") + 300


@given(
    st.text(alphabet="ab .,-", max_size=40),
    st.sampled_from(["x@y.example", "0612345678"]),
    st.text(alphabet="ab .,", max_size=40),
)
def test_an_address_between_any_words_is_found(before, theirs, after):
    assert theirs not in OWN.masked(f"{before} {theirs} {after}")[0]


def test_no_repr_tells_anything():
    for private in ("apolline", "capucine", "39981234", "adv"):
        assert private not in repr(OWN).casefold()
