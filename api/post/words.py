"""What letters say, in French and English. No letter holds a value, a reason, or more of a request than its number.

Whoever else reads the letter box learns that somebody asked a house about their data, and nothing besides.
"""

from collections.abc import Mapping
from typing import Final

from policies.parties import Party
from vault.requests.letters import Due, LetterKind

_TEXTS: Final[Mapping[str, Mapping[LetterKind, tuple[str, str]]]] = {
    "en": {
        LetterKind.CODE: (
            "Your code for {brand}",
            (
                "Your code is {code}. It is good for ten minutes and once.\n\nNobody of the house will ever ask you for it. "
                "If you did not ask for a code, you need do nothing."
            ),
        ),
        LetterKind.RECEIVED: ("Your request to {brand}", "We have received your request {request}."),
        LetterKind.EXTENDED: (
            "Your request to {brand}", "Your request {request} takes us longer than we hoped. Sign in to see until when and why."
        ),
        LetterKind.REFUSED: (
            "Your request to {brand}", "Your request {request} was decided. Sign in to read the decision and what you can do."
        ),
        LetterKind.DONE: ("Your request to {brand}", "What you asked for in your request {request} has been done."),
        LetterKind.READY: ("Your request to {brand}", "The answer to your request {request} is ready. Sign in to fetch it."),
        LetterKind.UNDERWAY: (
            "Your request to {brand}",
            "What you asked for in your request {request} is about to be carried out. It cannot be undone. Keep this number: with it the certificate can be fetched where one signs in, once it is done.",
        ),
        LetterKind.IDENTITY: (
            "Your request to {brand}",
            "Before we go on with your request {request} we have to know that it is you who asks. Sign in to show it. If you did not ask for anything, tell us: nothing is given out until then.",
        ),
        LetterKind.UNVERIFIED: (
            "Your request to {brand}",
            "We could not tell that it was you who sent the request {request}, and have ended it. Nothing was given out or changed. You may send another.",
        ),
        LetterKind.WITHDRAWN: (
            "Your request to {brand}",
            "Your request {request} was taken back, and nothing more is done for it. If that was not you, tell us.",
        ),
    },
    "fr": {
        LetterKind.CODE: (
            "Votre code pour {brand}",
            (
                "Votre code est {code}. Il est valable dix minutes et une seule fois.\n\nPersonne de la maison ne vous le "
                "demandera jamais. Si vous n’avez pas demandé de code, vous n’avez rien à faire."
            ),
        ),
        LetterKind.RECEIVED: ("Votre demande à {brand}", "Nous avons bien reçu votre demande {request}."),
        LetterKind.EXTENDED: (
            "Votre demande à {brand}",
            "Votre demande {request} nous prend plus de temps que prévu. Connectez-vous pour voir jusqu’à quand et pourquoi.",
        ),
        LetterKind.REFUSED: (
            "Votre demande à {brand}",
            "Votre demande {request} a fait l’objet d’une décision. Connectez-vous pour la lire et connaître vos recours.",
        ),
        LetterKind.DONE: ("Votre demande à {brand}", "Ce que vous demandiez dans votre demande {request} est fait."),
        LetterKind.READY: (
            "Votre demande à {brand}", "La réponse à votre demande {request} est prête. Connectez-vous pour l’obtenir."
        ),
        LetterKind.UNDERWAY: (
            "Votre demande à {brand}",
            "Ce que vous demandiez dans votre demande {request} va être exécuté. Cela ne peut être annulé. Gardez ce numéro : avec lui, le certificat pourra être retiré sur la page de connexion, une fois que ce sera fait.",
        ),
        LetterKind.IDENTITY: (
            "Votre demande à {brand}",
            "Avant de poursuivre votre demande {request}, nous devons nous assurer que c’est bien vous. Connectez-vous pour le montrer. Si vous n’avez rien demandé, dites-le-nous : rien n’est communiqué d’ici là.",
        ),
        LetterKind.UNVERIFIED: (
            "Votre demande à {brand}",
            "Nous n’avons pu établir que la demande {request} venait de vous, et y avons mis fin. Rien n’a été communiqué ni modifié. Vous pouvez en adresser une autre.",
        ),
        LetterKind.WITHDRAWN: (
            "Votre demande à {brand}",
            "Votre demande {request} a été retirée, et rien de plus n’est fait à ce titre. Si ce n’était pas vous, dites-le-nous.",
        ),
    },
}  # fmt: skip


def written(due: Due, house: Party, portal: str) -> tuple[str, str]:
    """Write a letter: its subject line and its text, and below it who writes and where one signs in.

    A code stands alone: a letter with both a code and an address is what a thief would write.
    """
    subject, text = _TEXTS[due.language if due.language in _TEXTS else "en"][due.kind]
    words = {"brand": house.name, **due.words}
    below = [] if due.kind is LetterKind.CODE else ["", *filter(None, (house.name, house.contact, portal))]
    return subject.format_map(words), "\n".join([text.format_map(words), *below, ""])
