"""Versioned normal forms for blind indexes: what two spellings of one value have in common.

A normaliser works on the canonical value that `policies.fieldtypes.validate` gave, on write and on search alike, so
that an index never sees a spelling the catalogue would not store. Its key (`email/1`) is part of the key label of the
index (`vault.search`): a changed rule is a new key, hence a new index, never a silent miss in the old one. Published
rules therefore never change; `tests/vault/test_vault_normalise.py` holds frozen examples.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping

import idna

# Seventeen characters at most: E.164 allows fifteen digits; the canonical form has no separators left.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SEPARATORS = re.compile(r"[\s.\-_/]+")


class NotNormalisable(ValueError):
    """The value has no normal form under this rule. Says nothing of the value."""


def normalise(key: str, value: object) -> bytes:
    """Return the UTF-8 normal form of a canonical `value` under the rule named `key`, e.g. `email/1`.

    Raises `KeyError` for a rule that this release does not know, `NotNormalisable` for a value without a normal form.
    """
    rule = _RULES[key]
    if not isinstance(value, str):
        raise NotNormalisable
    return rule(value).encode()


def known(key: str) -> bool:
    """Whether this release has the rule."""
    return key in _RULES


def _folded(text: str) -> str:
    # NFKC again after casefold: folding can undo composition, and both sides must land on the same bytes.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def _email_1(text: str) -> str:
    """Folded local part, IDNA domain. Dots and tags of the local part stay: who owns them is the provider's secret."""
    local, at, domain = _folded(text).rpartition("@")
    if not at or not local or not domain:
        raise NotNormalisable
    if domain.isascii():
        return f"{local}@{domain}"
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError:
        raise NotNormalisable from None


def _phone_1(text: str) -> str:
    """E.164. Anything else would need a guess about the country, and is refused."""
    if not _E164.fullmatch(text):
        raise NotNormalisable
    return text


def _client_number_1(text: str) -> str:
    """Folded, without the separators people add when they read a number aloud."""
    # Folded once more: taking a separator out can bring a letter and a combining mark together.
    bare = _folded(_SEPARATORS.sub("", _folded(text)))
    if not bare:
        raise NotNormalisable
    return bare


_RULES: Mapping[str, Callable[[str], str]] = {
    "client_number/1": _client_number_1,
    "email/1": _email_1,
    "phone/1": _phone_1,
}
