"""Consent bodies. Withdrawing asks for no field that giving does not ask for (GDPR Art. 7(3))."""

from typing import Annotated, Literal

from pydantic import Field

from api.bodies.common import Answer, Body, Language, Name, PurposeKey, Reference, Region, Token


class NoticeShown(Body):
    """Which text the person was shown."""

    id: Token
    version: Annotated[int, Field(ge=1, le=32767)]
    language: Language


class ConsentGiven(Body):
    """What is known about the moment of consent, without the subject."""

    purpose: PurposeKey
    notice: NoticeShown
    channel: Name
    place: Token = ""
    collector: Token = ""
    event_at: Annotated[int, Field(ge=0)] | None = None
    jurisdiction: Region = "eu"


class GiveConsent(ConsentGiven):
    """Consent of one subject to one purpose of the calling brand."""

    reference: Reference


class WithdrawConsent(Body):
    """Withdrawal: the subject, the purpose and the channel suffice; the rest is optional evidence."""

    reference: Reference
    purpose: PurposeKey
    channel: Name
    place: Token = ""
    collector: Token = ""
    event_at: Annotated[int, Field(ge=0)] | None = None


class ConsentRecorded(Answer):
    """The event as recorded."""

    event: str
    reference: str
    purpose: str
    state: Literal["given", "withdrawn", "objected", "none", "expired"]
