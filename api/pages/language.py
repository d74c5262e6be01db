"""French and English: which one a reader gets, what a page says in it, and how dates and numbers are written.

English sentences are the keys of the catalogue (`locale/fr.po`, read once when the first page is asked for), so English is
complete by itself; that nothing lacks its French is tested (tests/pages/test_pages_language.py). Identifiers, field names
and what officers wrote themselves are shown as they are.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Final

from babel import Locale, dates, numbers
from babel.core import negotiate_locale
from babel.messages.pofile import read_po

FOLDER: Final = Path(__file__).parent / "locale"
ENGLISH: Final = "en"
LANGUAGES: Final[Mapping[str, str]] = {ENGLISH: "English", "fr": "Français"}

_MOST_PREFERENCES: Final = 16


def N_(text: str) -> str:  # noqa: N802 - the name that extractors of messages know
    """Mark a sentence that is translated where it is shown."""
    return text


class Language:
    """One language: its sentences, and its way with dates and numbers. Times are UTC, as the log's are."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._locale = Locale.parse(tag)
        self._messages = {} if tag == ENGLISH else _catalogue(tag)

    def say(self, text: str) -> str:
        """Return a sentence in this language."""
        return self._messages.get(text, text)

    def say_many(self, one: str, many: str, count: int) -> str:
        """Return the sentence that fits a number: of one, or of several. French counts nought as one."""
        single = count in {0, 1} if self.tag == "fr" else count == 1
        return self.say(one if single else many)

    def number(self, value: float) -> str:
        """Write a number."""
        return numbers.format_decimal(value, locale=self._locale)

    def percent(self, value: float) -> str:
        """Write a share of one."""
        return numbers.format_percent(value, locale=self._locale)

    def day(self, value: date | int) -> str:
        """Write a day, given as a date or in UTC seconds."""
        when = self._moment(value) if isinstance(value, int) else value
        return self._ordinal(when, dates.format_date(when, "long", locale=self._locale))

    def written_day(self, value: str) -> str:
        """Write a day that is given as `YYYY-MM-DD`; what is none is written as it is."""
        try:
            return self.day(date.fromisoformat(value))
        except ValueError:
            return value

    def moment(self, seconds: int) -> str:
        """Write a moment, given in UTC seconds."""
        when = self._moment(seconds)
        return self._ordinal(when, dates.format_datetime(when, "d MMM y, HH:mm:ss 'UTC'", locale=self._locale))

    def since(self, seconds: int) -> str:
        """Write how long something takes or took."""
        return dates.format_timedelta(seconds, locale=self._locale, threshold=1.2)

    def _ordinal(self, when: date, text: str) -> str:
        # The first of a month is an ordinal in French, which the locale's patterns do not know. Both forms begin with the day.
        return f"1er{text[1:]}" if self.tag == "fr" and when.day == 1 else text

    @staticmethod
    def _moment(seconds: int) -> datetime:
        return datetime.fromtimestamp(seconds, UTC)


@cache
def language(tag: str) -> Language:
    """Return a language by its tag; English for one there is not."""
    return Language(tag if tag in LANGUAGES else ENGLISH)


def preferred(accepted: str) -> str:
    """Choose by an `Accept-Language` header (RFC 9110 §12.5.4)."""
    wanted: list[tuple[float, str]] = []
    for part in accepted.split(",")[:_MOST_PREFERENCES]:
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if weight > 0:
            wanted.append((-weight, tag.strip()))
    tags = [tag for _, tag in sorted(wanted, key=lambda each: each[0])]
    return (negotiate_locale(tags, list(LANGUAGES), sep="-") if tags else None) or ENGLISH


def _catalogue(tag: str) -> dict[str, str]:
    with (FOLDER / f"{tag}.po").open("rb") as file:
        found = read_po(file, locale=tag)
    return {str(each.id): str(each.string) for each in found if each.id and each.string and not each.fuzzy}
