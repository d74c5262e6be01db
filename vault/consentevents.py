"""What a consent event says: which act, of whom, how it was expressed, on what notice, with what proof.

The members are those that ISO/IEC TS 27560 asks of an event and GDPR Art. 7(1) of a proof. All of them are codes,
pseudonyms, times and hashes: an event lies in clear and outlives a withdrawal.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from policies.bundle import Bundle
from policies.errors import UnknownPurpose as PolicyUnknownPurpose
from policies.purposes import Basis, Purpose

CLOCK_SKEW: Final = 300  # seconds an event may lie ahead of our clock before we call its time wrong
# Pseudonyms and codes only: these columns are in clear, so nothing that could spell an address or a name with a space.
_WORD = re.compile(r"[A-Za-z0-9._:/-]+", re.ASCII)
# An e-mail address has no way through `_WORD`; a telephone number has: seven digits and nothing else (ITU-T E.164 allows
# fifteen), or nine in a row whatever stands around them. A member of staff's number behind a letter is shorter.
_TELEPHONE = re.compile(r"[._:/-]*(?:[0-9][._:/-]*){7,}|.*(?:[0-9][._:/-]*){9}.*", re.ASCII)
_DIALLED: Final = frozenset({"channel", "place", "collector"})
_LONGEST: Final = {"channel": 24, "place": 64, "collector": 64, "jurisdiction": 8}
_HASH_BYTES: Final = 32


class ConsentAct(StrEnum):
    """What happened: to a consent, or to another legal basis of the same purpose."""

    REQUESTED = "requested"
    REFUSED = "refused"
    GIVEN = "given"
    RENEWED = "renewed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"  # by the vault alone
    INVALIDATED = "invalidated"
    OBJECTED = "objected"
    OBJECTION_LIFTED = "objection_lifted"
    ESTABLISHED = "established"  # a contract begins, a duty arises
    ENDED = "ended"


class Method(StrEnum):
    """How the person expressed it."""

    UNSTATED = "unstated"
    TICK = "tick"
    CLICK = "click"
    SIGNATURE = "signature"
    WRITTEN = "written"
    SPOKEN = "spoken"
    SIGNAL = "signal"  # a browser's
    RULE = "rule"  # nobody: a term ran out


class Who(StrEnum):
    """Who acted."""

    SELF = "self"
    GUARDIAN = "guardian"
    AGENT = "agent"  # authorised by the person (CCPA § 7063, a mandate)
    SYSTEM = "system"


class Source(StrEnum):
    """What brought the event about."""

    PERSON = "person"
    GPC = "gpc"  # Sec-GPC: 1
    TERM = "term"  # its time is over
    INACTIVITY = "inactivity"  # a prospect's last contact is too long ago
    NOTICE = "notice"  # a material change of the text
    MAJORITY = "majority"  # the minor has come of age
    BRAND = "brand"  # the controller itself
    SUPPRESSION = "suppression"  # an address that must not be solicited came again


GIVING: Final = frozenset({ConsentAct.GIVEN, ConsentAct.RENEWED})
_OF_CONSENT: Final = GIVING | {ConsentAct.REQUESTED, ConsentAct.REFUSED, ConsentAct.INVALIDATED}
_OF_BASIS: Final = frozenset({ConsentAct.ESTABLISHED, ConsentAct.ENDED})
_BASES: Final = frozenset({Basis.CONTRACT, Basis.LEGAL_OBLIGATION, Basis.LEGITIMATE_INTEREST, Basis.VITAL_INTEREST})


@dataclass(frozen=True, slots=True)
class Notice:
    """Which text the person was shown: it must be one of the bundle's notices."""

    id: str
    version: int
    language: str


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One act, without the person.

    `notice` is required to give a consent. `collector` is a staff pseudonym, `place` a store code; both lie in clear, and
    what could be a telephone number or an e-mail address is refused. `event_at` is UTC
    seconds, None for now. `jurisdiction` empty means that of the subject's region. `explicit` None means what the
    purpose's basis asks for. `evidence_hash` is SHA-256 of the proof that the brand keeps. `contact` is one address of
    the purpose's channel, personal data; left out, a consent is for those on file now and a withdrawal for all.
    """

    purpose: str
    act: ConsentAct
    channel: str
    notice: Notice | None = None
    place: str = field(default="", repr=False)
    collector: str = field(default="", repr=False)
    event_at: int | None = None
    jurisdiction: str = ""
    method: Method = Method.UNSTATED
    explicit: bool | None = None
    actor: Who = Who.SELF
    source: Source = Source.PERSON
    evidence_hash: bytes | None = field(default=None, repr=False)
    contact: str | None = field(default=None, repr=False)


def purpose_of(bundle: Bundle, event: ConsentEvent) -> Purpose | None:
    """Return the event's purpose, or None if the bundle has no such purpose."""
    try:
        return bundle.purposes.get(event.purpose)
    except PolicyUnknownPurpose:
        return None


def check(bundle: Bundle, event: ConsentEvent, now: int) -> list[tuple[str, str]]:
    """Return the problems of an event as (member, reason); none means that it can be recorded."""
    purpose = purpose_of(bundle, event)
    if purpose is None:
        return [("purpose", "unknown_purpose")]
    found = list(_misspelt(event))
    if event.event_at is not None and not 0 <= event.event_at <= now + CLOCK_SKEW:
        found.append(("event_at", "not_in_the_past"))
    if event.evidence_hash is not None and len(event.evidence_hash) != _HASH_BYTES:
        found.append(("evidence_hash", "not_a_hash"))
    if event.actor is Who.AGENT and event.evidence_hash is None:
        found.append(("evidence_hash", "mandate_missing"))
    if event.contact is not None and not purpose.channel:
        found.append(("contact", "takes_no_contact"))
    notice = event.notice
    if notice is not None and (notice.id, notice.version, notice.language) not in bundle.notices:
        found.append(("notice", "unknown_notice"))
    if event.act in _OF_BASIS and not _BASES & set(purpose.basis.values()):
        found.append(("purpose", "has_no_such_basis"))
    if event.act in _OF_CONSENT and not purpose.may_need_consent:
        found.append(("purpose", "takes_no_consent"))
    elif event.act in GIVING:
        found += _shown(purpose, event)
    return found


def _misspelt(event: ConsentEvent) -> Iterator[tuple[str, str]]:
    for name, longest in _LONGEST.items():
        word = getattr(event, name)
        if (word or name == "channel") and not (len(word) <= longest and _WORD.fullmatch(word)):
            yield name, "not_a_code"
        elif name in _DIALLED and _TELEPHONE.fullmatch(word):
            yield name, "looks_like_contact_data"


def _shown(purpose: Purpose, event: ConsentEvent) -> list[tuple[str, str]]:
    notice = event.notice
    if notice is None:
        return [("notice", "missing")]
    if notice.id != purpose.notice:
        return [("notice", "not_for_this_purpose")]
    bases = {purpose.basis_in(event.jurisdiction)} if event.jurisdiction else set(purpose.basis.values())
    if event.explicit is False and Basis.EXPLICIT_CONSENT in bases:
        return [("explicit", "not_explicit")]
    return []
