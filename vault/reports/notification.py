r"""What the blast radius says of itself, and its draft of the notification to the authority (GDPR Art. 33(3)), in English and in French.

The French of the draft has the words of the regulation's own French, which are those of the CNIL's form. French sets a no-break
space (`\u00a0`) before what is two marks high.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from audit.reports.table import Cell, Words

_BOUNDS: Final = (("at most <", "moins de "), ("at most ", "au plus "), ("<", "moins de "), (">=", "au moins "))


@dataclass(frozen=True, slots=True)
class Leaked:
    """What the draft is made of. `totals` are the report's own; times are as the log writes them.

    `categories` are their names, and what they are called in French. `known` says whether an entry stopped the system, `by_token` whether a token leaked and not the key. `exact` says whether
    each person was found; else `records` are somewhere among `among` people. `special` says whether a field of a special category
    (Art. 9) was given out, `stopped` whether the system is disabled.
    """

    system: str
    brand: str
    contact: str
    first: str
    last: str
    fields: tuple[str, ...]
    categories: tuple[Words, ...]
    records: int
    among: int
    totals: Mapping[str, Cell]
    known: bool
    by_token: bool
    exact: bool
    special: bool
    stopped: bool


def notes_of(leak: Leaked) -> list[Words]:
    """Say by when to tell the authority, whom the counts are of, and what could be told."""
    return [_clock(leak), *_people(leak), _nature(leak), _contact(leak), _consequences(leak), _measures(leak)]


def _clock(leak: Leaked) -> Words:
    english = "from the entry that stopped the system." if leak.known else "no entry says so yet, so from this run."
    french = (
        "ici, de l’écriture qui a arrêté le système."
        if leak.known
        else "aucune écriture n’en fait encore foi, donc du présent rapport."
    )
    return (
        f"The 72 hours run from when the controller knew (Art. 33(1)): {english}",
        (
            "Le délai de 72\u00a0heures court à compter de la prise de connaissance de la violation par le responsable du "
            f"traitement (art.\u00a033, §\u00a01)\u00a0: {french}"
        ),
    )


def _people(leak: Leaked) -> Iterator[Words]:
    if leak.exact:
        yield (
            "People are those whom the controller knows; who was erased since is not found any more.",
            (
                "Les personnes comptées sont celles que connaît le responsable du traitement\u00a0; celles qui ont été effacées "
                "depuis ne sont plus retrouvées."
            ),
        )
    else:
        yield (
            f"Too many to find each: {leak.records} records among {leak.among} people; ask for a shorter period."
            + (
                " What was seen with the token is not told apart; these are all records of its systems."
                if leak.by_token
                else ""
            ),
            (
                f"Trop d’enregistrements pour retrouver chaque personne\u00a0: {leak.records} parmi {leak.among} personnes\u00a0; "
                "demandez une période plus courte."
            )
            + (
                " Ce qui a été vu avec le jeton n’est pas distingué\u00a0: ce sont tous les enregistrements de ses systèmes."
                if leak.by_token
                else ""
            ),
        )
    if leak.exact and leak.by_token:
        yield (
            "Only what was seen with the token named, or with one narrowed from it that is not swept yet, is counted.",
            (
                "Seul est compté ce qui a été vu avec le jeton indiqué, ou avec un jeton plus restreint qui en est issu et n’a "
                "pas encore été supprimé."
            ),
        )


def _nature(leak: Leaked) -> Words:
    told = leak.totals
    people, records, raw = (told[each] for each in ("people", "records_given_out", "records_with_raw_values"))
    fields = ", ".join(leak.fields)
    categories, categories_fr = (", ".join([each[at] for each in leak.categories]) for at in (0, 1))
    return (
        (
            f"DRAFT Art. 33(3)(a), nature: from {leak.first} to {leak.last} "
            f"{'a token' if leak.by_token else 'the credential'} of {leak.system} ({leak.brand}) may have been used by others. "
            f"People: {people}; records: {records}, of which with values in clear: {raw}. "
            f"Categories: {categories or 'none'}. Fields: {fields or 'none'}."
        ),
        (
            f"{_article('a')}, nature de la violation de données à caractère personnel\u00a0: entre le {leak.first} et le "
            f"{leak.last}, {'un jeton' if leak.by_token else 'le moyen d’accès'} du système {leak.system} ({leak.brand}) a pu être utilisé "
            f"par des tiers. Nombre de personnes concernées\u00a0: {_french(people)}\u00a0; nombre d’enregistrements\u00a0: "
            f"{_french(records)}, dont avec des valeurs en clair\u00a0: {_french(raw)}. "
            f"Catégories de données\u00a0: {categories_fr or 'aucune'}. Champs\u00a0: {fields or 'aucun'}."
        ),
    )


def _contact(leak: Leaked) -> Words:
    return (
        f"DRAFT Art. 33(3)(b), contact: {leak.contact or 'to be named'}.",
        (
            f"{_article('b')}, délégué à la protection des données ou autre point de contact\u00a0: "
            f"{leak.contact or 'à désigner'}."
        ),
    )


def _consequences(leak: Leaked) -> Words:
    raw = leak.totals["records_with_raw_values"]
    english = (
        "values in clear were given out" if raw else "no value in clear was given out",
        "among them of special categories (Art. 9)" if leak.special else "none of special categories",
    )
    french = "\u00a0; ".join(
        (
            "des valeurs en clair ont été communiquées" if raw else "aucune valeur en clair n’a été communiquée",
            "les données relèvent en partie de catégories particulières (art.\u00a09)"
            if leak.special
            else "aucune donnée ne relève de catégories particulières",
        )
    )
    return (
        f"DRAFT Art. 33(3)(c), likely consequences: {'; '.join(english)}; to be judged by the controller.",
        (
            f"{_article('c')}, conséquences probables de la violation\u00a0: {french}\u00a0; à apprécier par le "
            "responsable du traitement."
        ),
    )


def _measures(leak: Leaked) -> Words:
    dead, alive = leak.totals["tokens_dead"], leak.totals["tokens_alive"]
    english = (
        "the system is disabled and its tokens are dead" if leak.stopped else "THE SYSTEM IS STILL ACTIVE: disable it"
    )
    french = (
        "le système est désactivé et ses jetons sont sans effet"
        if leak.stopped
        else "LE SYSTÈME EST ENCORE ACTIF\u00a0: désactivez-le"
    )
    return (
        (
            f"DRAFT Art. 33(3)(d), measures: {english}; {dead} tokens dead, {alive} alive; every look of the period is in the "
            "access report."
        ),
        (
            f"{_article('d')}, mesures prises ou proposées pour remédier à la violation\u00a0: {french}\u00a0; jetons sans "
            f"effet\u00a0: {dead}, encore valables\u00a0: {alive}\u00a0; chaque consultation de la période figure dans le rapport "
            "des accès."
        ),
    )


def _article(letter: str) -> str:
    return f"PROJET, art.\u00a033, §\u00a03, {letter})"


def _french(count: Cell) -> str:
    """Say a count in French as it may be told (`table.few`, `table.total`)."""
    spelt = str(count)
    for sign, words in _BOUNDS:
        if spelt.startswith(sign):
            return words + spelt.removeprefix(sign)
    return spelt
