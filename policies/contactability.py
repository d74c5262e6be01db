"""Wishes about being contacted: by which channel, when, by whom, with what discretion. They narrow and never permit.

Consent says whether a brand may write at all; this says whether it may now, and what to mind. Pure: the time comes in as
the client's own local time, the wishes as the catalogue's values.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WISHES: Final = (
    "contact_channel", "contact_hours", "contact_zone", "keep_quiet", "advisor", "discretion", "preferred_language",
)  # fmt: skip
_HOURS: Final = {"weekday_morning": (8, 12), "weekday_afternoon": (12, 18), "weekday_evening": (18, 21)}
_WEEKEND: Final = (10, 18)
_SATURDAY: Final = 5


class Channel(StrEnum):
    """How a person may be reached: the words of the catalogue."""

    PHONE = "phone"
    TEXT_MESSAGE = "text_message"
    MESSAGING = "messaging"
    EMAIL = "email"
    LETTER = "letter"
    IN_PERSON = "in_person"


class Why(StrEnum):
    """Which wish stands against it."""

    CHANNEL = "channel"
    HOURS = "hours"
    SILENCE = "silence"
    ADVISOR = "advisor"
    HOME = "home"


@dataclass(frozen=True, slots=True)
class Guidance:
    """Whether the wishes let a contact be now; which do not; the language, and what to mind."""

    allowed: bool
    why: tuple[Why, ...]
    language: str
    mind: tuple[str, ...]


def evaluate(
    wishes: Mapping[str, Sequence[object]], channel: Channel, local: dt.datetime | None, staff: str
) -> Guidance:
    """Weigh the wishes that stand today. `local` is now where the client is, or None if nobody knows; `staff` who asks."""
    discretion = tuple(str(each) for each in wishes.get("discretion", ()))
    channels = wishes.get("contact_channel", ())
    why: list[Why] = []
    if channels and channel not in channels:
        why.append(Why.CHANNEL)
    if any(each is True for each in wishes.get("keep_quiet", ())):
        why.append(Why.SILENCE)
    hours = [str(each) for each in wishes.get("contact_hours", ())]
    # Where hours were wished for and nobody knows what time it is there, no hour is a wished one. A letter has none.
    if hours and channel is not Channel.LETTER and (local is None or not _within(hours, local)):
        why.append(Why.HOURS)
    if "own_advisor_only" in discretion and (not staff or staff not in wishes.get("advisor", ())):
        why.append(Why.ADVISOR)
    if "no_post_at_home" in discretion and channel is Channel.LETTER:
        why.append(Why.HOME)
    language = next((str(each) for each in wishes.get("preferred_language", ())), "")
    return Guidance(not why, tuple(why), language, tuple(sorted(discretion)))


def _within(hours: Sequence[str], local: dt.datetime) -> bool:
    if local.weekday() >= _SATURDAY:
        return "weekend" in hours and _WEEKEND[0] <= local.hour < _WEEKEND[1]
    spans = [_HOURS[each] for each in hours if each in _HOURS]
    return any(begin <= local.hour < end for begin, end in spans)
