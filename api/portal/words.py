"""What the portal says of codes, to people who never saw one: states, grounds, rights, and files."""

from collections.abc import Mapping
from typing import Final

from api.pages.language import N_
from policies.rights import Right
from vault.requests.states import State

STANDS: Final[Mapping[State, str]] = {
    State.RECEIVED: N_("Received"),
    State.ACKNOWLEDGED: N_("Received"),
    State.IDENTITY_CHECK: N_("We are checking who asks"),
    State.IDENTITY_FAILED: N_("It could not be shown who asks"),
    State.SCOPING: N_("Being worked on"),
    State.COLLECTING: N_("Being worked on"),
    State.OFFICER_REVIEW: N_("Being reviewed"),
    State.READY: N_("Ready for you"),
    State.DELIVERED: N_("Handed over"),
    State.CLOSED: N_("Closed"),
    State.ON_HOLD: N_("Paused"),
    State.REFUSAL_PROPOSED: N_("Being reviewed"),
    State.REFUSED: N_("Declined"),
    State.WITHDRAWN: N_("Taken back by you"),
    State.DUPLICATE: N_("Already asked for"),
    State.HOLD_CHECK: N_("Being reviewed"),
    State.DRY_RUN: N_("Being prepared"),
    State.SECOND_APPROVAL: N_("Being prepared"),
    State.EXECUTED: N_("Carried out"),
    State.RECIPIENTS_NOTIFIED: N_("Carried out, recipients told"),
    State.BACKUPS_EXPIRED: N_("Carried out, gone from backups too"),
    State.CERTIFIED: N_("Certified"),
}
"""Where a request stands, as its person is told: what officers weigh among themselves is a review."""

GROUNDS: Final[Mapping[str, str]] = {
    "accuracy_contested": N_("Something about me is wrong, until it is checked"),
    "unlawful": N_("My data is used unlawfully, and I do not want it erased"),
    "needed_for_claim": N_("I need it for a legal claim"),
    "objection_pending": N_("I have objected, until it is decided"),
}
"""The grounds of a restriction (GDPR Art. 18(1)), as the person says them."""

MEMBERS: Final[Mapping[str, str]] = {
    "salutation": N_("Salutation"),
    "given": N_("First name"),
    "family": N_("Family name"),
    "kind": N_("Kind"),
    "lines": N_("Street, on one line or several"),
    "postal_code": N_("Postal code"),
    "locality": N_("Town"),
    "region": N_("Region"),
    "country": N_("Country, as two letters (FR, IT, …)"),
    "use": N_("What it is for"),
    "value": N_("Size"),
    "system": N_("Measured in"),
    "amount": N_("Amount"),
    "currency": N_("Currency, as three letters"),
    "occasion": N_("Occasion"),
    "date": N_("Date"),
    "about": N_("Whom it is about"),
    "substance": N_("Substance"),
    "relation": N_("Relation"),
    "product": N_("Piece"),
    "serial": N_("Serial number"),
    "boutique": N_("Boutique"),
    "opened": N_("Day it was handed in"),
    "status": N_("How far it is"),
    "work": N_("Work done"),
    "topic": N_("Topic"),
    "text": N_("Text"),
}
"""The members of values that are records, where one is typed in anew."""

ABOUT: Final[Mapping[Right, str]] = {
    Right.ACCESS: N_(
        "Everything that is held about you, where it came from, who received it and why, as a package to take along."
    ),
    Right.PORTABILITY: N_("What you gave, in a form that another house can read."),
    Right.RECTIFICATION: N_("Something is wrong or no longer true: say what it should be."),
    Right.ERASURE: N_("What no law makes the house keep is destroyed, in backups too. It cannot be undone."),
    Right.RESTRICTION: N_("Your data stays stored, and is used for nothing but legal claims."),
    Right.OBJECTION: N_("You do not want your data used for something. It stops as soon as you send this."),
    Right.CONSENT_WITHDRAWAL: N_(
        "You take consents back, several at once if you like. It stops as soon as you send this."
    ),
    Right.DECISION_REVIEW: N_("A machine decided something about you: a person looks at it anew."),
    Right.COMPLAINT: N_("Something went wrong. The data protection officer answers you."),
}
"""What each right is, in a sentence."""

README: Final[Mapping[str, str]] = {
    "en": """\
What is in this archive, and how to check it

NUMBER.json         an entry of the log that records an act of yours, byte for byte. No value of yours is in it.
NUMBER.receipt      the vault's signed promise that this entry is in its log.
NUMBER.leaf         the hash of an entry about you, in hexadecimal. Of what others did you get the hash and not the entry.
NUMBER.tlog-proof   the proof that it is in the log (C2SP tlog-proof), with the signed state of the log. It is missing while
                    no state that covers the entry was signed: come back in a moment.
scrub.*             the same of the newest entry that says what a check of the whole log found ("out": "allow" means
                    nothing wrong; "n": how many entries). It is missing where none was near.
log.vkey, receipts.vkey
                    the keys that all of this verifies under. The house publishes them at /audit/keys; compare them with
                    what you or somebody you trust got there at another time.

With the verifier (one file of Python, audit/verify.py of Ecrin made whole by `python -m audit.standalone`) and no network:

    python verify.py receipt NUMBER.receipt --key receipts.vkey --entry NUMBER.json
    python verify.py proof NUMBER.tlog-proof --key log.vkey --entry NUMBER.json
    python verify.py proof NUMBER.tlog-proof --key log.vkey --leaf "$(cat NUMBER.leaf)"

Keep it. If an entry that you hold a receipt of is ever missing from the log, this proves it.
""",
    "fr": """\
Ce que contient cette archive, et comment la vérifier

NUMÉRO.json         une écriture du journal qui relate un de vos actes, octet pour octet. Aucune de vos données n’y figure.
NUMÉRO.receipt      la promesse signée du coffre que cette écriture est dans son journal.
NUMÉRO.leaf         l’empreinte d’une écriture à votre sujet, en hexadécimal. De ce que d’autres ont fait, vous recevez
                    l’empreinte et non l’écriture.
NUMÉRO.tlog-proof   la preuve qu’elle est dans le journal (C2SP tlog-proof), avec l’état signé du journal. Elle manque tant
                    qu’aucun état qui la couvre n’a été signé : revenez dans un instant.
scrub.*             de même pour la dernière écriture qui dit ce qu’un contrôle du journal entier a trouvé (« out » :
                    « allow » signifie rien d’anormal ; « n » : le nombre d’écritures). Absent si aucune n’était proche.
log.vkey, receipts.vkey
                    les clés de vérification. La maison les publie à /audit/keys ; comparez-les à ce que vous, ou une
                    personne de confiance, y avez lu à un autre moment.

Avec le vérificateur (un seul fichier Python, audit/verify.py d’Ecrin assemblé par `python -m audit.standalone`), sans
réseau :

    python verify.py receipt NUMÉRO.receipt --key receipts.vkey --entry NUMÉRO.json
    python verify.py proof NUMÉRO.tlog-proof --key log.vkey --entry NUMÉRO.json
    python verify.py proof NUMÉRO.tlog-proof --key log.vkey --leaf "$(cat NUMÉRO.leaf)"

Conservez-la. Si une écriture dont vous tenez le reçu venait à manquer au journal, ceci le prouve.
""",
}
