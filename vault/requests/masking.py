"""Masking: what in free text names or reaches somebody else, taken out by a machine before its person is given it.

A note of a member of staff may hold a husband's telephone, an assistant's address, the name of whom a present was for (GDPR
Art. 15(4)). Masked is whatever looks like an e-mail address or a telephone number and is not one of the person's own that
lie open beside it; and, letter for letter, the names and codes of others that the same record holds in members that are
left out (`vault.requests.collecting.OTHERS`), but for names that the person bears too. Spellings are compared as they are
read: compatibility forms, digits of other scripts, invisible characters, accents, `(at)` and `[dot]` are seen through.

It errs towards masking: a number of seven digits is masked where it is no date, no sum and no part of a code. What it cannot see is a
name that stands nowhere else in the record, an allusion, an address of the post; that takes somebody who reads. The stored
text is never touched.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from vault.values import JsonValue

MARK: Final = "[…]"
_LEAST: Final = 7  # digits of a telephone number
_MOST: Final = 15  # E.164
_TAIL: Final = 8  # digits from the end that tell a number whatever its country is written like

_AT: Final = r"(?:@|\s?[(\[{<]\s?(?:at|arobase|arobas|chez|a)\s?[)\]}>]\s?|\s(?:at|arobase|arobas)\s)"
_DOT: Final = r"(?:\.|\s?[(\[{<]\s?(?:dot|point|punto|punkt)\s?[)\]}>]\s?|\s(?:dot|point)\s)"
_LOCAL: Final = r"[^\s@<>()\[\]{},;:\"']+"
_LABEL: Final = r"[^\W_](?:[\w-]*[^\W_])?"
_MAIL: Final = re.compile(rf"({_LOCAL}(?:{_DOT}{_LOCAL})*?)({_AT})({_LABEL}(?:{_DOT}{_LABEL})+)", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![\w])(?:\+|\()?\d(?:[\s().\-/_·•]{0,3}\d){6,17}(?![\w])")
_DATE: Final = re.compile(r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/. ]\d{1,2}[-/. ]\d{4})")
_SUM: Final = re.compile(r"\s?(?:€|\$|£|¥|EUR|USD|GBP|CHF|JPY|CNY|AED|euros?|francs?)", re.IGNORECASE)
_BEFORE_SUM: Final = re.compile(r"(?:€|\$|£|¥|EUR|USD|GBP|CHF|JPY|CNY|AED)\s?\Z", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W\d_]{2,}", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Masks:
    """What is the person's own, and what is known to be somebody else's."""

    mails: frozenset[str] = field(default=frozenset(), repr=False)
    numbers: frozenset[str] = field(default=frozenset(), repr=False)  # the last digits of each
    names: frozenset[str] = field(default=frozenset(), repr=False)  # of others, folded word by word
    codes: frozenset[str] = field(default=frozenset(), repr=False)  # of others, folded

    def masked(self, text: str) -> tuple[str, bool]:
        """Return a text without what is somebody else's, and whether anything was taken out."""
        plain, places = _plain(text)
        cuts = [
            *self._mails(plain),
            *self._numbers(plain),
            *self._named(plain),
        ]
        if not cuts:
            return text, False
        kept: list[str] = []
        reached = 0
        for begin, end in sorted((places[begin], places[end - 1] + 1) for begin, end in cuts):
            if begin >= reached:
                kept += [text[reached:begin], MARK]
            reached = max(reached, end)
        return "".join([*kept, text[reached:]]), True

    def _mails(self, plain: str) -> Iterable[tuple[int, int]]:
        for found in _MAIL.finditer(plain):
            spelt = (
                re.sub(_DOT, ".", found[1], flags=re.IGNORECASE)
                + "@"
                + re.sub(_DOT, ".", found[3], flags=re.IGNORECASE)
            )
            if spelt.casefold().strip(".") not in self.mails:
                yield found.span()

    def _numbers(self, plain: str) -> Iterable[tuple[int, int]]:
        for found in _NUMBER.finditer(plain):
            digits = re.sub(r"\D", "", found[0])
            if not _LEAST <= len(digits) <= _MOST or digits[-_TAIL:] in self.numbers:
                continue
            if (
                _DATE.fullmatch(found[0].strip())
                or _SUM.match(plain, found.end())
                or _BEFORE_SUM.search(plain, 0, found.start())
            ):
                continue
            yield found.span()

    def _named(self, plain: str) -> Iterable[tuple[int, int]]:
        for found in _WORD.finditer(plain):
            if folded(found[0]) in self.names:
                yield found.span()
        for code in self.codes:
            for found in re.finditer(rf"(?<!\w){re.escape(code)}(?!\w)", plain, re.IGNORECASE):
                yield found.span()


def masks_of(
    own: Iterable[tuple[str, JsonValue]], others: Iterable[str], bears: Iterable[str], codes: Iterable[str]
) -> Masks:
    """Make masks of the person's own contact points, (type, value); names of others; names that the person bears; codes."""
    mails, numbers = set(), set()
    for kind, value in own:
        if kind == "email" and isinstance(value, str):
            mails.add(_plain(value)[0].casefold())
        elif kind == "phone":
            number = value.get("number") if isinstance(value, dict) else value
            numbers.add(re.sub(r"\D", "", str(number))[-_TAIL:])
    mine = {folded(word) for each in bears for word in _WORD.findall(_plain(each)[0])}
    named = {
        folded(word)
        for each in others
        for word in _WORD.findall(_plain(each)[0])
        if word[0].isupper() or not word[0].islower()  # of scripts without case every word
    }
    return Masks(
        frozenset(mails), frozenset(numbers), frozenset(named - mine),
        frozenset(_plain(each)[0].casefold() for each in codes if len(each) > 2),  # noqa: PLR2004 - shorter is a word
    )  # fmt: skip


def folded(word: str) -> str:
    """Fold a word as two people would take it for the same: case, accents."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", word) if not unicodedata.combining(each))
    return bare.casefold()


def _plain(text: str) -> tuple[str, list[int]]:
    """Return a text as it is read, and for each character of it the place of the one that it comes from.

    Compatibility forms composed, every decimal digit in ASCII, what is not seen (format characters) and accents that stand for
    themselves left out, every dash a hyphen, every blank a space.
    """
    kept: list[str] = []
    places: list[int] = []
    for place, each in enumerate(text):
        for one in unicodedata.normalize("NFKC", each):
            kind = unicodedata.category(one)
            if kind in {"Cf", "Mn"}:
                continue
            if kind == "Nd":
                one = str(unicodedata.decimal(one))  # noqa: PLW2901 - the digit that is read
            elif kind == "Pd" or one in "\u2212\u00ad":
                one = "-"  # noqa: PLW2901
            elif kind == "Zs":
                one = " "  # noqa: PLW2901
            kept.append(one)
            places.append(place)
    return "".join(kept), places
