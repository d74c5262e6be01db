"""What is said of rules and of changes between bundles, in English and in French side by side.

English is what is stored, signed and printed: it names categories and levels by their keys. French gives them the words
that its readers know them by. Purposes, fields and regions keep their keys in both, and what an author wrote stays as it is.
Whatever reads differently in English does so in French: bundles are compared by these sentences.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from policies.catalogue import Category

_ENGLISH: Final = "en"
_FRENCH: Final = "fr"
_UP_TO: Final = "up_to_"


@unique
class Phrase(Enum):
    """One phrase in both languages; what is filled in stands in braces, under the same names in both."""

    def __init__(self, english: str, french: str) -> None:
        self.english = english
        self.french = french

    # Conditions of a rule.
    ASKER = ("the asker is {names}", "le demandeur est {names}")
    ASKER_SYSTEM = ("the asker is the system {names}", "le demandeur est le système {names}")
    ASKER_BRAND = ("the asker is of the brand {names}", "le demandeur est de la maison {names}")
    CATEGORY = ("the category is {names}", "la catégorie est {names}")
    OF_THE_KIND = ("of the kind the rule names", "du type que nomme la règle")
    LEVEL = ("the level is {names}", "le niveau est {names}")
    AT_MOST = ("the level is at most {names}", "le niveau est au plus {names}")
    UP_TO = ("up_to_{name}", "tout niveau jusqu’à {name}")
    PURPOSE = ("the purpose is {names}", "la finalité est {names}")
    PURPOSE_OR_BELOW = ("the purpose is {names}, or lies below", "la finalité est {names}, ou en relève")
    BASIS = ("the basis is {name}", "la base légale est {name}")
    REGION = ("the region is {name}", "la région est {name}")
    CONSENTED = (
        "the purpose rests on consent, and consent stands",
        "la finalité repose sur le consentement, et un consentement est en vigueur",
    )
    NOT_CONSENTED = ("no consent stands", "aucun consentement n’est en vigueur")
    STAFFED = ("a person of the house is behind the request", "une personne de la maison est à l’origine de la demande")
    NOT_STAFFED = ("no person is behind the request", "aucune personne n’est à l’origine de la demande")
    SPECIAL = ("the field is of a special category", "le champ relève d’une catégorie particulière")
    NOT_SPECIAL = ("the field is not of a special category", "le champ ne relève pas d’une catégorie particulière")
    NOT = ("not: {term}", "sauf si\u00a0: {term}")
    OR = ("{left}, or {right}", "{left}, ou {right}")
    AND = ("{left}, and {right}", "{left}, et {right}")
    EITHER = (" or ", " ou ")

    # How a change is told. What is a set is told member by member; its name is of feminine gender in French, singular.
    HEAD = ("{part} {name}: {kind}", "{part} {name}\u00a0: {kind}")
    HAS = ("{what}: ", "{what}\u00a0: ")
    NO_LONGER = ("{what}, no longer: ", "{what}, retirée\u00a0: ")
    NOW = ("{what}, now: ", "{what}, ajoutée\u00a0: ")
    NOTHING = ("none", "aucune valeur")

    # What changes.
    EFFECT = ("effect", "effet")
    TITLE = ("title", "titre")
    TITLE_IN_FRENCH = ("title in French", "titre en français")
    TITLE_IN_ENGLISH = ("title in English", "titre en anglais")
    RULE_BASIS = ("basis", "fondement")
    ONLY_WHERE = ("only where", "condition pour permettre")
    WHERE = ("where", "condition pour interdire")
    VERSION = ("version", "numéro de version")
    LEGAL_BASIS = ("legal basis", "base légale")
    ASKED_SEPARATELY = ("asked about separately", "consentement demandé à part")
    CONSENT_LASTS = ("consent lasts, days", "durée du consentement, en jours")
    NOTICE = ("notice", "notice d’information")
    NOTICE_FROM = (
        "consent stands from version of the notice",
        "première version de notice dont le consentement vaut encore",
    )
    RECIPIENTS = ("recipients", "destinataire")
    CHANNEL = ("consent is given for each value of", "consentement donné pour chaque valeur de")
    SIGNAL_OBJECTS = ("the browser's signal objects", "opposition par le signal du navigateur")
    VOCABULARY = ("vocabulary term", "terme du vocabulaire")
    LEAST_GROUP = ("groups of at least", "taille minimale des groupes")
    OPENS = ("opens", "catégorie ouverte")
    REGIONS = ("regions", "région comprise")
    SENSITIVITY = ("sensitivity", "sensibilité")
    KEPT_AT_MOST = ("kept at most, days", "durée maximale de conservation, en jours")
    KEPT_BY_LAW = ("kept by law", "conservation imposée par la loi")
    NUMBER = ("number", "numéro")
    OF_CATEGORY = ("category", "catégorie")
    TYPE = ("type", "type de valeur")
    SPECIAL_CATEGORY = ("special category", "catégorie particulière")
    SEARCH = ("search", "recherche")
    WRITTEN_FOR_PERSON = ("written for the person to read", "écrit pour être lu par la personne")
    SHOWN = ("shown", "forme montrée")
    MAY_BE_ASKED = ("may be asked", "question permise")
    CHOICES = ("choices", "choix")
    TEXT = ("text", "texte")

    # What it is, or was.
    CATEGORY_UP_TO = ("{category} up to {level}", "{category} jusqu’au niveau {level}")
    DAYS_BY_LAW = ("{days} days ({basis})", "{days} jours ({basis})")
    TYPE_OF = ("{type}, {kind}, version {version}", "{type}, {kind}, version {version}")
    LEVEL_AS = ("{level} as {transform}", "{level} par {transform}")


LEVELS: Final[Mapping[str, str]] = {
    "presence": "présence", "predicate": "oui ou non", "generalised": "généralisé", "masked": "masqué", "raw": "en entier",
}  # fmt: skip
BASES: Final[Mapping[str, str]] = {
    "consent": "consentement", "explicit_consent": "consentement explicite", "contract": "contrat",
    "legal_obligation": "obligation légale", "vital_interest": "intérêt vital", "legitimate_interest": "intérêt légitime",
    "legal_claims": "défense de droits en justice", "heading": "simple rubrique",
}  # fmt: skip
CODES: Final[Mapping[str, str]] = {
    "permit": "permet", "forbid": "interdit", "yes": "oui", "no": "non", "default": "par défaut",
    "low": "faible", "medium": "moyenne", "high": "élevée", "special": "catégorie particulière",
    "single": "valeur unique", "list": "liste", "journal": "journal en ajout seul",
    "added": "ajout", "removed": "suppression", "changed": "modification",
    "rule": "règle", "purpose": "finalité", "jurisdiction": "droit applicable", "category": "catégorie", "field": "champ",
    "notice": "notice", "file": "fichier",
}  # fmt: skip
"""What codes are called in French; English shows them as they are."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A language, `en` or `fr`, and what categories are called in it. One without a name there is told by its key."""

    tag: str = _ENGLISH
    categories: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @property
    def is_english(self) -> bool:
        """Whether everything is told by keys, as it is stored and signed."""
        return self.tag != _FRENCH

    def say(self, phrase: Phrase, **filled: object) -> str:
        """Return a phrase with what is to be filled in."""
        return (phrase.english if self.is_english else phrase.french).format(**filled)

    def either(self, names: Iterable[str]) -> str:
        """Return names of which one is meant."""
        return self.say(Phrase.EITHER).join(names)

    def code(self, code: str) -> str:
        """Return what a code is called."""
        return code if self.is_english else CODES.get(code, code)

    def basis(self, basis: str) -> str:
        """Return what a legal basis is called."""
        if self.is_english:
            return basis
        return _quoted(BASES[basis]) if basis in BASES else f'"{basis}"'  # as Cedar has it: it could be spelt like one

    def level(self, level: str) -> str:
        """Return what a level is called; `up_to_` and a level are a group of them."""
        if level.startswith(_UP_TO):
            return self.say(Phrase.UP_TO, name=self.level(level.removeprefix(_UP_TO)))
        return level if self.is_english or level not in LEVELS else _quoted(LEVELS[level])

    def category(self, name: str) -> str:
        """Return what a category is called."""
        return _quoted(self.categories[name]) if name in self.categories else name


ENGLISH: Final = Wording()


def wording(tag: str, categories: Iterable[Category]) -> Wording:
    """Return how to speak of these categories, of which later ones take the place of earlier ones of the same name.

    A title that two of them share, or that could be taken for more than one title, is not used.
    """
    if tag != _FRENCH:
        return ENGLISH
    titles = {each.name: each.title.get(tag, "") for each in categories}
    times = Counter(titles.values())
    usable = {name: title for name, title in titles.items() if title and times[title] == 1 and not {*"«»"} & {*title}}
    return Wording(tag, MappingProxyType(usable))


def _quoted(words: str) -> str:
    return f"«\u202f{words}\u202f»"
