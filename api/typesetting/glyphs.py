"""Which letters we have shapes for. What we have none for is spelled by its code points, never drawn as a box.

A letter and the marks on it come from one font or from none, as the typesetter takes them. Control characters, among
them those that turn the direction of what follows, are spelled too: a print shows what is there.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Final

from fontTools.ttLib import TTFont

Run = tuple[str, str]
"""A stretch of text in one script: language tag (BCP 47), or an empty string for that of the document; the text."""

FAMILIES: Final = ("Noto Sans", "Noto Sans Arabic", "Noto Sans CJK JP")
"""In the order in which they are asked for a letter."""
_SOURCES: Final = ("fontpkg_noto_sans", "fontpkg_noto_sans_arabic", "noto_cjk_sans_jp_regular")
_SUFFIXES: Final = frozenset({".ttf", ".otf"})

_JOINERS: Final = frozenset(
    "\u200c\u200d"
)  # zero width non-joiner and joiner: letters of Arabic and of emoji need them
_SELECTORS: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))  # of a variant; without it the plain form stands
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_BREAK: Final = "\u200b"  # zero width space: a place where a line may end
_LONG: Final = re.compile(r"\S{13,}")  # a word that may be wider than its column
_PIECE: Final = re.compile(r"[^/._:@=&?,;-]{1,12}[/._:@=&?,;-]*|[/._:@=&?,;-]+")
_PLAIN: Final = re.compile(
    r"[ -~\u00a0-\u00ac\u00ae-\u017f\n]*"
)  # every Latin font has these, and nothing is to be looked up

_KANA: Final = (range(0x3040, 0x3100), range(0x31F0, 0x3200), range(0xFF66, 0xFFA0))
_HANGUL: Final = (range(0x1100, 0x1200), range(0x3130, 0x3190), range(0xAC00, 0xD7B0))
_HAN: Final = (range(0x2E80, 0x2FE0), range(0x3000, 0x3040), range(0x3400, 0x4DC0), range(0x4E00, 0xA000),
               range(0xF900, 0xFB00), range(0x20000, 0x33480))  # fmt: skip
_ARABIC: Final = (
    range(0x0600, 0x0700),
    range(0x0750, 0x0780),
    range(0x08A0, 0x0900),
    range(0xFB50, 0xFE00),
    range(0xFE70, 0xFEFF),
)


def folders() -> list[Path]:
    """Return the folders of our fonts, which come with our dependencies; no font of the machine is used."""
    return sorted({each.parent for name in _SOURCES for each in _files(name)})


class Glyphs:
    """The letters of our fonts. A font is read when a letter is the first not to be in those before it.

    `only_plain`: all beyond the letters of western Europe is spelled, whatever the fonts have.
    """

    def __init__(self, *, only_plain: bool = False) -> None:
        self.spelled = False  # whether anything had to be
        self._only_plain = only_plain

    def said(self, text: str, *, whole: bool = False) -> str | list[Run]:
        """Return text as it can be set: as it is, or as runs where a part is in a script with a language of its own.

        Long words get places to break at, unless they are to stay `whole`: metadata is no column.
        """
        broken = (lambda told: told) if whole else _breakable
        if _PLAIN.fullmatch(text):
            return broken(text)
        shown = "".join(self._told(each) for each in _clusters(text.replace("\r\n", "\n").replace("\t", " ")))
        runs = list(_runs(broken(shown)))
        return runs if any(language for language, _ in runs) else "".join(each for _, each in runs)

    def _told(self, cluster: str) -> str:
        if cluster == "\n" or _PLAIN.fullmatch(cluster) or (not self._only_plain and self._has(cluster)):
            return cluster
        self.spelled = True
        return "".join(f"[U+{ord(each):04X}]" for each in cluster)

    def _has(self, cluster: str) -> bool:
        letters = [each for each in cluster if not _within(each, _SELECTORS)]
        if not set(letters) - _JOINERS or any(
            unicodedata.category(each) in _UNSEEN and each not in _JOINERS for each in letters
        ):
            return False
        codes = set(map(ord, letters))
        return codes <= self._first or any(codes <= each for each in self._rest)

    @cached_property
    def _first(self) -> frozenset[int]:
        return _letters(_SOURCES[0])

    @cached_property
    def _rest(self) -> Sequence[frozenset[int]]:
        return [_letters(each) for each in _SOURCES[1:]]


def _clusters(text: str) -> Iterator[str]:
    """Yield letters with the marks and joiners that hang on them."""
    start = 0
    for at in range(1, len(text)):
        hangs = unicodedata.category(text[at])[0] == "M" or text[at] in _JOINERS or text[at - 1] == "\u200d"
        if not hangs:
            yield text[start:at]
            start = at
    if text:
        yield text[start:]


def _breakable(text: str) -> str:
    """Return text with places to break long words at: a hash is wider than any column."""
    return _LONG.sub(lambda word: _BREAK.join(_PIECE.findall(word[0])), text)


def _runs(text: str) -> Iterator[Run]:
    han = "ja" if _any(text, _KANA) else "ko" if _any(text, _HANGUL) else "zh"
    language, run = "", ""
    for each in text:
        here = _language(each, han)
        if here is None:  # a blank or a mark: goes with what is before it
            here = language
        if here != language and run:
            yield language, run
            run = ""
        language = here
        run += each
    if run:
        yield language, run


def _language(each: str, han: str) -> str | None:
    if each in {" ", _BREAK, "\u200c", "\u200d"} or unicodedata.category(each)[0] == "M":
        return None
    if _within(each, _KANA):
        return "ja"
    if _within(each, _HANGUL):
        return "ko"
    if _within(each, _HAN):
        return han
    return "ar" if _within(each, _ARABIC) else ""


def _any(text: str, ranges: Sequence[range]) -> bool:
    return any(_within(each, ranges) for each in text)


def _within(each: str, ranges: Sequence[range]) -> bool:
    return any(ord(each) in of for of in ranges)


def _letters(source: str) -> frozenset[int]:
    found: frozenset[int] | None = None
    for path in _files(source):  # upright and italic: what one of them lacks is not counted on
        with TTFont(path, lazy=True) as font:
            have = frozenset(font.getBestCmap())
        found = have if found is None else found & have
    return found or frozenset()


def _files(source: str) -> list[Path]:
    with resources.as_file(resources.files(source)) as folder:
        return sorted(each for each in folder.rglob("*") if each.suffix in _SUFFIXES)
