r"""What the review says, in English and in French: of a highlight what was seen, what is usual and what to ask; of itself its bounds.

The report is signed with both, so that a reader has the words that were signed and not a translation of them. French sets
a no-break space (`\u00a0`) before what is two marks high.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from audit.reports.table import Words

_SENTENCES: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "volume_new": (
            "Looked {count} times in one hour and was not seen in the {days} days before.",
            "{count} consultations en une heure, sans aucune dans les {days} jours précédents.",
        ),
        "volume": (
            "Looked {count} times in one hour; before, {usual} at most in any hour.",
            "{count} consultations en une heure\u00a0; auparavant, {usual} au plus par heure.",
        ),
        "volume_usual": (
            "As usual; the fullest hour is told.",
            "Comme d’habitude\u00a0; l’heure la plus chargée est indiquée.",
        ),
        "new_field": (
            "Was given {name}, for the first time in {days} days of use.",
            "A reçu {name} pour la première fois en {days} jours d’usage.",
        ),
        "refusals_then_look": (
            "Refused {count} times within ten minutes, then let in: was something tried until it worked?",
            "{count} refus en dix minutes, puis un accès\u00a0: a-t-on essayé jusqu’à ce que cela marche\u00a0?",
        ),
        "vain_searches": (
            "Searched {count} times in one hour for people who are not there: numbers may be being guessed.",
            "{count} recherches en une heure de personnes qui n’existent pas\u00a0: des numéros sont peut-être devinés.",
        ),
        "failed_authentication": (
            "Failed to authenticate {count} times in one hour.",
            "{count} authentifications échouées en une heure.",
        ),
        "night": (
            "{count} looks at night, a share more than {times} times the usual.",
            "{count} consultations de nuit, une part plus de {times} fois supérieure à l’habitude.",
        ),
        "emergency_not_reviewed": (
            "An emergency ({name}) was opened and no other officer has reviewed it.",
            "Un accès d’urgence ({name}) a été ouvert et personne d’autre ne l’a examiné.",
        ),
        "honey": (
            "Looked at a person who does not exist, and was frozen: whoever does that reads what they should not.",
            "A consulté une personne qui n’existe pas, et a été gelé\u00a0: qui fait cela lit ce qu’il ne devrait pas lire.",
        ),
        "undeclared_field": (
            (
                "Was given {name} {count} times for {purpose}, which does not open it so far by the policies in force: did "
                "they change since, or was a rule wrong?"
            ),
            (
                "A reçu {name} {count} fois pour {purpose}, finalité qui ne l’ouvre pas jusque-là selon les règles en "
                "vigueur\u00a0: ont-elles changé depuis, ou une règle était-elle fausse\u00a0?"
            ),
        ),
        "look_before_erasure": (
            (
                "{count} looks in full within an hour before an erasure was asked for, at the people whose data it was: was "
                "something taken before it was to go?"
            ),
            (
                "{count} consultations en clair dans l’heure avant une demande d’effacement, des personnes concernées\u00a0: "
                "a-t-on pris quelque chose avant que cela ne parte\u00a0?"
            ),
        ),
        "look_before_own_erasure": (
            "Looked {count} times in an emergency within an hour before asking for an erasure: were traces to go?",
            (
                "{count} consultations d’urgence dans l’heure avant de demander un effacement\u00a0: des traces "
                "devaient-elles disparaître\u00a0?"
            ),
        ),
        "heartbeat_gap": (
            (
                "No sign of life for {count} minutes from {start} on, one an hour is usual: was the service stopped or "
                "sealed? What happened then is in no log."
            ),
            (
                "Aucun signe de vie pendant {count} minutes à partir de {start}, un par heure est habituel\u00a0: le service "
                "était-il arrêté ou scellé\u00a0? Ce qui s’est passé alors n’est dans aucun journal."
            ),
        ),
        "keys_unexplained": (
            (
                "The key holder opened {opened} keys in the hour of {hour} and refused {refused}; the log explains "
                "{explained}: which process asked, and for whom?"
            ),
            (
                "Le détenteur des clés a ouvert {opened} clés dans l’heure de {hour} et en a refusé {refused}\u00a0; le journal en "
                "explique {explained}\u00a0: quel processus les a demandées, et pour qui\u00a0?"
            ),
        ),
        "note_usual": (
            (
                "Usual is the fullest hour of the {days} days before the period. Looks are counted, not people: the log "
                "relates no two entries of one person. Night is 22 to 5 UTC."
            ),
            (
                "L’habitude est l’heure la plus chargée des {days} jours précédant la période. Ce sont des consultations qui "
                "sont comptées, et non des personnes\u00a0: le journal ne relie pas entre elles les écritures d’une même personne. "
                "La nuit va de 22\u00a0h à 5\u00a0h UTC."
            ),
        ),
        "note_limits": (
            (
                "Told from {looks} looks an hour and {times} times the usual on; {refusals} refusals "
                "before a look; {vain} searches and {failed} authentications an hour in vain."
            ),
            (
                "Est signalé ce qui atteint {looks} consultations par heure et dépasse {times} fois l’habitude\u00a0; {refusals} "
                "refus avant une consultation\u00a0; {vain} recherches ou {failed} authentifications vaines en une heure."
            ),
        ),
        "note_bounds": (
            (
                "Fields are held against the policies in force now. Looks before an erasure are found of people who are erased in "
                "part, or whose data a law keeps: of whom the key is gone nothing can be told. Hours of the key holder are those "
                "that a reconciliation recorded (`ecrin audit reconcile`)."
            ),
            (
                "Les champs sont confrontés aux règles en vigueur à ce jour. Les consultations précédant un effacement sont "
                "retrouvées pour les personnes effacées en partie ou dont une loi impose de conserver des données\u00a0: de celles "
                "dont la clé est détruite, rien ne peut être dit. Les heures du détenteur des clés sont celles qu’un "
                "rapprochement a consignées (`ecrin audit reconcile`)."
            ),
        ),
    }
)


def explained(kind: str, **facts: object) -> Words:
    """Say it in both languages. Counts of acts about few people are given as they may be told (`table.few`)."""
    english, french = _SENTENCES[kind]
    return english.format(**facts), french.format(**facts)
