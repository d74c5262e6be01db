"""Consent bodies. Withdrawing asks for no field that giving does not ask for (GDPR Art. 7(3))."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.bodies.common import Answer, Body, Language, Name, PurposeKey, Reference, Region, Token

Method = Literal["unstated", "tick", "click", "signature", "written", "spoken", "signal"]
Who = Literal["self", "guardian", "agent"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Contact = Annotated[str, StringConstraints(min_length=1, max_length=320)]
At = Annotated[int, Field(ge=0)]
Status = Literal[
    "none", "requested", "refused", "given", "guarded", "withdrawn", "objected", "expired", "needs_renewal",
    "invalidated", "ended",
]  # fmt: skip


class NoticeShown(Body):
    """Which text the person was shown."""

    id: Token
    version: Annotated[int, Field(ge=1, le=32767)]
    language: Language


class ConsentGiven(Body):
    """What is known about the moment of consent, without the subject.

    `explicit` left out means what the purpose's basis asks for. `evidence_hash` is SHA-256 of the proof that the caller
    keeps; an agent must have one, of the mandate. `contact` names one address on file, where the purpose has a channel:
    left out, the consent is for those on file now.
    """

    purpose: PurposeKey
    notice: NoticeShown
    channel: Name
    place: Token = ""
    collector: Token = ""
    event_at: At | None = None
    jurisdiction: Region = "eu"
    method: Method = "unstated"
    explicit: bool | None = None
    actor: Who = "self"
    evidence_hash: Sha256 | None = None
    contact: Contact | None = Field(default=None, repr=False)


class GiveConsent(ConsentGiven):
    """Consent of one subject to one purpose of the calling brand. `renewal`: it takes an earlier one further."""

    reference: Reference
    renewal: bool = False


class WithdrawConsent(Body):
    """Withdrawal: the subject, the purpose and the channel suffice; the rest is optional evidence.

    `contact` withdraws for one address of the purpose's channel; left out, for all of them.
    """

    reference: Reference
    purpose: PurposeKey
    channel: Name
    place: Token = ""
    collector: Token = ""
    event_at: At | None = None
    method: Method = "unstated"
    actor: Who = "self"
    evidence_hash: Sha256 | None = None
    contact: Contact | None = Field(default=None, repr=False)


class ConsentEventTold(WithdrawConsent):
    """Any other event: asked, refused, objected, objection lifted, found invalid; or a contract or duty that begins or ends."""

    event: Literal["requested", "refused", "objected", "objection_lifted", "invalidated", "established", "ended"]
    notice: NoticeShown | None = None


class SignalReceived(Body):
    """Whose browser sent it. The signal itself is the header."""

    reference: Reference
    channel: Name = "web"


class ConsentRecorded(Answer):
    """The event as recorded. `contacts` counts the addresses covered now, where the purpose has a channel."""

    event: str
    reference: str
    purpose: str
    state: Status
    contacts: int | None = None


class ConsentRecordIssued(Answer):
    """A record of consent as the exact text that was signed (JSON, ISO/IEC TS 27560), and its receipt, a signed note."""

    record: str
    receipt: str


class SignalRecorded(Answer):
    """The purposes objected to by this signal: none where it was not sent, or said nothing new."""

    reference: str
    objected: list[str]
