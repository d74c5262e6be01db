"""What a package says besides the person's data, in French and English."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "title": "Your personal data at {brand}",
        "made": "Made on {day} in answer to your request {request}, received on {received}.",
        "held": "What is held",
        "nothing": "Nothing is held.",
        "field": "Item",
        "value": "Value",
        "retention": "Kept for {span} after it was last written.",
        "law": "By law it stays at least {span}: {basis}.",
        "unread": "These could not be opened and are being looked into: {names}.",
        "redacted": "What names somebody else was taken out: for whom, about whom, by whom; in notes a machine put […] for it.",
        "text_withheld": "[What is written here is kept back, on the ground: {ground}. You may complain about this.]",
        "withheld": "Not included, on the ground {ground}: {names}. You may complain about this.",
        "purposes": "What it may be used for, and on what ground",
        "purpose": "Purpose",
        "basis": "Legal basis",
        "recipients": "Who receives it",
        "categories": "Categories",
        "looks": "Who looked, and why",
        "looks_note": "Each line is in the audit log, under its number. Members of staff appear as a number each.",
        "looks_since": "The log reaches back to {since}: what it said of earlier looks is kept no longer.",
        "when": "When",
        "who": "Who",
        "what": "What",
        "why": "Purpose",
        "allowed": "Given",
        "index": "Entry",
        "yes": "yes",
        "no": "no",
        "consents": "Your consents",
        "state": "Event",
        "notice": "Text shown",
        "until": "Valid until",
        "notices": "The texts you were shown are in the folder `notices`.",
        "transfers": "Where it is",
        "storage": "Stored in: {countries}.",
        "safeguard": "{name}, {country}: {safeguard}.",
        "decisions": "No decision is made here by a machine alone (GDPR Art. 22).",
        "decisions_title": "Decisions by machines",
        "name": "Name",
        "country": "Country",
        "ground": "Ground of the transfer",
        "rights": "Your rights",
        "check": ("`manifest.txt` lists every file with its SHA-256 and is signed; `README.txt` says how to check it."),
        "portable": "The folder `portable` holds what you may hand to somebody else, for machines to read.",
        "source_note": "The source is the system of {brand} that recorded a value; what you told it came by that system.",
        "none": "None.",
        "days": "Valid",
        "source": "Source",
        "recorded": "Recorded",
        "earlier": "Earlier values, as they were known:",
        "stood": "Stood",
        "self": "you",
        "officer": "officer",
        "staff": "member of staff",
        "vault": "the vault",
        "own": "Your own right",
        "rights_text": (
            "You may have your data corrected or erased, have its use restricted, object to a use, take back a consent "
            "as easily as you gave it, and take your data along. Write to {contact}."
        ),
        "authority": (
            "You may complain to the supervisory authority where you live or work, or where you think a wrong was done: "
            "{authority}."
        ),
    },
    "fr": {
        "title": "Vos données personnelles chez {brand}",
        "made": "Établi le {day} en réponse à votre demande {request}, reçue le {received}.",
        "held": "Ce qui est conservé",
        "nothing": "Rien n’est conservé.",
        "field": "Élément",
        "value": "Valeur",
        "retention": "Conservé {span} après la dernière écriture.",
        "law": "La loi impose de le garder au moins {span} : {basis}.",
        "unread": "Éléments qui n’ont pu être ouverts, en cours d’examen : {names}.",
        "redacted": "Ce qui désigne une autre personne a été retiré : pour qui, au sujet de qui, par qui, et dans les notes, une machine a mis […] à la place.",
        "text_withheld": "[Le texte écrit ici n’est pas communiqué, pour le motif\u00a0: {ground}. Vous pouvez introduire une réclamation.]",
        "withheld": "Non communiqué, pour le motif {ground} : {names}. Vous pouvez introduire une réclamation.",
        "purposes": "À quoi elles peuvent servir, et sur quel fondement",
        "purpose": "Finalité",
        "basis": "Base légale",
        "recipients": "Destinataires",
        "categories": "Catégories",
        "looks": "Qui les a consultées, et pourquoi",
        "looks_note": "Chaque ligne figure au journal d’audit, sous son numéro. Chaque employé apparaît sous un numéro.",
        "looks_since": "Le journal remonte au {since}. Ce qu’il disait de consultations antérieures n’est plus conservé.",
        "when": "Date",
        "who": "Qui",
        "what": "Quoi",
        "why": "Finalité",
        "allowed": "Communiqué",
        "index": "Entrée",
        "yes": "oui",
        "no": "non",
        "consents": "Vos consentements",
        "state": "Événement",
        "notice": "Texte présenté",
        "until": "Valable jusqu’au",
        "notices": "Les textes qui vous ont été présentés sont dans le dossier `notices`.",
        "transfers": "Où elles se trouvent",
        "storage": "Conservées en : {countries}.",
        "safeguard": "{name}, {country} : {safeguard}.",
        "decisions": "Aucune décision n’est prise ici par une machine seule (RGPD, art. 22).",
        "decisions_title": "Décisions automatisées",
        "name": "Nom",
        "country": "Pays",
        "ground": "Fondement du transfert",
        "rights": "Vos droits",
        "check": "`manifest.txt` donne le SHA-256 de chaque fichier et est signé ; `README.txt` dit comment le vérifier.",
        "portable": "Le dossier `portable` contient ce que vous pouvez transmettre à un tiers, lisible par machine.",
        "source_note": "La source est le système de {brand} qui a enregistré la valeur ; ce que vous avez dit est passé par lui.",
        "none": "Aucun.",
        "days": "Validité",
        "source": "Source",
        "recorded": "Enregistré",
        "earlier": "Valeurs antérieures, telles qu’elles étaient connues :",
        "stood": "En vigueur",
        "self": "vous",
        "officer": "responsable",
        "staff": "employé",
        "vault": "le coffre",
        "own": "Votre propre droit",
        "rights_text": (
            "Vous pouvez faire rectifier ou effacer vos données, en faire limiter l’usage, vous y opposer, retirer un "
            "consentement aussi simplement que vous l’avez donné, et emporter vos données. Écrivez à {contact}."
        ),
        "authority": (
            "Vous pouvez introduire une réclamation auprès de l’autorité de contrôle du lieu où vous vivez ou travaillez, "
            "ou de celui du manquement supposé : {authority}."
        ),
    },
}

BASES: Final[Mapping[str, Mapping[str, str]]] = {
    "consent": {"en": "consent", "fr": "consentement"},
    "explicit_consent": {"en": "explicit consent", "fr": "consentement explicite"},
    "contract": {"en": "contract", "fr": "contrat"},
    "legal_obligation": {"en": "legal obligation", "fr": "obligation légale"},
    "legitimate_interest": {"en": "legitimate interest", "fr": "intérêt légitime"},
    "legal_claims": {"en": "legal claims", "fr": "défense de droits en justice"},
    "vital_interest": {"en": "vital interest", "fr": "intérêt vital"},
}
SAFEGUARDS: Final[Mapping[str, Mapping[str, str]]] = {
    "adequacy": {"en": "adequacy decision", "fr": "décision d’adéquation"},
    "clauses": {"en": "standard contractual clauses", "fr": "clauses contractuelles types"},
    "binding_rules": {"en": "binding corporate rules", "fr": "règles d’entreprise contraignantes"},
    "derogation": {"en": "derogation for this case", "fr": "dérogation pour ce cas"},
}

README: Final = """\
How to check this archive

manifest.txt is a signed note (C2SP signed-note): the lines up to the empty one are what was signed, the last line is the
Ed25519 signature under the name it begins with. With verify.py, the one-file verifier of the vault, and Python:

    python verify.py package THIS-ARCHIVE.zip --key KEY-OF-RECEIPTS

It ends with one word: verified, DOES NOT HOLD, or cannot decide. The key is published by the house (`/audit/keys` of its vault,
"receipt"); ask for it, and get verify.py, by another way than the one this archive came by. Without it, each further line of the
manifest is the SHA-256 of a file and its name:

    sha256sum --check <(grep -E '^[0-9a-f]{64}  ' manifest.txt)
"""
ENTRIES: Final = "\nLines of disclosures.csv name entries of the audit log by their number.\n"
