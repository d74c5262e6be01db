"""Finds canaries: made-up values that occur nowhere but where a test put them, in whatever spelling they got away.

All canaries of a kind share a *core*, so that the hunter looks for a handful of byte strings however many canaries are
about; what stands around a hit tells which one it is.
"""

import base64
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

WORD = "zqxhraquil"  # in names, texts, codes, keys, headers, URLs
ACCENTED = "zqxhrâquïl"
DIGITS = "63998246"  # in telephone numbers, between country code and last digit
AMOUNT = "918273645"
DAY = "1871-04-2"
CLEAR = "vkwyzpodrex"  # in consent codes, which the database holds in clear by design and nothing else may repeat

HIDDEN = (WORD, ACCENTED, DIGITS, AMOUNT, DAY)

_count = itertools.count()


def word(prefix=""):
    """A fresh canary of lower-case letters: fit for a line, a code, a handle, a name of a member."""
    number, letters = next(_count), ""
    for _ in range(3):
        number, digit = divmod(number, 26)
        letters += chr(97 + digit)
    return f"{prefix}{WORD}{letters}"


def clear():
    return word().replace(WORD, CLEAR)


def phone():
    return f"+33{DIGITS}{next(_count) % 10}"


def spellings(core):
    """Every byte string that gives the core away: case, UTF-16, JSON escapes, hexadecimal, base64, URL encoding."""
    found = set()
    for text in {core, core.upper(), core.capitalize(), core.title()}:
        for raw in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be")):
            found |= {raw, raw.hex().encode(), raw.hex().upper().encode(), repr(raw)[2:-1].encode()}
            found |= set(_base64(raw))
        found |= {quote(text).encode(), json.dumps(text)[1:-1].encode()}
        found.add("".join(f"%{byte:02X}" for byte in text.encode()).encode())
        found.add("".join(f"\\u{ord(letter):04x}" for letter in text).encode())
        found.add(text[::-1].encode())
    return sorted(found)


def _base64(raw):
    """The part of the base64 text that does not depend on what stands before or after, for each of three offsets."""
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + raw)
        first = -(-offset * 8 // 6)
        last = (offset + len(raw)) * 8 // 6
        yield text[first:last]
        yield text[first:last].replace(b"+", b"-").replace(b"/", b"_")


@dataclass(frozen=True)
class Hit:
    """Where a canary was found."""

    where: str
    around: bytes


class Hunter:
    """Searches bytes, texts, files and folders; remembers how much it has seen."""

    def __init__(self, cores=HIDDEN):
        self.needles = sorted({needle for core in cores for needle in spellings(core)})
        self.searched = 0

    def search(self, where, content):
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogateescape")
        self.searched += len(content)
        for needle in self.needles:
            at = content.find(needle)
            if at >= 0:
                yield Hit(where, content[max(0, at - 60) : at + 60])

    def hunt(self, things):
        """All hits in (where, bytes or text) pairs."""
        return [hit for where, content in things for hit in self.search(where, content)]

    def folder(self, path, *, without=()):
        """All hits in the files under a folder, and in their names."""
        found = []
        for each in sorted(Path(path).rglob("*")):
            name = str(each.relative_to(path))
            found += self.search(f"name of {name}", name)
            if each.is_file() and not any(part in without for part in each.parts):
                found += self.search(name, each.read_bytes())
        return found
