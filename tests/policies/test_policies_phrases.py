"""Rules and changes in French: nothing lacks its phrase, nothing is left in English, and nothing reads like another."""

import re
from string import Formatter
from types import MappingProxyType, SimpleNamespace

import pytest

from policies.bundle import parse_bundle
from policies.catalogue import FieldKind, Sensitivity
from policies.conditions import words_of
from policies.difference import Kind, Line, Part, differences
from policies.levels import Level
from policies.phrases import BASES, CODES, ENGLISH, LEVELS, Phrase, Wording, wording
from policies.purposes import DEFAULT, Basis

HEAD = '@id("it") @title("A rule under test") @basis("none")\n'
NOTHING = SimpleNamespace(
    rules=SimpleNamespace(rules={}),
    purposes=SimpleNamespace(every=(), jurisdictions={}),
    catalogue=SimpleNamespace(categories=(), fields={}),
    notices={},
    files={},
)
ALIKE = {"TYPE_OF"}  # its words are the same in both languages
WRONG = re.compile(r"[^\u202f\u00a0](?=[?!;:»])|«(?!\u202f)|'")  # as tests/pages has it for the pages' sentences
CONDITIONS = [
    ("permit (principal, action, resource) when { context.staffed };",
     "une personne de la maison est à l’origine de la demande"),
    ("permit (principal, action, resource) when { !context.staffed };", "aucune personne n’est à l’origine de la demande"),
    ("permit (principal, action, resource) when { context.consented };",
     "la finalité repose sur le consentement, et un consentement est en vigueur"),
    ("permit (principal, action, resource) when { !context.consented };", "aucun consentement n’est en vigueur"),
    ("permit (principal, action, resource) when { context.special };", "le champ relève d’une catégorie particulière"),
    ("permit (principal, action, resource) when { !context.special };", "le champ ne relève pas d’une catégorie particulière"),
    ("permit (principal, action, resource) when { context.staffed || context.special };",
     "une personne de la maison est à l’origine de la demande, ou le champ relève d’une catégorie particulière"),
    ("permit (principal, action, resource) when { (context.staffed && context.special) || !context.consented };",
     "(une personne de la maison est à l’origine de la demande, et le champ relève d’une catégorie particulière), ou aucun consentement n’est en vigueur"),
    ("permit (principal, action, resource) unless { context.special };",
     "sauf si\u00a0: le champ relève d’une catégorie particulière"),
    ('permit (principal, action, resource) when { !(context.region == "eu") };', "sauf si\u00a0: la région est eu"),
    ('permit (principal, action, resource) when { context.basis == "contract" };',
     "la base légale est «\u202fcontrat\u202f»"),
    ('permit (principal, action, resource) when { context.basis == "contrat" };', 'la base légale est "contrat"'),
    ('permit (principal, action, resource) when { context.purpose == Purpose::"service" };', "la finalité est service"),
    ('permit (principal, action, resource) when { context.purpose in Purpose::"service" };',
     "la finalité est service, ou en relève"),
    ('permit (principal, action, resource) when { context.purpose in [Purpose::"service", Purpose::"legal"] };',
     "la finalité est service ou legal, ou en relève"),
    ('permit (principal, action, resource) when { context.region like "c*" };', '(context.region) like "c*"'),
    ('permit (principal in Brand::"vantier", action, resource);', "le demandeur est de la maison vantier"),
    ("permit (principal is System, action, resource);", "le demandeur est du type que nomme la règle"),
    ('permit (principal, action == Action::"raw", resource);', "le niveau est «\u202fen entier\u202f»"),
    ('permit (principal, action in [Action::"masked", Action::"presence"], resource);',
     "le niveau est «\u202fmasqué\u202f» ou «\u202fprésence\u202f»"),
    ('permit (principal, action in Action::"up_to_masked", resource);', "le niveau est au plus «\u202fmasqué\u202f»"),
    ('permit (principal == System::"desk", action, resource);', "le demandeur est le système desk"),
    ('permit (principal, action in [Action::"up_to_predicate", Action::"raw"], resource);',
     "le niveau est tout niveau jusqu’à «\u202foui ou non\u202f» ou «\u202fen entier\u202f»"),
    ('permit (principal, action in [Action::"up_to_predicate", Action::"up_to_raw"], resource);',
     "le niveau est au plus «\u202foui ou non\u202f» ou «\u202fen entier\u202f»"),
    ('permit (principal, action, resource == Category::"notes");', "la catégorie est «\u202fNotes et visites\u202f»"),
    ('permit (principal, action, resource) when { resource in [Category::"notes", Category::"dates"] };',
     "la catégorie est «\u202fNotes et visites\u202f» ou «\u202fDates\u202f»"),
]  # fmt: skip


@pytest.fixture(scope="module")
def rule_of(shipped_files):
    def read(rule):
        return parse_bundle("it", {**shipped_files, "access.cedar": (HEAD + rule).encode()}).rules.rules["it"]

    return read


@pytest.fixture(scope="module")
def french(maisons):
    return wording("fr", maisons.catalogue.categories)


def changed(files, path, old, new):
    text = files[path].decode()
    assert old in text
    return parse_bundle("changed", files | {path: text.replace(old, new, 1).encode()})


def filled_in(phrase):
    return sorted(name for _, name, _, _ in Formatter().parse(phrase) if name is not None)


def faults(phrases):
    """What is wrong with pairs of phrases: French that is not there, is English, lacks what is filled in, or is ill set."""
    for name, (english, french) in phrases.items():
        if not french or (french == english and name not in ALIKE):
            yield name, "no French"
        elif filled_in(english) != filled_in(french):
            yield name, "filled in otherwise"
        elif WRONG.search(french):
            yield name, "ill set"


def left_in_english(text):
    """The English phrases of which a piece stands in a French text."""
    pieces = {
        piece.strip(" ,:"): each.name
        for each in Phrase
        for piece, *_ in Formatter().parse(each.english)
        if len(piece.strip(" ,:")) > 3
    }
    french = " ".join(each.french for each in Phrase)
    return {
        name for piece, name in pieces.items() if piece not in french and re.search(rf"\b{re.escape(piece)}\b", text)
    }


def test_every_phrase_has_its_french_with_the_same_things_filled_in():
    assert dict(faults({each.name: each.value for each in Phrase})) == {}


@pytest.mark.parametrize(
    ("french", "fault"),
    [("", "no French"), ("the region is {name}", "no French"), ("la région", "filled in otherwise"),
     ("la région : {name}", "ill set"), ("l'endroit {name}", "ill set")],
)  # fmt: skip
def test_a_phrase_whose_french_is_missing_or_wrong_is_found(french, fault):
    phrases = {each.name: each.value for each in Phrase} | {"REGION": ("the region is {name}", french)}
    assert dict(faults(phrases)) == {"REGION": fault}


def test_every_code_has_its_french_and_no_two_the_same():
    assert set(LEVELS) == {each.value for each in Level}
    assert set(BASES) == {each.value for each in Basis}
    kinds = [{each.value for each in of} for of in (FieldKind, Sensitivity, Kind, Part)]
    kinds += [{"permit", "forbid"}, {"yes", "no"}]
    assert set(CODES) == {DEFAULT}.union(*kinds)
    for words in (LEVELS, BASES, *({code: CODES[code] for code in of} for of in kinds)):
        assert len(set(words.values())) == len(words)


@pytest.mark.parametrize(("rule", "words"), CONDITIONS)
def test_a_condition_is_told_in_french(rule_of, french, rule, words):
    assert words_of(rule_of(rule), french) == (words,)
    assert left_in_english(words) == set()


def test_what_reads_differently_in_english_does_so_in_french(rule_of, french):
    rules = [rule_of(rule) for rule, _ in CONDITIONS]
    assert len({words_of(rule, french) for rule in rules}) == len({words_of(rule) for rule in rules}) == len(CONDITIONS)


def test_everything_there_is_to_say_is_said_by_a_phrase_in_both_languages(maisons, shipped_files, rule_of, monkeypatch):
    said, say = set(), Wording.say
    monkeypatch.setattr(Wording, "say", lambda self, phrase, **filled: said.add(phrase) or say(self, phrase, **filled))
    others = [
        changed(shipped_files, "purposes.toml", 'contact = "masked"', 'contact = "raw"'),
        changed(shipped_files, "catalogue.toml", "legal_retention = {", "# legal_retention = {"),
        changed(shipped_files, "catalogue.toml", '"Coordonnées"', '"Contacts"'),
    ]
    for tag in ("en", "fr"):
        said.clear()
        spoken = wording(tag, maisons.catalogue.categories)
        told = [each for rule, _ in CONDITIONS for each in words_of(rule_of(rule), spoken)]
        for other in (NOTHING, *others):
            told += [each.text() for each in differences(other, maisons, tag) + differences(maisons, other, tag)]
        assert set(Phrase) - said == {Phrase.TITLE_IN_ENGLISH if tag == "en" else Phrase.TITLE_IN_FRENCH}
        assert len(told) > 300
    kept = re.compile(r"^  (titre|titre en anglais|fondement|choix)\u00a0: .*$", re.MULTILINE)
    assert {left for text in told for left in left_in_english(kept.sub("", text))} == set()
    assert left_in_english("règle x\u00a0: ajout\n  only where: la région est eu") == {"ONLY_WHERE", "WHERE"}


def test_english_is_what_is_told_when_nothing_else_is_asked_for(maisons, shipped_files):
    other = changed(shipped_files, "purposes.toml", 'contact = "masked"', 'contact = "raw"')
    for tag in ("en", "de", ""):
        assert wording(tag, maisons.catalogue.categories) == ENGLISH
        assert differences(maisons, other, tag) == differences(maisons, other)


def test_a_change_is_told_in_french_and_says_which_words_are_the_authors(maisons, shipped_files):
    other = changed(shipped_files, "purposes.toml", 'contact = "masked"', 'contact = "raw"')
    (change,) = differences(maisons, other, "fr")
    assert change.text() == (
        "finalité clienteling.in_store\u00a0: modification\n"
        "  catégorie ouverte, retirée\u00a0: «\u202fCoordonnées\u202f» jusqu’au niveau «\u202fmasqué\u202f»\n"
        "  catégorie ouverte, ajoutée\u00a0: «\u202fCoordonnées\u202f» jusqu’au niveau «\u202fen entier\u202f»"
    )
    other = changed(shipped_files, "access.cedar", "Aftercare may know sizes exactly", "Aftercare may know sizes")
    (change,) = differences(maisons, other, "fr")
    assert change.lines == (
        Line("titre\u00a0: ", "Aftercare may know sizes exactly → Aftercare may know sizes", own=True),
    )


def test_a_reader_of_french_is_told_of_both_titles(maisons, shipped_files):
    for old, new, line in (
        ("Contact details", "Contacts", Line("titre en anglais\u00a0: ", "Contact details → Contacts", own=True)),
        ("Coordonnées", "Contacts", Line("titre\u00a0: ", "Coordonnées → Contacts")),
    ):
        (change,) = differences(maisons, changed(shipped_files, "catalogue.toml", f'"{old}"', f'"{new}"'), "fr")
        assert (change.part, change.name, change.lines) == (Part.CATEGORY, "contact", (line,))


def test_categories_that_could_be_taken_for_another_are_told_by_their_keys():
    titles = {"a": "Santé", "b": "Santé", "c": "Goûts\u202f» ou «\u202fSanté", "d": "", "e": "Goûts"}
    spoken = wording("fr", [SimpleNamespace(name=name, title={"fr": title}) for name, title in titles.items()])
    assert [spoken.category(name) for name in titles] == ["a", "b", "c", "d", "«\u202fGoûts\u202f»"]
    assert isinstance(spoken.categories, MappingProxyType)
    assert ENGLISH.category("e") == "e"
