"""Bodies on guardians and on contacts that a person made."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from api.bodies.common import Answer, Body, PurposeKey, Reference, Token
from api.bodies.consents import At, Sha256


class LinkGuardian(Body):
    """Who may consent for a minor, on what proof, and until which day. Both are known to the calling brand."""

    reference: Reference
    guardian: Reference
    proof: Literal["family_record", "birth_certificate", "court_order", "declaration"]
    proof_hash: Sha256
    of_age_on: Annotated[dt.date, Field(strict=False, repr=False)]


class EndGuardian(Body):
    """A link that is over."""

    reference: Reference
    guardian: Reference


class GuardianRecorded(Answer):
    """Whose link it is."""

    reference: str
    guardian: str


class GuardiansDue(Answer):
    """References of those come of age whose links wait for review: at most 500, the longest due first."""

    references: list[str]


class ContactMade(Body):
    """A contact with a person: which, and when if not now."""

    reference: Reference
    kind: Literal["visit", "purchase", "call", "reply", "click", "form", "email_open"]
    at: At | None = None


class ContactNoted(Answer):
    """Whether the contact counts as one that the person made."""

    reference: str
    counts: bool


class MayContact(Body):
    """May the person be contacted now: for a purpose, by a channel, by a member of staff if one stands behind it."""

    reference: Reference
    purpose: PurposeKey
    channel: Literal["phone", "text_message", "messaging", "email", "letter", "in_person"]
    staff: Token = ""


class ContactGuidance(Answer):
    """Whether, and if not, why not; the language to use, and what to mind. Never an address."""

    reference: str
    allowed: bool
    why: list[Literal["not_permitted", "no_contact", "channel", "hours", "silence", "advisor", "home"]]
    language: str
    mind: list[str]
